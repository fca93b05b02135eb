//! What Bailey keeps in tenants' namespaces, and Pods that come before it.

use memchr::memmem;
use model::{MANAGED_LABEL, Operation, Request, TenantIndex};
use quota::grants::QUOTA_PREFIX;
use serde::Deserialize;

use super::Question;

/// Objects that Bailey keeps are its own, and nobody passes others off as such.
pub(super) fn is_managed(question: &Question<'_>) -> Option<String> {
    let request = question.request;
    // Few objects have the name in them anywhere: the others need not be read.
    let marked = |object: Option<&[u8]>| {
        let object = object.filter(|object| memmem::find(object, MANAGED_LABEL.as_bytes()).is_some());
        let meta = object.and_then(|object| Request::metadata(object).ok());
        meta.is_some_and(|meta| meta.labels.contains_key(MANAGED_LABEL))
    };
    if request.is_namespace() {
        return None;
    }
    if marked(request.old_object.as_deref()) {
        return Some(format!(
            "the label `{MANAGED_LABEL}` says that Bailey keeps this object; ask an administrator to change the tenant"
        ));
    }
    let wrong = request.operation != Operation::Delete && marked(request.object.as_deref());
    wrong.then(|| format!("the label `{MANAGED_LABEL}` is Bailey's, leave it out"))
}

/// The ResourceQuotas that hold a budget are Bailey's, and the quota controller's to count.
pub(super) fn is_a_grant(question: &Question<'_>) -> Option<String> {
    let request = question.request;
    let objects = [request.object.as_deref(), request.old_object.as_deref()];
    let named = |object: &[u8]| super::metadata::parts::<Named>(Some(object)).name;
    let mut names = objects.into_iter().flatten().map(named).chain([request.name.clone()]);
    let name = names.find(|name| name.starts_with(QUOTA_PREFIX)).filter(|_| !question.asker.controller)?;
    Some(format!(
        "the ResourceQuota `{name}` holds a part of a tenant's budget and is Bailey's: change spec.quota of the Tenant"
    ))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named {
    name: String,
}

/// No Pod starts in a tenant's namespace before its walls stand, and users write nothing into a namespace before it
/// is known whose it is.
pub(super) fn comes_before_the_walls(question: &Question<'_>) -> Option<String> {
    let request = question.request;
    if !is_held_against_walls(request, question.asker.controller) {
        return None;
    }
    walls_are_missing(question.tenants, request)
}

/// Whether a request waits for what is around its namespace. The cluster's own controllers furnish new namespaces:
/// of what they write, only Pods do.
fn is_held_against_walls(request: &Request, controller: bool) -> bool {
    let writes = matches!(request.operation, Operation::Create | Operation::Update);
    !request.is_cluster_scoped() && writes && (!controller || is_new_pod(request))
}

/// Whether a request comes so early that its namespace is not known yet, or for a Pod without its walls. To delete a
/// namespace is early too before it is known: until then it cannot be counted.
pub(super) fn has_to_wait(tenants: &TenantIndex, request: &Request, controller: bool) -> bool {
    if request.is_namespace() && request.operation == Operation::Delete {
        return tenants.has_tenants() && tenants.namespace(&request.name).is_none();
    }
    is_held_against_walls(request, controller) && walls_are_missing(tenants, request).is_some()
}

pub(super) fn is_new_pod(request: &Request) -> bool {
    request.operation == Operation::Create
        && request.resource.group.is_empty()
        && request.resource.resource == "pods"
        && request.sub_resource.is_empty()
}

/// Why the walls around a request's namespace do not stand, if they do not.
pub(super) fn walls_are_missing(tenants: &TenantIndex, request: &Request) -> Option<String> {
    let name = &request.namespace;
    match tenants.namespace(name) {
        None if !tenants.has_tenants() => None,
        None => Some(format!(
            "the namespace `{name}` is so new that it is not known whose it is, try again in a moment"
        )),
        Some(state) => {
            let tenant = state.tenant.as_deref().filter(|_| is_new_pod(request))?;
            (tenants.tenant(tenant).is_some() && !state.stands()).then(|| {
                format!("the walls of the namespace `{name}` do not stand yet, try again in a moment")
            })
        }
    }
}
