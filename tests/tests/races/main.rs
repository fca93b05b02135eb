//! Requests that race each other, the watch and the controllers, on a real API server: each race is run often
//! enough to be lost now and then without what holds it.

mod hostnames;
mod limits;
mod newborn;
mod rights;
mod successors;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;
use tests::{
    ADMIN, ALICE, BOB, Objects, Tenant, User, World, create_namespace as create, documents, namespaces,
    refusal, until, until_may_create,
};

/// Rights in every namespace, by an administrator's mistake: RBAC then waits for nothing.
const MISTAKE: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: carol-everywhere}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: carol}]
";

fn pod(name: &str, image: &str) -> Pod {
    let containers = json!([{"name": "c", "image": image}]);
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"containers": containers}})).unwrap()
}

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

/// Creates a ConfigMap in a namespace.
async fn write(client: &Client, namespace: &str, name: &str) -> kube::Result<ConfigMap> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    maps.create(&PostParams::default(), &config_map(name)).await
}

/// Waits until a namespace is gone.
async fn until_gone(name: &str) {
    let all = namespaces(ADMIN).await;
    until("the namespace is gone", async || all.get_opt(name).await.unwrap().is_none()).await;
}
