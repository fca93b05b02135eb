//! Subresources are asked about only where a binding names them.

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tests::{ALICE, World, refusal};

#[tokio::test]
async fn scaling_is_bounded_by_the_scale_subresource() {
    let namespace = World::shared().namespace("scale").await;
    namespace
        .policies_here(
            r#"apiVersion: bailey.dev/v1alpha1
kind: Policy
metadata: {name: NS}
spec:
  messages: {many: "{replicas} replicas are too many, {limit} pass"}
  rego:
    source: |
      package scale
      violation contains {"code": "many", "details": {"replicas": replicas, "limit": input.parameters.limit}} if {
        replicas := input.review.object.spec.replicas
        replicas > input.parameters.limit
      }
---
apiVersion: bailey.dev/v1alpha1
kind: PolicyBinding
metadata: {name: NS}
spec:
  policy: NS
  parameters: {limit: 3}
  match:
    resources: [{apiGroups: [apps], resources: [deployments], subresources: [scale], operations: [UPDATE]}]
    namespaces: [NS]
"#,
        )
        .await;
    let deployments: Api<Deployment> = namespace.api(ALICE);
    let object = json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "registry.example.com/web:1"}]},
            },
        },
    });
    deployments.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();

    let scale = |replicas: u32| Patch::Merge(json!({"spec": {"replicas": replicas}}));
    deployments.patch_scale("web", &PatchParams::default(), &scale(2)).await.unwrap();
    let refused = refusal(deployments.patch_scale("web", &PatchParams::default(), &scale(10)).await);
    assert!(refused.message.contains("10 replicas are too many, 3 pass"), "{}", refused.message);
    // The binding names the subresource alone: the object itself is not its business.
    deployments.patch("web", &PatchParams::default(), &scale(10)).await.unwrap();
}

#[tokio::test]
async fn the_status_of_a_pod_is_its_own_thing() {
    let namespace = World::shared().namespace("status").await;
    let policy = r#"apiVersion: bailey.dev/v1alpha1
kind: Policy
metadata: {name: NS}
spec:
  rego:
    source: |
      package no_failed
      deny contains "a pod cannot be declared Failed by hand" if { input.review.object.status.phase == "Failed" }
---
apiVersion: bailey.dev/v1alpha1
kind: PolicyBinding
metadata: {name: NS}
spec:
  policy: NS
  match:
    resources: [{apiGroups: [""], resources: [pods], subresources: SUBRESOURCES, operations: [UPDATE]}]
    namespaces: [NS]
"#;
    namespace.create_pod("web", &[]).await.unwrap();
    let failed = Patch::Merge(json!({"status": {"phase": "Failed"}}));
    let pods = namespace.pods();

    namespace.policies_here(&policy.replace("SUBRESOURCES", "[status]")).await;
    let refused = refusal(pods.patch_status("web", &PatchParams::default(), &failed).await);
    assert!(refused.message.contains("cannot be declared Failed"), "{}", refused.message);

    namespace.policies_here(&policy.replace("SUBRESOURCES", "[]")).await;
    pods.patch_status("web", &PatchParams::default(), &failed).await.unwrap();
}
