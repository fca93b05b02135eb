//! Policies that several tests use.

use kube::core::DynamicObject;

/// A policy that wants a label on Pods, bound to one namespace; both objects are called `name`.
pub fn required_label(name: &str, namespace: &str, label: &str, enforcement: &str) -> String {
    format!(
        r#"apiVersion: bailey.dev/v1alpha1
kind: Policy
metadata: {{name: {name}}}
spec:
  messages:
    missing: "label `{{label}}` is missing, add it under metadata.labels"
  rego:
    source: |
      package required_label
      violation contains {{"code": "missing", "details": {{"label": label}}, "path": "metadata.labels"}} if {{
        label := input.parameters.label
        object.get(input.review.object.metadata, ["labels", label], "") == ""
      }}
---
apiVersion: bailey.dev/v1alpha1
kind: PolicyBinding
metadata: {{name: {name}}}
spec:
  policy: {name}
  parameters: {{label: {label}}}
  enforcement: {enforcement}
  match:
    resources:
    - {{apiGroups: [""], kinds: [Pod], operations: [CREATE, UPDATE]}}
    namespaces: [{namespace}]
"#
    )
}

/// The conditions of an object's status as (type, status, reason, message), if they are about its present spec.
pub fn conditions(object: &DynamicObject) -> Vec<(String, String, String, String)> {
    let status = &object.data["status"];
    if status["observedGeneration"].as_i64() != object.metadata.generation {
        return Vec::new();
    }
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let list = status["conditions"].as_array().cloned().unwrap_or_default();
    let one = |c: &serde_json::Value| {
        (text(&c["type"]), text(&c["status"]), text(&c["reason"]), text(&c["message"]))
    };
    list.iter().map(one).collect()
}
