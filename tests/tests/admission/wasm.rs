//! Policies in WebAssembly, with the module in a ConfigMap.

use kube::api::PostParams;
use tests::{World, refusal};

#[tokio::test]
async fn a_plugin_refuses_images_from_elsewhere() {
    let world = World::shared();
    let namespace = world.namespace("wasm").await;
    let digest = world.store_module("allowed-registries");
    let yaml = r#"apiVersion: bailey.dev/v1alpha1
kind: Policy
metadata: {name: NS}
spec:
  wasm:
    module:
      configMap: {namespace: bailey-system, name: allowed-registries, key: allowed-registries.wasm}
      digest: DIGEST
  messages: {registry: "image `{image}` is not allowed, use one of {allowed}"}
---
apiVersion: bailey.dev/v1alpha1
kind: PolicyBinding
metadata: {name: NS}
spec:
  policy: NS
  parameters: {registries: [registry.example.com]}
  match:
    resources: [{apiGroups: [''], kinds: [Pod]}]
    namespaces: [NS]
"#;
    namespace.policies_here(&yaml.replace("DIGEST", &digest)).await;
    namespace.create_pod("good", &[]).await.unwrap();

    let mut pod = namespace.pod("elsewhere", &[]);
    pod.spec.as_mut().unwrap().containers[0].image = Some("docker.io/library/nginx".to_owned());
    let refused = refusal(namespace.pods().create(&PostParams::default(), &pod).await);
    assert_eq!(refused.reason, "policy_denied");
    assert!(
        refused.message.contains("image `docker.io/library/nginx` is not allowed"),
        "{}",
        refused.message
    );
}
