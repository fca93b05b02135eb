//! What the webhook answers to bodies that no API server would send, and to strangers.

use reqwest::{Certificate, Client, Identity, StatusCode};
use serde_json::{Value, json};
use tests::World;

fn client(world: &World, with_certificate: bool) -> Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let access = world.access();
    let authority = Certificate::from_pem(&std::fs::read(access.authority()).unwrap()).unwrap();
    let mut builder = Client::builder().tls_certs_only([authority]).no_proxy();
    if with_certificate {
        let issued = access.webhook_client();
        let mut pem = std::fs::read(issued.certificate).unwrap();
        pem.extend(std::fs::read(issued.key).unwrap());
        builder = builder.identity(Identity::from_pem(&pem).unwrap());
    }
    builder.build().unwrap()
}

async fn send(body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
    let world = World::shared();
    let url = format!("https://127.0.0.1:{}/validate?timeout=5s", world.bailey.settings.webhook_port);
    let request = client(world, true).post(url).header("content-type", "application/json").body(body);
    let response = request.send().await.unwrap();
    (response.status(), serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

fn review(version: &str) -> Value {
    let pods = json!({"group": "", "version": "v1", "resource": "pods"});
    json!({
        "apiVersion": format!("admission.k8s.io/{version}"),
        "kind": "AdmissionReview",
        "request": {
            "uid": "3b0c6a1e-9d07-4c4e-8a0b-5f9a0e7b5a11",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": pods,
            "name": "web",
            "namespace": "default",
            "operation": "CREATE",
            "userInfo": {"username": "alice", "groups": ["tenants"]},
            "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}},
            "dryRun": true,
        },
    })
}

#[tokio::test]
async fn a_review_of_v1_is_answered() {
    let (status, answer) = send(review("v1").to_string()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["response"]["uid"], "3b0c6a1e-9d07-4c4e-8a0b-5f9a0e7b5a11");
    assert_eq!(answer["response"]["allowed"], true, "{answer}");
}

#[tokio::test]
async fn a_review_of_v1beta1_is_refused_with_what_would_pass() {
    let (_, answer) = send(review("v1beta1").to_string()).await;
    let text = answer.to_string();
    assert!(text.contains("review_version") && text.contains("v1beta1") && text.contains("v1"), "{answer}");
    assert_ne!(answer["response"]["allowed"], true, "{answer}");
}

#[tokio::test]
async fn bodies_that_are_no_review_are_refused_and_hurt_nobody() {
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let mut without_uid = review("v1");
    without_uid["request"].as_object_mut().unwrap().remove("uid");
    let whole = review("v1").to_string();
    let truncated = whole[..whole.len() / 2].to_owned();
    for body in [String::new(), "null".to_owned(), "{}".to_owned(), deep, without_uid.to_string(), truncated]
    {
        let start: String = body.chars().take(40).collect();
        let (status, answer) = send(body).await;
        assert_ne!(answer["response"]["allowed"], true, "`{start}`: {answer}");
        assert!(
            status.is_client_error() || answer["response"]["allowed"] == false,
            "`{start}`: {status} {answer}"
        );
    }
    let (status, answer) = send(whole).await;
    assert_eq!((status, &answer["response"]["allowed"]), (StatusCode::OK, &Value::Bool(true)));
}

#[tokio::test]
async fn only_the_api_server_is_answered() {
    let world = World::shared();
    let url = format!("https://127.0.0.1:{}/validate", world.bailey.settings.webhook_port);
    let sent = client(world, false).post(url).body(review("v1").to_string()).send().await;
    // Refused in the handshake, or with a status: never with a verdict.
    if let Ok(response) = sent {
        assert!(response.status().is_client_error(), "{}", response.status());
    }
}
