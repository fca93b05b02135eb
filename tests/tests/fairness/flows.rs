//! How requests find their level.

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use tests::command::Said;
use tests::{ADMIN, World, until, until_some};

use crate::{Flows, Went};

/// A token of the account `default`, as its Pods have it.
async fn token(namespace: &str) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(World::shared().client(ADMIN).await, namespace);
    let request = TokenRequest {
        spec: Some(TokenRequestSpec { expiration_seconds: Some(600), ..TokenRequestSpec::default() }),
        ..TokenRequest::default()
    };
    until_some("the account has a token", async || {
        let made = accounts.create_token_request("default", &PostParams::default(), &request).await.ok()?;
        made.status.and_then(|status| status.token)
    })
    .await
}

#[tokio::test]
async fn users_groups_and_accounts_of_a_tenant_are_one_flow_in_the_level_of_its_class() {
    let flows = Flows::new().await;
    flows.class("flows-gold", json!({"priorityLevel": {"shares": 60}})).await.unwrap();
    let members = "{kind: User, name: flows-ann}, {kind: Group, name: flows-staff}";
    flows.tenant("flows", &format!("{{fairnessClass: flows-gold, members: [{members}]}}")).await;
    flows.until_class("flows-gold", "Ready", "InSync").await;
    for schema in ["bailey.tenant.flows", "bailey.lists.flows", "bailey.own"] {
        flows.until_in_effect(schema).await;
    }

    let (one, all) = ("/api/v1/namespaces/flows-web/pods/x", "/api/v1/namespaces/flows-web/pods");
    let own = Went::to("bailey.tenant.flows", "tenants-flows-gold");
    let lists = Went::to("bailey.lists.flows", "tenant-lists-flows-gold");
    flows.until_goes("flows-ann", &[], one, &own).await;
    flows.until_goes("flows-ann", &[], all, &lists).await;
    flows.until_goes("flows-bea", &["flows-staff"], one, &own).await;
    // The namespace itself is in it.
    flows.until_goes("flows-ann", &[], "/api/v1/namespaces/flows-web", &own).await;
    let token = token("flows-web").await;
    until("the account has the tenant's flow", async || flows.went_with_token(&token, one).await == own)
        .await;
    assert_eq!(flows.went_with_token(&token, all).await, lists);
    // Wherever it asks, and where there is no resource at all.
    for path in ["/api/v1/namespaces/default/pods/x", "/api/v1/nodes/x", "/version"] {
        assert_eq!(flows.went_with_token(&token, path).await, own, "{path}");
    }

    // Who is no member is in no tenant's flow, whatever they ask about.
    let stranger = flows.went("flows-eve", &[], one).await;
    assert_eq!(stranger, Went::to("global-default", "global-default"));
    let account = flows.went("system:serviceaccount:default:default", &[], one).await;
    assert_eq!(account, Went::to("service-accounts", "workload-low"));
    // Bailey itself goes before tenants, and is not exempt.
    let bailey = flows.went("system:serviceaccount:bailey-system:bailey", &[], one).await;
    assert_eq!(bailey, Went::to("bailey.own", "workload-high"));
}

#[tokio::test]
async fn an_owner_who_names_strangers_takes_them_along_into_the_tenants_namespaces_only() {
    let (flows, world) = (Flows::new().await, World::shared());
    flows.class("strangers-low", json!({"priorityLevel": {"shares": 5}})).await.unwrap();
    flows.class("strangers-high", json!({"priorityLevel": {"shares": 60}})).await.unwrap();
    // Before the other one by name, and of a worse class.
    let members = "{kind: User, name: alice, role: owner}";
    flows.tenant("astranger", &format!("{{fairnessClass: strangers-low, members: [{members}]}}")).await;
    let members = "{kind: User, name: strangers-ann}, {kind: Group, name: strangers-staff}";
    flows.tenant("stranger", &format!("{{fairnessClass: strangers-high, members: [{members}]}}")).await;
    let (theirs, own) = ("/api/v1/namespaces/astranger-web/pods/x", "/api/v1/namespaces/stranger-web/pods/x");
    let good = Went::to("bailey.tenant.stranger", "tenants-strangers-high");
    flows.until_goes("strangers-ann", &[], own, &good).await;
    let robot = token("stranger-web").await;
    until("the account has its tenant's flow", async || flows.went_with_token(&robot, own).await == good)
        .await;

    // The owner names the users, groups and accounts of the other tenant, and of no tenant.
    let named = json!([
        {"kind": "User", "name": "alice", "role": "owner"},
        {"kind": "User", "name": "strangers-ann"}, {"kind": "User", "name": "strangers-free"},
        {"kind": "Group", "name": "strangers-staff"}, {"kind": "Group", "name": "strangers-platform"},
        {"kind": "ServiceAccount", "name": "default", "namespace": "stranger-web"},
        {"kind": "ServiceAccount", "name": "default", "namespace": "default"},
    ]);
    let patch = json!({"spec": {"members": named}}).to_string();
    let arguments = ["patch", "tenants.bailey.dev", "astranger", "--type=merge", "-p", &patch];
    Said::until(|| Said::of(&world.kubectl(tests::ALICE, &arguments)), |said| said.code == 0).await;
    let bad = Went::to("bailey.tenant.astranger", "tenants-strangers-low");
    let unnamed = "system:serviceaccount:default:default";
    let people = [
        ("strangers-ann", &[][..]),
        ("strangers-free", &[]),
        ("strangers-bea", &["strangers-staff"]),
        ("strangers-tom", &["strangers-platform"]),
        (unnamed, &[]),
    ];
    for (user, groups) in people {
        flows.until_goes(user, groups, theirs, &bad).await;
    }

    // Elsewhere each has the flow that it had.
    let by_user = Went::to("global-default", "global-default");
    for path in ["/api/v1/nodes/x", "/api/v1/nodes", "/version", "/api/v1/namespaces/default/pods/x"] {
        for (user, groups) in people.into_iter().filter(|(user, _)| *user != unnamed) {
            assert_eq!(flows.went(user, groups, path).await, by_user, "{user}: {path}");
        }
        assert_eq!(
            flows.went(unnamed, &[], path).await,
            Went::to("service-accounts", "workload-low"),
            "{path}"
        );
    }
    assert_eq!(flows.went("strangers-ann", &[], own).await, good);
    assert_eq!(flows.went("strangers-bea", &["strangers-staff"], own).await, good);
    assert_eq!(flows.went("strangers-free", &[], own).await, by_user);
    // An account is its own tenant's even in the namespaces of who names it.
    for path in [own, theirs, "/api/v1/nodes/x", "/version"] {
        assert_eq!(flows.went_with_token(&robot, path).await, good, "{path}");
    }
}
