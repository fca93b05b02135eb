//! How often tenants may change things, held by the webhook.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use tests::{ADMIN, ALICE, BOB, World, give_namespace, refusal, until, until_some};

use crate::Flows;

async fn create(user: tests::User, namespace: &str, name: &str) -> kube::Result<ConfigMap> {
    let maps: Api<ConfigMap> = Api::namespaced(World::shared().client(user).await, namespace);
    let map = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    maps.create(&PostParams::default(), &map).await
}

#[tokio::test]
async fn a_tenant_that_writes_too_often_is_told_when_to_come_again() {
    let flows = Flows::new().await;
    let limit = json!({"tenant": {"requests": 1, "seconds": 1000, "burst": 4}});
    flows.class("slow-writes", json!({"rates": {"write": limit}})).await.unwrap();
    let owner = |name: &str| format!("[{{kind: User, name: {name}, role: owner}}]");
    let slow =
        format!("{{fairnessClass: slow-writes, members: {}, namespaces: {{prefix: ''}}}}", owner("alice"));
    let free = format!("{{members: {}, namespaces: {{prefix: ''}}}}", owner("bob"));
    let _tenants = (flows.tenant("scribes", &slow).await, flows.tenant("poets", &free).await);
    give_namespace(World::shared(), "scribes", "scribes-one").await;
    give_namespace(World::shared(), "poets", "poets-one").await;
    until("bob may write", async || create(BOB, "poets-one", "first").await.is_ok()).await;
    // Requests that RBAC refuses never come to the webhook.
    let refused =
        until_some("alice has written too often", async || match create(ALICE, "scribes-one", "map").await {
            Err(kube::Error::Api(status)) if status.code == 429 => Some(status),
            _ => None,
        })
        .await;
    assert!(
        refused
            .message
            .contains("tenant scribes may send 0.001 requests of class `write` per second, and 4 at once"),
        "{refused:?}"
    );
    let wait = refused.details.as_ref().and_then(|details| details.retry_after_seconds).unwrap_or_default();
    assert!(wait > 600, "{refused:?}");
    assert_eq!(refusal(create(ALICE, "scribes-one", "other").await).reason, "rate_limited");
    // Neither an administrator in that namespace nor another tenant notices.
    for number in 0..6 {
        create(ADMIN, "scribes-one", &format!("admin-{number}")).await.unwrap();
        create(BOB, "poets-one", &format!("map-{number}")).await.unwrap();
    }
    flows.class("slow-writes", json!({})).await.unwrap();
    until("the class has no rate any more", async || create(ALICE, "scribes-one", "last").await.is_ok())
        .await;
}
