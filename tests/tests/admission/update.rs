//! Updates: the old object and the new one are both seen.

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tests::{World, refusal, required_label};

#[tokio::test]
async fn a_label_cannot_be_taken_away_again() {
    let namespace = World::shared().namespace("update").await;
    namespace.policies(&required_label(&namespace.name, &namespace.name, "owner", "deny")).await;
    let mut pod = namespace.create_pod("web", &[("owner", "alice")]).await.unwrap();

    pod.metadata.labels = None;
    let refused = refusal(namespace.pods().replace("web", &PostParams::default(), &pod).await);
    assert_eq!(refused.reason, "policy_denied");

    let patch = Patch::Merge(json!({"metadata": {"labels": {"owner": null}}}));
    let refused = refusal(namespace.pods().patch("web", &PatchParams::default(), &patch).await);
    assert!(refused.message.contains("label `owner` is missing"), "{}", refused.message);

    let patch = Patch::Merge(json!({"metadata": {"labels": {"tier": "front"}}}));
    namespace.pods().patch("web", &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test]
async fn the_old_object_can_be_compared() {
    let namespace = World::shared().namespace("compare").await;
    namespace
        .policies_here(
            r#"apiVersion: bailey.dev/v1alpha1
kind: Policy
metadata: {name: NS}
spec:
  rego:
    source: |
      package fixed_owner
      deny contains sprintf("owner is `%v` and cannot become `%v`", [old, new]) if {
        old := input.review.oldObject.data.owner
        new := input.review.object.data.owner
        old != new
      }
---
apiVersion: bailey.dev/v1alpha1
kind: PolicyBinding
metadata: {name: NS}
spec:
  policy: NS
  match:
    resources: [{apiGroups: [""], kinds: [ConfigMap], operations: [UPDATE]}]
    namespaces: [NS]
"#,
        )
        .await;
    let object = json!({"metadata": {"name": "settings"}, "data": {"owner": "alice", "color": "red"}});
    let maps = namespace.config_maps();
    maps.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();

    let color = Patch::Merge(json!({"data": {"color": "blue"}}));
    maps.patch("settings", &PatchParams::default(), &color).await.unwrap();
    let owner = Patch::Merge(json!({"data": {"owner": "mallory"}}));
    let refused = refusal(maps.patch("settings", &PatchParams::default(), &owner).await);
    assert!(refused.message.contains("owner is `alice` and cannot become `mallory`"), "{}", refused.message);
}
