//! Policies in WebAssembly: modules in ConfigMaps and Secrets, both interfaces, validating and mutating.

use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use tests::{ALICE, Namespace, World, documents, refusal};

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

const DEFAULTS: &str = r#"apiVersion: bailey.dev/v1alpha1
kind: Policy
metadata: {name: NS}
spec:
  mutates: true
  wasm:
    module:
      secret: {namespace: bailey-system, name: default-resources, key: default-resources.wasm}
      digest: DIGEST
---
apiVersion: bailey.dev/v1alpha1
kind: PolicyBinding
metadata: {name: NS}
spec:
  policy: NS
  parameters: {requests: {cpu: 100m}}
  match:
    resources: [{apiGroups: [''], kinds: [Pod], operations: [CREATE]}]
    namespaces: [NS]
"#;

#[tokio::test]
async fn a_plugin_from_a_secret_changes_objects() {
    let world = World::shared();
    let namespace = world.namespace("wasm-secret").await;
    let digest = world.store_secret_module("default-resources");
    namespace.policies_here(&DEFAULTS.replace("DIGEST", &digest)).await;
    let pod = namespace.create_pod("web", &[]).await.unwrap();
    let container = serde_json::to_value(&pod.spec.unwrap().containers[0]).unwrap();
    assert_eq!(container["resources"], json!({"requests": {"cpu": "100m"}}));
}

const HOSTS: &str = r#"apiVersion: bailey.dev/v1alpha1
kind: Policy
metadata: {name: NS}
spec:
  wasm:
    interface: kubewarden
    module:
      configMap: {namespace: bailey-system, name: trusted-hosts, key: trusted-hosts.wasm}
      digest: DIGEST
  lookups: [{group: '', version: v1, kind: Namespace}]
---
apiVersion: bailey.dev/v1alpha1
kind: PolicyBinding
metadata: {name: NS}
spec:
  policy: NS
  parameters: {domains: [example.com], fromNamespace: true}
  match:
    resources: [{apiGroups: [networking.k8s.io], kinds: [Ingress]}]
    namespaces: [NS]
"#;

fn ingress(namespace: &Namespace, name: &str, host: &str) -> Ingress {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    serde_json::from_value(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": namespace.name},
        "spec": {"rules": [{
            "host": host,
            "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
        }]},
    }))
    .unwrap()
}

#[tokio::test]
async fn a_policy_made_for_kubewarden_runs_unmodified_and_looks_objects_up() {
    let world = World::shared();
    let namespace = world.namespace("wapc").await;
    let annotated = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace.name, "annotations": {"example.com/domains": "example.org"}},
    });
    namespace.admin.apply(&annotated).await.unwrap();
    let digest = world.store_module("trusted-hosts");
    namespace.policies_here(&HOSTS.replace("DIGEST", &digest)).await;

    let ingresses: Api<Ingress> = namespace.api(ALICE);
    for (name, host) in [("ours", "a.example.com"), ("annotated", "b.example.org")] {
        ingresses.create(&PostParams::default(), &ingress(&namespace, name, host)).await.unwrap();
    }
    let other = ingress(&namespace, "other", "a.example.net");
    let refused = refusal(ingresses.create(&PostParams::default(), &other).await);
    assert_eq!(refused.reason, "policy_denied");
    let wanted = "host `a.example.net` is not below a trusted domain";
    assert!(refused.message.contains(wanted), "{}", refused.message);

    // The plugin checks its own settings, at the binding's admission.
    let wrong = HOSTS.replace("DIGEST", &digest).replace("[example.com]", "[nonsense]");
    let binding = &documents(&wrong.replace("NS", &namespace.name))[1];
    let refused = refusal(namespace.admin.apply(binding).await);
    assert_eq!(refused.reason, "parameters_invalid");
    assert!(refused.message.contains("a domain such as `example.com` would pass"), "{}", refused.message);
}

#[tokio::test]
async fn a_module_is_checked_when_its_policy_is_applied() {
    let world = World::shared();
    let namespace = world.namespace("wasm-bad").await;
    let digest = world.store_bytes("no-module", b"this is no module");
    let policy = |digest: &str| {
        let yaml = DEFAULTS.replace("secret: ", "configMap: ").replace("default-resources", "no-module");
        documents(&yaml.replace("DIGEST", digest).replace("NS", &namespace.name)).swap_remove(0)
    };
    let refused = refusal(namespace.admin.apply(&policy(&digest)).await);
    assert_eq!(refused.reason, "policy_invalid");

    // Another module may still be stored under the name: no reason to refuse.
    let other = format!("sha256:{}", "0".repeat(64));
    namespace.admin.apply(&policy(&other)).await.unwrap();
    let (reason, message) = namespace.wait_condition(&policy(&other), "False").await;
    assert!(message.contains(&digest) && message.contains(&other), "{reason}: {message}");
}
