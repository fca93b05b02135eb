//! Custom objects: kinds that Bailey has never heard of.

use serde_json::{Value, json};
use tests::{World, documents, refusal, until_some};

const DEFINITION: &str = r#"apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.shop.example.com}
spec:
  group: shop.example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: {size: {type: integer}}
"#;

#[tokio::test]
async fn a_custom_object_is_decided_like_any() {
    let namespace = World::shared().namespace("custom").await;
    namespace.admin.apply_all(DEFINITION).await;
    let definition = documents(DEFINITION).remove(0);
    until_some("the definition is established", async || {
        let object = namespace.admin.get(&definition).await.ok()?;
        let conditions = object.data["status"]["conditions"].as_array()?.clone();
        conditions.iter().any(|c| c["type"] == "Established" && c["status"] == "True").then_some(())
    })
    .await;
    namespace
        .policies_here(
            r#"apiVersion: bailey.dev/v1alpha1
kind: Policy
metadata: {name: NS}
spec:
  rego:
    source: |
      package widgets
      deny contains sprintf("size %v is above 10", [input.review.object.spec.size]) if { input.review.object.spec.size > 10 }
---
apiVersion: bailey.dev/v1alpha1
kind: PolicyBinding
metadata: {name: NS}
spec:
  policy: NS
  match:
    resources: [{apiGroups: [shop.example.com], kinds: [Widget]}]
    namespaces: [NS]
"#,
        )
        .await;
    let widget = |size: u32| -> Value {
        json!({
            "apiVersion": "shop.example.com/v1",
            "kind": "Widget",
            "metadata": {"name": "w", "namespace": namespace.name},
            "spec": {"size": size},
        })
    };
    let refused = refusal(namespace.alice.apply(&widget(30)).await);
    assert!(refused.message.contains("size 30 is above 10"), "{}", refused.message);
    namespace.alice.apply(&widget(3)).await.unwrap();
    assert_eq!(refusal(namespace.alice.apply(&widget(11)).await).reason, "policy_denied");
}
