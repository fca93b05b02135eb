//! Every kind that the API server serves, tried by a user of another tenant.

use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::discovery::{ApiCapabilities, ApiResource, Discovery, Scope, verbs};
use serde_json::json;
use tests::{ADMIN, ALICE, BOB, User, World};

use crate::{Tenant, create, until_may_create};

/// Every kind with what can be done with it.
async fn kinds() -> Vec<(ApiResource, ApiCapabilities)> {
    let discovery = Discovery::new(World::shared().client(ADMIN).await).run().await.unwrap();
    discovery.groups().flat_map(|group| group.recommended_resources()).collect()
}

/// What a user who may do nothing with a kind is let do all the same.
async fn let_in(api: &Api<DynamicObject>, kind: &ApiResource, can: &ApiCapabilities) -> Vec<&'static str> {
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "attack"},
    }))
    .unwrap();
    let merge = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    let (delete, list) = (DeleteParams::default(), ListParams::default());
    let mut found = Vec::new();
    let mut tried = |verb: &'static str, refused: bool| found.extend((!refused).then_some(verb));
    if can.supports_operation(verbs::LIST) {
        tried("list", is_forbidden(api.list(&list).await));
    }
    if can.supports_operation(verbs::GET) {
        tried("get", is_forbidden(api.get("attack").await));
    }
    if can.supports_operation(verbs::CREATE) {
        tried("create", is_forbidden(api.create(&PostParams::default(), &object).await));
    }
    if can.supports_operation(verbs::PATCH) {
        tried("patch", is_forbidden(api.patch("attack", &PatchParams::default(), &merge).await));
    }
    if can.supports_operation(verbs::DELETE) {
        tried("delete", is_forbidden(api.delete("attack", &delete).await));
    }
    if can.supports_operation(verbs::DELETE_COLLECTION) {
        tried("deletecollection", is_forbidden(api.delete_collection(&delete, &list).await));
    }
    found
}

/// Whether RBAC refused: 403, and not by an admission webhook.
fn is_forbidden<T>(result: kube::Result<T>) -> bool {
    matches!(result, Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains("cannot"))
}

#[tokio::test]
async fn no_kind_of_another_tenant_is_read_or_written() {
    let world = World::shared();
    Tenant::create("fort-a", "{members: [{kind: Group, name: team-a, role: owner}]}").await;
    Tenant::create("fort-b", "{members: [{kind: Group, name: team-b, role: owner}]}").await;
    create(ADMIN, "fort-a-one", json!({"bailey.dev/tenant": "fort-a"})).await.unwrap();
    create(ADMIN, "fort-b-one", json!({"bailey.dev/tenant": "fort-b"})).await.unwrap();
    until_may_create(ALICE, "fort-a-x").await;
    let kinds = kinds().await;
    let namespaced: Vec<_> = kinds.iter().filter(|(_, can)| can.scope == Scope::Namespaced).collect();
    assert!(namespaced.len() > 25, "only {} kinds were discovered", namespaced.len());
    for (user, namespace) in [(BOB, "fort-a-one"), (ALICE, "fort-b-one")] {
        let client = world.client(user).await;
        for (kind, can) in &namespaced {
            let api = Api::namespaced_with(client.clone(), namespace, kind);
            assert_eq!(let_in(&api, kind, can).await, [""; 0], "{} {namespace}: {kind:?}", user.name);
        }
    }
}

#[tokio::test]
async fn nothing_of_the_whole_cluster_is_an_owners() {
    Tenant::create("small", "{members: [{kind: User, name: alice, role: owner}]}").await;
    until_may_create(ALICE, "small-x").await;
    let client = World::shared().client(ALICE).await;
    for (kind, can) in kinds().await.iter().filter(|(_, can)| can.scope == Scope::Cluster) {
        let found = let_in(&Api::all_with(client.clone(), kind), kind, can).await;
        match kind.plural.as_str() {
            // The right to create namespaces is the owner's; a wall refuses this one for its name.
            "namespaces" => assert_eq!(found, ["create"]),
            // Everybody may ask who they are and what they may do.
            "selfsubjectreviews" | "selfsubjectaccessreviews" | "selfsubjectrulesreviews" => {}
            _ => assert_eq!(found, [""; 0], "{kind:?}"),
        }
    }
    // All objects of a kind at once, in every namespace.
    for (kind, can) in kinds().await.iter().filter(|(_, can)| can.scope == Scope::Namespaced) {
        if can.supports_operation(verbs::LIST) {
            let everywhere =
                Api::<DynamicObject>::all_with(client.clone(), kind).list(&ListParams::default()).await;
            assert!(is_forbidden(everywhere), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn nobody_becomes_somebody_else_or_gives_what_they_lack() {
    let world = World::shared();
    Tenant::create("humble", "{members: [{kind: User, name: alice, role: owner}]}").await;
    create(ADMIN, "humble-one", json!({"bailey.dev/tenant": "humble"})).await.unwrap();
    let said = |user: User, arguments: &[&str]| {
        let output = world.kubectl(user, arguments);
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let role = ["--namespace=humble-one", "create", "role", "r", "--verb=get", "--resource=pods"];
    tests::until("alice rules in her namespace", async || said(ALICE, &role).0).await;
    let attacks: [&[&str]; 7] = [
        &["get", "namespaces", "--as=admin", "--as-group=system:masters"],
        &["get", "namespaces", "--as=system:serviceaccount:bailey-system:bailey"],
        &[
            "--namespace=humble-one",
            "create",
            "rolebinding",
            "x",
            "--clusterrole=cluster-admin",
            "--user=alice",
        ],
        &["--namespace=humble-one", "create", "role", "x", "--verb=*", "--resource=*.*"],
        &["create", "clusterrolebinding", "x", "--clusterrole=admin", "--user=alice"],
        &["create", "clusterrole", "x", "--verb=get", "--resource=nodes"],
        &["--namespace=kube-system", "create", "token", "default"],
    ];
    for attack in attacks {
        let (passed, text) = said(ALICE, attack);
        assert!(!passed && text.to_lowercase().contains("forbidden"), "{attack:?}: {text}");
    }
    // The same within her limits.
    let own = ["--namespace=humble-one", "create", "rolebinding", "x", "--clusterrole=view", "--user=dave"];
    let (passed, text) = said(ALICE, &own);
    assert!(passed, "{text}");
}
