//! Attacks on the walls, with the tenants' own credentials.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tests::{ADMIN, ALICE, BOB, World, refusal, until};

use crate::{Tenant, create, namespaces, until_may_create};

#[tokio::test]
async fn nobody_enters_or_takes_a_namespace_of_another_tenant() {
    Tenant::create("castle", "{members: [{kind: User, name: alice, role: owner}]}").await;
    Tenant::create("rivals", "{members: [{kind: User, name: bob, role: owner}]}").await;
    until_may_create(BOB, "rivals-x").await;
    create(ADMIN, "castle-keep", json!({"bailey.dev/tenant": "castle"})).await.unwrap();

    // Bailey's wall: the label says whose a new namespace is.
    let refused = refusal(create(BOB, "castle-moat", json!({"bailey.dev/tenant": "castle"})).await);
    assert_eq!(refused.reason, "tenant_denied");
    assert!(refused.message.contains("no owner of the tenant `castle`"), "{}", refused.message);

    // RBAC's wall: what is in another tenant's namespace, and the namespace itself.
    let denied = |error: kube::Error| matches!(error, kube::Error::Api(status) if status.code == 403);
    let inside: Api<ConfigMap> = Api::namespaced(World::shared().client(BOB).await, "castle-keep");
    assert!(denied(inside.list(&ListParams::default()).await.unwrap_err()));
    let theirs = namespaces(BOB).await;
    assert!(denied(theirs.get("castle-keep").await.unwrap_err()));
    assert!(denied(theirs.delete("castle-keep", &Default::default()).await.unwrap_err()));
    let take = json!({"metadata": {"labels": {"bailey.dev/tenant": "rivals"}}});
    let patched = theirs.patch("castle-keep", &PatchParams::default(), &Patch::Merge(&take)).await;
    assert!(denied(patched.unwrap_err()));
    let apply = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "castle-keep", "labels": {"bailey.dev/tenant": "rivals"}}});
    let applied =
        theirs.patch("castle-keep", &PatchParams::apply("bob").force(), &Patch::Apply(&apply)).await;
    assert!(denied(applied.unwrap_err()));
    assert!(denied(theirs.list(&ListParams::default()).await.unwrap_err()), "nobody lists all namespaces");
}

#[tokio::test]
async fn whoever_may_update_namespaces_still_cannot_move_one() {
    Tenant::create("fixed", "{members: [{kind: User, name: bob, role: owner}]}").await;
    create(ADMIN, "fixed-one", json!({"bailey.dev/tenant": "fixed"})).await.unwrap();
    let admin = tests::Objects::new(World::shared().client(ADMIN).await);
    // An administrator's mistake: alice may change every namespace.
    admin.apply_all(&mistake()).await;
    let all = namespaces(ALICE).await;
    until("alice has the right", async || all.get("fixed-one").await.is_ok()).await;
    let merge = |label: serde_json::Value| json!({"metadata": {"labels": {"bailey.dev/tenant": label}}});
    for label in [json!("rivals"), json!(null)] {
        let patched = all.patch("fixed-one", &PatchParams::default(), &Patch::Merge(&merge(label))).await;
        let refused = refusal(patched);
        assert_eq!(refused.reason, "tenant_denied");
        assert!(refused.message.contains("only an administrator"), "{}", refused.message);
    }
    let status =
        all.patch_status("fixed-one", &PatchParams::default(), &Patch::Merge(&merge(json!("rivals")))).await;
    assert_eq!(refusal(status).reason, "tenant_denied");
    let owned = json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1"}]}});
    let patched = all.patch("fixed-one", &PatchParams::default(), &Patch::Merge(&owned)).await;
    assert!(refusal(patched).message.contains("ownerReferences"));
    // What is no wall is hers to change, with that right.
    let harmless = json!({"metadata": {"labels": {"color": "blue"}}});
    all.patch("fixed-one", &PatchParams::default(), &Patch::Merge(&harmless)).await.unwrap();
}

fn mistake() -> String {
    "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: mistake}
rules: [{apiGroups: [''], resources: [namespaces, namespaces/status, namespaces/finalize], verbs: [get, update, patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: mistake}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: mistake}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
"
    .to_owned()
}

#[tokio::test]
async fn a_suspended_tenant_keeps_what_it_has_and_gets_nothing_new() {
    let members = "members: [{kind: User, name: alice, role: owner}]";
    let tenant = Tenant::create("asleep", &format!("{{{members}}}")).await;
    create(ADMIN, "asleep-one", json!({"bailey.dev/tenant": "asleep"})).await.unwrap();
    let inside: Api<ConfigMap> = Api::namespaced(World::shared().client(ALICE).await, "asleep-one");
    let object = |name: &str| serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    until("alice may write", async || {
        let created = inside.create(&PostParams::default(), &object("kept")).await;
        created.is_ok() || inside.get("kept").await.is_ok()
    })
    .await;
    tenant.set(&format!("{{{members}, suspended: true}}")).await;
    let refused = refusal(inside.create(&PostParams::default(), &object("new")).await);
    assert_eq!(refused.reason, "tenant_suspended");
    assert!(refused.message.contains("until it is resumed"), "{}", refused.message);
    inside.get("kept").await.unwrap();
    inside.delete("kept", &Default::default()).await.unwrap();
    tenant.set(&format!("{{{members}}}")).await;
    inside.create(&PostParams::default(), &object("new")).await.unwrap();
}
