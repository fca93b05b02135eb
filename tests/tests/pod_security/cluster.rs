//! The policy and the sample's bindings as objects of a cluster.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tests::{Namespace, World, refusal};
use xtask::workspace;

fn read(path: &str) -> String {
    std::fs::read_to_string(workspace::root().join(path)).unwrap()
}

fn pod(namespace: &Namespace, name: &str, security: &Value) -> Pod {
    let mut pod = serde_json::to_value(namespace.pod(name, &[])).unwrap();
    pod["spec"]["containers"][0]["securityContext"] = security.clone();
    serde_json::from_value(pod).unwrap()
}

#[tokio::test]
async fn pods_are_refused_and_ephemeral_containers_too() {
    let namespace = World::shared().namespace("baseline").await;
    namespace.policies(&read("policies/library/pod-security/policy.yaml")).await;
    let bindings = read("deploy/samples/pod-security/bindings.yaml");
    namespace.policies(&bindings.replace("team-*", &namespace.name)).await;

    let pods = namespace.pods();
    let bad = pod(&namespace, "bad", &json!({"privileged": true}));
    let refused = refusal(pods.create(&PostParams::default(), &bad).await);
    assert_eq!((refused.code, refused.reason.as_str()), (403, "policy_denied"));
    let message = "container \"web\" has securityContext.privileged: true; leave it unset or false";
    assert!(refused.message.contains(message), "{}", refused.message);

    let good = pod(&namespace, "good", &json!({"privileged": false}));
    pods.create(&PostParams::default(), &good).await.unwrap();
    let debug = |security: Value| {
        let container = json!({"name": "debug", "image": "busybox", "securityContext": security});
        Patch::Strategic(json!({"spec": {"ephemeralContainers": [container]}}))
    };
    let attach = async |security: Value| {
        let patch = debug(security);
        pods.patch_subresource("ephemeralcontainers", "good", &PatchParams::default(), &patch).await
    };
    let refused = refusal(attach(json!({"capabilities": {"add": ["SYS_ADMIN"]}})).await);
    assert!(refused.message.contains("ephemeral container \"debug\" has"), "{}", refused.message);
    attach(json!({})).await.unwrap();
}
