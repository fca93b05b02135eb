//! Mutation: one ordered pass, then validation of the result.

use tests::{World, refusal, required_label};

fn adds_label(name: &str, label: &str, value: &str, order: i32) -> String {
    format!(
        r#"apiVersion: bailey.dev/v1alpha1
kind: Policy
metadata: {{name: {name}}}
spec:
  mutates: true
  rego:
    source: |
      package adds_label
      patch contains {{"op": "add", "path": concat("", ["/metadata/labels/", input.parameters.label]), "value": input.parameters.value}} if {{
        not input.review.object.metadata.labels[input.parameters.label]
      }}
---
apiVersion: bailey.dev/v1alpha1
kind: PolicyBinding
metadata: {{name: {name}}}
spec:
  policy: {name}
  parameters: {{label: {label}, value: {value}}}
  order: {order}
  match:
    resources: [{{apiGroups: [""], kinds: [Pod], operations: [CREATE]}}]
    namespaces: [NS]
"#
    )
}

#[tokio::test]
async fn what_one_policy_adds_the_next_one_sees() {
    let namespace = World::shared().namespace("mutate").await;
    let name = namespace.name.clone();
    // Validation wants the label `owner`, which only mutation sets.
    namespace.policies(&required_label(&name, &name, "owner", "deny")).await;
    assert_eq!(refusal(namespace.create_pod("before", &[("app", "web")]).await).reason, "policy_denied");

    namespace.policies_here(&adds_label("NS-owner", "owner", "platform", 1)).await;
    let pod = namespace.create_pod("after", &[("app", "web")]).await.unwrap();
    assert_eq!(pod.metadata.labels.unwrap()["owner"], "platform");
    let pod = namespace.create_pod("kept", &[("owner", "alice")]).await.unwrap();
    assert_eq!(pod.metadata.labels.unwrap()["owner"], "alice");
}

#[tokio::test]
async fn the_order_is_that_of_the_bindings() {
    let namespace = World::shared().namespace("order").await;
    // Both set the same label where it is missing: the lower order comes first, the other finds it set.
    namespace.policies_here(&adds_label("NS-a-late", "team", "late", 20)).await;
    namespace.policies_here(&adds_label("NS-b-early", "team", "early", 10)).await;
    let pod = namespace.create_pod("web", &[("app", "web")]).await.unwrap();
    assert_eq!(pod.metadata.labels.unwrap()["team"], "early");
}
