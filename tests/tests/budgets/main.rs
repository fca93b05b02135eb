//! Budgets of tenants, on a real API server with its own quota plugin and controllers.

mod commands;
mod devices;
mod exact;
mod life;
mod limits;
mod native;
mod native_race;
mod pods;
mod race;
mod requests;
mod silence;
mod sums;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ResourceQuota, Secret, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tests::{
    ADMIN, ALICE, Objects, Tenant, User, World, documents, give_namespace, is_forbidden, refusal, until,
};

/// A tenant whose owner has these namespaces, and a budget.
async fn tenant(name: &str, owner: &str, quota: &str, namespaces: &[&str]) -> Tenant {
    let spec = format!(
        "{{members: [{{kind: User, name: {owner}, role: owner}}], namespaces: {{prefix: ''}}, quota: {quota}}}"
    );
    let tenant = Tenant::create(name, &spec).await;
    for namespace in namespaces {
        give_namespace(World::shared(), name, namespace).await;
    }
    tenant
}

async fn maps(user: User, namespace: &str) -> Api<ConfigMap> {
    Api::namespaced(World::shared().client(user).await, namespace)
}

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

async fn create(maps: &Api<ConfigMap>, name: &str) -> kube::Result<ConfigMap> {
    maps.create(&PostParams::default(), &map(name)).await
}

/// Waits until the owner may write, and the namespace has what Kubernetes puts into it.
async fn until_ready(user: User, namespace: &str) -> Api<ConfigMap> {
    let maps = maps(user, namespace).await;
    until("the namespace is ready", async || {
        maps.get_opt("kube-root-ca.crt").await.is_ok_and(|map| map.is_some())
    })
    .await;
    until("the owner may write", async || {
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        !is_forbidden(maps.create(&dry, &map("dry")).await)
    })
    .await;
    maps
}

async fn count(maps: &Api<ConfigMap>) -> usize {
    maps.list(&ListParams::default()).await.unwrap().items.len()
}
