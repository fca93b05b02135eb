//! Rights of members, given, taken away and kept.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use tests::{ADMIN, ALICE, BOB, User, World, until};

use crate::{Tenant, create};

async fn may_list<K>(user: User, namespace: &str) -> bool
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
    K::DynamicType: Default,
{
    let api: Api<K> = Api::namespaced(World::shared().client(user).await, namespace);
    api.list(&ListParams::default().limit(1)).await.is_ok()
}

#[tokio::test]
async fn a_viewer_reads_but_no_secrets_and_loses_it_with_the_membership() {
    let owner = "{kind: User, name: alice, role: owner}";
    let with_bob = format!("{{members: [{owner}, {{kind: User, name: bob, role: viewer}}]}}");
    let tenant = Tenant::create("viewed", &with_bob).await;
    create(ADMIN, "viewed-by-bob", json!({"bailey.dev/tenant": "viewed"})).await.unwrap();
    until("bob may look", async || may_list::<ConfigMap>(BOB, "viewed-by-bob").await).await;
    assert!(!may_list::<Secret>(BOB, "viewed-by-bob").await);

    tenant.set(&format!("{{members: [{owner}]}}")).await;
    until("bob may not look any more", async || !may_list::<ConfigMap>(BOB, "viewed-by-bob").await).await;
    assert!(may_list::<Secret>(ALICE, "viewed-by-bob").await);
}

#[tokio::test]
async fn drift_is_repaired_and_an_unchanged_cluster_is_left_alone() {
    let world = World::shared();
    Tenant::create("steady", "{members: [{kind: User, name: alice, role: owner}]}").await;
    create(ADMIN, "steady-one", json!({"bailey.dev/tenant": "steady"})).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(world.client(ADMIN).await, "steady-one");
    until("the bindings are there", async || bindings.get_opt("bailey-owners").await.unwrap().is_some())
        .await;
    let before = bindings.get("bailey-owners").await.unwrap().metadata;

    // Another tenant makes the controller look at everything again.
    Tenant::create("steadier", "{members: []}").await;
    let after = bindings.get("bailey-owners").await.unwrap().metadata;
    assert_eq!(after.resource_version, before.resource_version);

    bindings.delete("bailey-owners", &DeleteParams::default()).await.unwrap();
    until("it is back", async || {
        let found = bindings.get_opt("bailey-owners").await.unwrap();
        found.is_some_and(|found| found.metadata.uid != before.uid)
    })
    .await;
}
