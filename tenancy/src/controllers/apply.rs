//! Takes the steps of a plan.

use futures::StreamExt;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::plan::{Binding, Key, MANAGED, MANAGED_LABEL, Step, cluster_role};
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
            Step::Apply(key, binding) => apply(client, key, binding).await,
            Step::Delete(key) => delete(client, key).await,
        };
        (step, result.map_err(|error| api_message(&error)))
    });
    each.buffer_unordered(WRITES).collect().await
}

async fn apply(client: &Client, key: &Key, binding: &Binding) -> kube::Result<()> {
    let (namespace, name) = key;
    let parameters = PatchParams::apply(MANAGER).force();
    if namespace.is_empty() {
        let object = Patch::Apply(object("ClusterRoleBinding", name, binding));
        Api::<ClusterRoleBinding>::all(client.clone()).patch(name, &parameters, &object).await.map(drop)
    } else {
        let object = Patch::Apply(object("RoleBinding", name, binding));
        Api::<RoleBinding>::namespaced(client.clone(), namespace)
            .patch(name, &parameters, &object)
            .await
            .map(drop)
    }
}

async fn delete(client: &Client, (namespace, name): &Key) -> kube::Result<()> {
    let now = DeleteParams::default();
    let deleted = if namespace.is_empty() {
        Api::<ClusterRoleBinding>::all(client.clone()).delete(name, &now).await.map(drop)
    } else {
        Api::<RoleBinding>::namespaced(client.clone(), namespace).delete(name, &now).await.map(drop)
    };
    match deleted {
        // Gone already, maybe with its namespace.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        deleted => deleted,
    }
}

fn object(kind: &str, name: &str, binding: &Binding) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": {MANAGED_LABEL: MANAGED}},
        "roleRef": cluster_role(&binding.role),
        "subjects": binding.subjects,
    })
}
