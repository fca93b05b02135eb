//! What is created the instant a namespace exists.

use futures::future::join_all;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use tests::CAROL;

use crate::*;

const ROUNDS: usize = 24;

/// carol owns the tenant, and has every right in every namespace at once.
async fn set_up() {
    Objects::new(World::shared().client(ADMIN).await).apply_all(MISTAKE).await;
    Tenant::create("newborn", "{members: [{kind: User, name: carol, role: owner}]}").await;
    until_may_create(CAROL, "newborn-x").await;
}

#[tokio::test]
async fn no_pod_and_no_hole_comes_before_the_walls() {
    set_up().await;
    let (carol, admin) = (World::shared().client(CAROL).await, World::shared().client(ADMIN).await);
    let names: Vec<String> = (0..ROUNDS).map(|round| format!("newborn-{round}")).collect();
    // One at a time nothing slows the requests down, and together they slow down the watch.
    let (alone, together) = names.split_at(ROUNDS / 2);
    for name in alone {
        one(name, &carol, &admin).await;
    }
    join_all(together.iter().map(|name| one(name, &carol, &admin))).await;
}

/// One namespace: its maker sends everything at once, again and again, until the Pod is there.
async fn one(name: &str, carol: &Client, admin: &Client) {
    create(CAROL, name, json!({})).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(carol.clone(), name);
    let bindings: Api<kube::api::DynamicObject> =
        api(carol, name, "rbac.authorization.k8s.io", "RoleBinding");
    let policies: Api<kube::api::DynamicObject> = api(carol, name, "networking.k8s.io", "NetworkPolicy");
    let object = |yaml: &str| serde_json::from_value(documents(yaml).swap_remove(0)).unwrap();
    let everybody = object(
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: all}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'system:authenticated'}]}",
    );
    let open = object(
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: open}, spec: {podSelector: {}, ingress: [{}]}}",
    );
    let params = PostParams::default();
    let web = pod("web", "registry.example.com/c");
    until("the Pod is there", async || {
        let (binding, policy, started) = tokio::join!(
            bindings.create(&params, &everybody),
            policies.create(&params, &open),
            pods.create(&params, &web),
        );
        for (what, result) in [("everybody bound", binding), ("an open network", policy)] {
            assert!(result.is_err(), "{what} in {name}: {result:?}");
        }
        started.is_ok()
    })
    .await;
    // It is there: so is what isolates it.
    let isolation: Api<NetworkPolicy> = Api::namespaced(admin.clone(), name);
    assert!(isolation.get_opt("bailey-isolation").await.unwrap().is_some(), "{name}");
    let labels = namespaces(ADMIN).await.get(name).await.unwrap().metadata.labels.unwrap();
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "baseline", "{name}");
    assert_eq!(labels["bailey.dev/walls"], "standing", "{name}");
}

fn api(client: &Client, namespace: &str, group: &str, kind: &str) -> Api<kube::api::DynamicObject> {
    let kind = kube::core::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(group, "v1", kind));
    Api::namespaced_with(client.clone(), namespace, &kind)
}
