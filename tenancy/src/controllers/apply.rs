//! Takes the steps of a plan.

use std::collections::BTreeMap;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::{GroupVersionKind, Status};
use kube::{Api, Client};
use model::MANAGED_LABEL;
use serde_json::{Value, json};

use super::plan::{Key, Kind, MANAGED, Step};
use crate::cluster::api_message;

/// The name under which fields are owned.
pub(super) const MANAGER: &str = "bailey-tenants";
/// The most writes at once.
const WRITES: usize = 16;

/// Takes every step: deletions first, bindings last, for their roles have to be there. Says of each what came of it:
/// whether it was taken, or its namespace was gone.
pub(super) async fn take(client: &Client, steps: Vec<Step>) -> Vec<(Step, Result<bool, String>)> {
    let mut stages = [Vec::new(), Vec::new(), Vec::new()];
    for step in steps {
        let [deletions, others, bindings] = &mut stages;
        let stage = match &step {
            Step::Delete(_) => deletions,
            Step::Apply(key, _) if matches!(key.kind, Kind::RoleBinding | Kind::ClusterRoleBinding) => {
                bindings
            }
            Step::Apply(..) | Step::Label(..) => others,
        };
        stage.push(step);
    }
    let mut results = Vec::new();
    for stage in stages {
        results.extend(all(client, stage).await);
    }
    results
}

async fn all(client: &Client, steps: Vec<Step>) -> Vec<(Step, Result<bool, String>)> {
    let each = futures::stream::iter(steps).map(|step| async move {
        let result = match &step {
            Step::Label(namespace, labels) => label(client, namespace, labels).await,
            Step::Apply(key, fields) => apply(client, key, fields).await,
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
) -> kube::Result<bool> {
    let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let patched = Api::<Namespace>::all(client.clone()).patch_metadata(namespace, &parameters, &patch).await;
    unless_gone(patched.map(drop))
}

async fn apply(client: &Client, key: &Key, fields: &Value) -> kube::Result<bool> {
    let parameters = PatchParams::apply(MANAGER).force();
    let applied = api(client, key).patch(&key.name, &parameters, &Patch::Apply(manifest(key, fields))).await;
    unless_gone(applied.map(drop))
}

async fn delete(client: &Client, key: &Key) -> kube::Result<bool> {
    match api(client, key).delete(&key.name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(true),
        result => result.map(|_| true),
    }
}

/// Whether it was done: what is gone with its namespace needs nothing, and is not there either. A binding whose role is missing is not found either: that is
/// an error.
fn unless_gone(result: kube::Result<()>) -> kube::Result<bool> {
    match result {
        Err(kube::Error::Api(status)) if is_gone(&status) => Ok(false),
        result => result.map(|()| true),
    }
}

fn is_gone(status: &Status) -> bool {
    let kind = status.details.as_ref().map(|details| details.kind.as_str());
    let missing = status.code == 404 && kind == Some("namespaces");
    missing || status.message.contains("because it is being terminated")
}

/// The resource of a kind.
pub(super) fn resource(kind: Kind) -> ApiResource {
    let (group, kind) = kind.group_and_kind();
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind))
}

fn api(client: &Client, key: &Key) -> Api<DynamicObject> {
    let resource = resource(key.kind);
    match key.namespace.as_str() {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    }
}

fn manifest(key: &Key, fields: &Value) -> Value {
    let resource = resource(key.kind);
    let mut object = fields.clone();
    if let Some(object) = object.as_object_mut() {
        object.insert("apiVersion".to_owned(), resource.api_version.into());
        object.insert("kind".to_owned(), resource.kind.into());
        let metadata = json!({"name": key.name, "labels": {MANAGED_LABEL: MANAGED}});
        object.insert("metadata".to_owned(), metadata);
    }
    object
}
