//! Deletion: there is only an old object.

use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tests::{Namespace, World, refusal};

pub(crate) const KEEP: &str = r#"apiVersion: bailey.dev/v1alpha1
kind: Policy
metadata: {name: NS}
spec:
  rego:
    source: |
      package keep
      deny contains sprintf("`%v` is protected, remove its label `keep` first", [input.review.oldObject.metadata.name]) if {
        input.review.oldObject.metadata.labels.keep
      }
---
apiVersion: bailey.dev/v1alpha1
kind: PolicyBinding
metadata: {name: NS}
spec:
  policy: NS
  match:
    resources: [{apiGroups: [""], kinds: [ConfigMap], operations: [DELETE]}]
    namespaces: [NS]
"#;

pub(crate) async fn create_map(namespace: &Namespace, name: &str, labels: serde_json::Value) {
    let object = serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap();
    namespace.config_maps().create(&PostParams::default(), &object).await.unwrap();
}

#[tokio::test]
async fn a_protected_object_stays_until_it_is_released() {
    let namespace = World::shared().namespace("delete").await;
    namespace.policies_here(KEEP).await;
    create_map(&namespace, "valuable", json!({"keep": "yes"})).await;
    create_map(&namespace, "rubbish", json!({})).await;

    let maps = namespace.config_maps();
    maps.delete("rubbish", &DeleteParams::default()).await.unwrap();
    let refused = refusal(maps.delete("valuable", &DeleteParams::default()).await);
    assert!(refused.message.contains("`valuable` is protected"), "{}", refused.message);

    let release = Patch::Merge(json!({"metadata": {"labels": {"keep": null}}}));
    maps.patch("valuable", &PatchParams::default(), &release).await.unwrap();
    maps.delete("valuable", &DeleteParams::default()).await.unwrap();
    let left = maps.list(&ListParams::default()).await.unwrap();
    assert!(!left.iter().any(|map| map.metadata.name.as_deref() == Some("valuable")));
}
