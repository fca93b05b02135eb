//! What Bailey keeps in tenants' namespaces, and Pods that come before it.

use memchr::memmem;
use model::{MANAGED_LABEL, Operation, Request, TenantIndex};

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

/// No Pod starts in a tenant's namespace before its walls stand, and users write nothing into a namespace before it
/// is known whose it is.
pub(super) fn comes_before_the_walls(question: &Question<'_>) -> Option<String> {
    let request = question.request;
    // The cluster's own controllers furnish new namespaces.
    let passes = question.asker.controller && !is_new_pod(request);
    if passes || !waits(request) {
        return None;
    }
    walls_are_missing(question.tenants, request)
}

/// Whether a request waits for what is around its namespace.
pub(super) fn waits(request: &Request) -> bool {
    !request.is_cluster_scoped() && matches!(request.operation, Operation::Create | Operation::Update)
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
