//! Tenants themselves, and what is not any tenant's.

use std::collections::BTreeSet;

use model::{Operation, TENANT_FINALIZER};
use serde_json::Value;

use super::Question;
use super::edits::Edit;

/// Groups of requests that ask something and store nothing.
const QUESTIONS: [&str; 2] = ["authentication.k8s.io", "authorization.k8s.io"];
/// Metadata that the API server keeps.
const KEPT: [&str; 6] =
    ["managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"];
/// What `kubectl apply` remembers.
const LAST_APPLIED: &str = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";

/// Members of tenants write nothing that is the whole cluster's, whatever rights they were given: only
/// namespaces, and the members of their tenants.
pub(super) fn is_the_clusters(question: &Question<'_>) -> Option<String> {
    let (request, resource) = (question.request, &question.request.resource);
    if request.is_namespace() {
        return is_no_namespace_of_theirs(question);
    }
    let allowed = QUESTIONS.contains(&resource.group.as_str())
        || (resource.group == "bailey.dev" && resource.resource == "tenants");
    if allowed || !request.is_cluster_scoped() {
        return None;
    }
    let what = &request.kind.kind;
    Some(format!("a {what} is the whole cluster's, and members of tenants write none: ask an administrator"))
}

/// Members delete namespaces of their tenants only, and finalize none: what is in it would be left to whoever has
/// its name next.
fn is_no_namespace_of_theirs(question: &Question<'_>) -> Option<String> {
    let request = question.request;
    if request.sub_resource == "finalize" {
        return Some("namespaces are finalized by Kubernetes, which empties them first".to_owned());
    }
    let name = &request.name;
    let theirs = question.tenants.name_for(name).is_some_and(|tenant| question.asker.belongs_to(tenant));
    (request.operation == Operation::Delete && !theirs)
        .then(|| format!("the namespace `{name}` is not of a tenant of yours: ask an administrator"))
}

/// An owner changes who belongs to the tenant, and nothing else of it.
pub(super) fn changes_more_than_members(question: &Question<'_>) -> Option<String> {
    let request = question.request;
    if request.operation != Operation::Update || !request.sub_resource.is_empty() {
        return Some("tenants are an administrator's to create and delete".to_owned());
    }
    if !question.asker.owns(&request.name) {
        return Some(format!("you are no owner of the tenant `{}`", request.name));
    }
    let read = |object: Option<&bytes::Bytes>| {
        let mut object: Value =
            object.and_then(|object| serde_json::from_slice(object).ok()).unwrap_or_default();
        let members = object.pointer_mut("/spec/members").map(Value::take);
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("members");
        }
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|name, _| !KEPT.contains(&name.as_str()));
        }
        if let Some(applied) = object.pointer_mut(LAST_APPLIED) {
            *applied = Value::Null;
        }
        (object, members.unwrap_or_default())
    };
    let ((old, old_members), (new, new_members)) =
        (read(request.old_object.as_ref()), read(request.object.as_ref()));
    if old != new {
        let field = first_difference(&old, &new);
        return Some(format!("owners change spec.members only; `{field}` is an administrator's to change"));
    }
    wrong_members(&old_members, &new_members)
}

/// A tenant is not deleted by a slip: while it has namespaces, it has to say that they may go with it.
pub(super) fn is_deleted_with_namespaces(question: &Question<'_>) -> Option<String> {
    let request = question.request;
    let object: Value = serde_json::from_slice(request.old_object.as_deref()?).ok()?;
    let protected = object.pointer("/spec/deletion/protected").and_then(Value::as_bool).unwrap_or(true);
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or(&request.name);
    let used = question.tenants.namespaces_under(name).count();
    let first = question.tenants.namespaces_under(name).next()?;
    protected.then(|| {
        format!(
            "the tenant `{name}` has {used} namespaces (such as `{first}`): give them to another tenant, delete them, \
             or set spec.deletion.protected to false"
        )
    })
}

/// What keeps a tenant until its namespaces are gone, for one that does not have it.
pub(super) fn edits(question: &Question<'_>) -> Vec<Edit> {
    let (request, resource) = (question.request, &question.request.resource);
    let is_tenant = resource.group == "bailey.dev" && resource.resource == "tenants";
    let object = request.object.as_deref().filter(|_| is_tenant && request.sub_resource.is_empty());
    let Some(object) = object.and_then(|object| serde_json::from_slice::<Value>(object).ok()) else {
        return Vec::new();
    };
    let finalizers =
        object.pointer("/metadata/finalizers").and_then(Value::as_array).cloned().unwrap_or_default();
    let goes = object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null());
    if goes || finalizers.iter().any(|finalizer| finalizer == TENANT_FINALIZER) {
        return Vec::new();
    }
    let all: Value = finalizers.into_iter().chain([Value::from(TENANT_FINALIZER)]).collect();
    vec![Edit::set(["metadata", "finalizers"], all)]
}

/// The first member in which two objects differ, as a path.
fn first_difference(old: &Value, new: &Value) -> String {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return String::new() };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let name = names.into_iter().find(|name| old.get(*name) != new.get(*name));
    let Some(name) = name else { return String::new() };
    let rest = match (old.get(name), new.get(name)) {
        (Some(old), Some(new)) => first_difference(old, new),
        _ => String::new(),
    };
    if rest.is_empty() { name.clone() } else { format!("{name}.{rest}") }
}

/// A role beyond the usual ones is given by administrators, and one owner stays.
fn wrong_members(old: &Value, new: &Value) -> Option<String> {
    let roles = |members: &Value| -> BTreeSet<String> {
        let members = members.as_array().into_iter().flatten();
        members.filter_map(|member| Some(member.get("clusterRole")?.as_str()?.to_owned())).collect()
    };
    if let Some(role) = roles(new).difference(&roles(old)).next() {
        return Some(format!(
            "the ClusterRole `{role}` is an administrator's to give, use owner, editor or viewer"
        ));
    }
    let owners = |members: &Value| {
        let members = members.as_array().into_iter().flatten();
        members.filter(|member| member.get("role").and_then(Value::as_str) == Some("owner")).count()
    };
    (owners(old) > 0 && owners(new) == 0).then(|| "the tenant would have no owner left: keep one".to_owned())
}
