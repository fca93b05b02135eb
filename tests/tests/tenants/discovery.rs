//! Every kind that the API server serves, tried by a user of another tenant.

use kube::Api;
use kube::api::{DynamicObject, ListParams};
use kube::discovery::{Scope, verbs};
use serde_json::json;
use tests::{ADMIN, ALICE, BOB, User, World, is_forbidden, kinds, let_in};

use crate::{Tenant, create, until_may_create};

#[tokio::test]
async fn no_kind_of_another_tenant_is_read_or_written() {
    let world = World::shared();
    Tenant::create("fort-a", "{members: [{kind: Group, name: team-a, role: owner}]}").await;
    Tenant::create("fort-b", "{members: [{kind: Group, name: team-b, role: owner}]}").await;
    create(ADMIN, "fort-a-one", json!({"bailey.dev/tenant": "fort-a"})).await.unwrap();
    create(ADMIN, "fort-b-one", json!({"bailey.dev/tenant": "fort-b"})).await.unwrap();
    until_may_create(ALICE, "fort-a-x").await;
    let kinds = kinds(world).await;
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
    for (kind, can) in kinds(World::shared()).await.iter().filter(|(_, can)| can.scope == Scope::Cluster) {
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
    for (kind, can) in kinds(World::shared()).await.iter().filter(|(_, can)| can.scope == Scope::Namespaced) {
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
