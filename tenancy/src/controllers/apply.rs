//! Takes the steps of a plan.

use std::collections::BTreeMap;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use model::MANAGED_LABEL;
use serde_json::{Value, json};

use super::plan::{Key, Kind, MANAGED, Object, RBAC, Step};
use crate::cluster::api_message;

/// The name under which fields are owned.
pub(super) const MANAGER: &str = "bailey-tenants";
/// The most writes at once.
const WRITES: usize = 8;

/// Takes every step, deletions before all others; says of each what came of it.
pub(super) async fn take(client: &Client, steps: Vec<Step>) -> Vec<(Step, Result<(), String>)> {
    let (deletions, others): (Vec<_>, Vec<_>) =
        steps.into_iter().partition(|step| matches!(step, Step::Delete(_)));
    let mut results = all(client, deletions).await;
    results.extend(all(client, others).await);
    results
}

async fn all(client: &Client, steps: Vec<Step>) -> Vec<(Step, Result<(), String>)> {
    let each = futures::stream::iter(steps).map(|step| async move {
        let result = match &step {
            Step::Apply(key, Object::Labels(labels)) => label(client, &key.name, labels).await,
            Step::Apply(key, object) => apply(client, key, object).await,
            Step::Delete(key) => delete(client, key).await,
        };
        (step, result.map_err(|error| api_message(&error)))
    });
    each.buffer_unordered(WRITES).collect().await
}

/// Sets labels of a namespace. One that is gone meanwhile is not made again.
pub(super) async fn label(
    client: &Client,
    namespace: &str,
    labels: &BTreeMap<String, String>,
) -> kube::Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let patched = Api::<Namespace>::all(client.clone()).patch_metadata(namespace, &parameters, &patch).await;
    unless_gone(patched.map(drop))
}

async fn apply(client: &Client, key: &Key, object: &Object) -> kube::Result<()> {
    let parameters = PatchParams::apply(MANAGER).force();
    let patch = Patch::Apply(manifest(key, object));
    let applied = api(client, key).patch(&key.name, &parameters, &patch).await;
    unless_gone(applied.map(drop))
}

async fn delete(client: &Client, key: &Key) -> kube::Result<()> {
    unless_gone(api(client, key).delete(&key.name, &DeleteParams::default()).await.map(drop))
}

/// What is gone already, maybe with its namespace, needs nothing.
fn unless_gone(result: kube::Result<()>) -> kube::Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        result => result,
    }
}

fn api(client: &Client, key: &Key) -> Api<DynamicObject> {
    let (group, kind) = group_and_kind(key.kind);
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
    match key.namespace.as_str() {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    }
}

const fn group_and_kind(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Namespace => ("", "Namespace"),
        Kind::NetworkPolicy => ("networking.k8s.io", "NetworkPolicy"),
        Kind::RoleBinding => (RBAC, "RoleBinding"),
        Kind::ClusterRoleBinding => (RBAC, "ClusterRoleBinding"),
    }
}

fn manifest(key: &Key, object: &Object) -> Value {
    let (group, kind) = group_and_kind(key.kind);
    let version = format!("{group}/v1");
    let metadata = json!({"name": key.name, "labels": {MANAGED_LABEL: MANAGED}});
    match object {
        Object::Network(spec) => {
            json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
        }
        Object::Binding(role, subjects) => json!({
            "apiVersion": version, "kind": kind, "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}, "subjects": subjects,
        }),
        // Labels are merged, not applied.
        Object::Labels(_) => Value::Null,
    }
}
