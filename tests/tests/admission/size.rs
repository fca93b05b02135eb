//! Large objects: a ConfigMap as large as the API server takes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use tests::{World, refusal};

/// What the API server takes in the data of a ConfigMap, in bytes.
const MIB: usize = 1024 * 1024;

fn map(color: &str) -> ConfigMap {
    let filler = "abcdefghijklmno\n".repeat((MIB - 64) / 16);
    let data = BTreeMap::from([("color".to_owned(), color.to_owned()), ("filler".to_owned(), filler)]);
    let mut map = ConfigMap { data: Some(data), ..ConfigMap::default() };
    map.metadata.name = Some("large".to_owned());
    map
}

#[tokio::test]
async fn a_config_map_of_one_mebibyte_is_decided() {
    let namespace = World::shared().namespace("size").await;
    namespace
        .policies_here(
            r#"apiVersion: bailey.dev/v1alpha1
kind: Policy
metadata: {name: NS}
spec:
  limits: {timeoutMilliseconds: 2000}
  rego:
    source: |
      package colors
      deny contains sprintf("color `%v` is not allowed", [color]) if {
        color := input.review.object.data.color
        color == "red"
        count(input.review.object.data.filler) > 1000000
      }
---
apiVersion: bailey.dev/v1alpha1
kind: PolicyBinding
metadata: {name: NS}
spec:
  policy: NS
  match:
    resources: [{apiGroups: [""], kinds: [ConfigMap]}]
    namespaces: [NS]
"#,
        )
        .await;
    let maps = namespace.config_maps();
    let refused = refusal(maps.create(&PostParams::default(), &map("red")).await.map(|_| ()));
    assert!(refused.message.contains("color `red` is not allowed"), "{}", refused.message);
    maps.create(&PostParams::default(), &map("blue")).await.unwrap();
    // Now the review holds the old object too.
    maps.replace("large", &PostParams::default(), &map("green")).await.unwrap();
    let refused = refusal(maps.replace("large", &PostParams::default(), &map("red")).await.map(|_| ()));
    assert_eq!(refused.reason, "policy_denied");
}
