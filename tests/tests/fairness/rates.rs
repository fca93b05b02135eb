//! How often tenants may change things, held by the webhook.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use tests::{ADMIN, ALICE, BOB, World, give_namespace, https_client, until, until_some};

use crate::Flows;

/// Asks without a client that waits by itself and tries again.
async fn create_once(user: tests::User, namespace: &str, name: &str) -> reqwest::Response {
    let file = std::fs::read(World::shared().access().kubeconfig(user)).unwrap();
    let config: Value = serde_json::from_slice(&file).unwrap();
    let server = config["clusters"][0]["cluster"]["server"].as_str().unwrap();
    let client = https_client(&World::shared().access().authority());
    let request = client.post(format!("{server}/api/v1/namespaces/{namespace}/configmaps"));
    let request = request.bearer_auth(config["users"][0]["user"]["token"].as_str().unwrap());
    request.json(&json!({"metadata": {"name": name}})).send().await.unwrap()
}

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
    let refused = until_some("alice has written too often", async || {
        let answer = create_once(ALICE, "scribes-one", "map").await;
        (answer.status() == 429).then_some(answer)
    })
    .await;
    // Who would wait for a quarter of an hour is told so, and waits no longer than for that.
    assert!(!refused.headers().contains_key("retry-after"));
    let status: Value = refused.json().await.unwrap();
    assert!(status["details"]["retryAfterSeconds"].is_null(), "{status}");
    let message = status["message"].as_str().unwrap();
    let limit = "tenant scribes may send 0.001 requests of class `write` per second, and 4 at once; the next one passes in 16 min";
    assert!(message.contains(limit), "{message}");
    let told =
        World::shared().kubectl(ALICE, &["create", "configmap", "one-more", "--namespace=scribes-one"]);
    assert!(!told.status.success() && String::from_utf8_lossy(&told.stderr).contains(limit), "{told:?}");
    let cause = &status["details"]["causes"][0]["reason"];
    assert_eq!(cause, "rate_limited", "{status}");
    // Neither an administrator in that namespace nor another tenant notices.
    for number in 0..6 {
        create(ADMIN, "scribes-one", &format!("admin-{number}")).await.unwrap();
        create(BOB, "poets-one", &format!("map-{number}")).await.unwrap();
    }
    flows.class("slow-writes", json!({})).await.unwrap();
    until("the class has no rate any more", async || {
        create_once(ALICE, "scribes-one", "last").await.status() == 201
    })
    .await;
}
