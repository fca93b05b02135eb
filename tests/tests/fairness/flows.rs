//! How requests find their level.

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use tests::{ADMIN, World, give_namespace, until, until_some};

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
    give_namespace(World::shared(), "flows", "flows-web").await;
    flows.until_class("flows-gold", "Ready", "InSync").await;
    for schema in ["bailey.tenant.flows", "bailey.lists.flows", "bailey.own"] {
        flows.until_in_effect(schema).await;
    }

    let (one, all) = ("/api/v1/namespaces/flows-web/pods/x", "/api/v1/namespaces/flows-web/pods");
    let own = Went::to("bailey.tenant.flows", "tenants-flows-gold");
    let lists = Went::to("bailey.lists.flows", "tenant-lists-flows-gold");
    flows.until_goes("flows-ann", &[], one, &own).await;
    flows.until_goes("flows-ann", &[], all, &lists).await;
    // Outside of its namespaces too, and where there is no resource at all.
    flows.until_goes("flows-ann", &[], "/api/v1/namespaces/default/pods/x", &own).await;
    flows.until_goes("flows-bea", &["flows-staff"], "/version", &own).await;
    let token = token("flows-web").await;
    until("the account has the tenant's flow", async || flows.went_with_token(&token, one).await == own)
        .await;
    assert_eq!(flows.went_with_token(&token, all).await, lists);

    // Who is no member is in no tenant's flow, whatever they ask about.
    let stranger = flows.went("flows-eve", &[], one).await;
    assert_eq!(stranger, Went::to("global-default", "global-default"));
    let account = flows.went("system:serviceaccount:default:default", &[], one).await;
    assert_eq!(account, Went::to("service-accounts", "workload-low"));
    // Bailey itself goes before tenants, and is not exempt.
    let bailey = flows.went("system:serviceaccount:bailey-system:bailey", &[], one).await;
    assert_eq!(bailey, Went::to("bailey.own", "workload-high"));
}
