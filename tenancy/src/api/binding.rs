//! The custom resource `PolicyBinding`: of which requests a policy is asked, and how strictly.

#![expect(unreachable_pub, reason = "the derive repeats each type inside a function")]
#![expect(clippy::duplicated_attributes, reason = "every printer column has a type and a priority")]

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use model::{Enforcement, FailurePolicy, Operation, Scope, SelectorOperator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{schema, status::BindingStatus};

/// Of which requests a policy is asked, with what parameters, and how strictly.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "bailey.dev",
    version = "v1alpha1",
    kind = "PolicyBinding",
    plural = "policybindings",
    shortname = "bpb",
    category = "bailey",
    derive = "PartialEq",
    doc = "Of which requests a Policy is asked, with what parameters, and how strictly.",
    status = "BindingStatus",
    printcolumn(name = "Policy", type_ = "string", json_path = ".spec.policy"),
    printcolumn(name = "Enforcement", type_ = "string", json_path = ".spec.enforcement"),
    printcolumn(name = "Failure", type_ = "string", json_path = ".spec.failurePolicy"),
    printcolumn(name = "Exceptions", type_ = "string", json_path = ".spec.exceptions", priority = 1),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyBindingSpec {
    /// The name of the Policy.
    #[schemars(length(min = 1, max = 253))]
    pub policy: String,
    /// The policy's parameters: an object that fits the policy's schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub parameters: Option<Value>,
    /// Which requests.
    #[serde(rename = "match")]
    pub rules: MatchRules,
    /// What a finding does: deny refuses, warn admits and tells the user, audit admits and records.
    #[serde(default)]
    #[schemars(schema_with = "schema::enforcement")]
    pub enforcement: Enforcement,
    /// What happens when the policy cannot answer: Fail refuses (with deny only), Ignore goes on.
    #[serde(default)]
    #[schemars(schema_with = "schema::failure_policy")]
    pub failure_policy: FailurePolicy,
    /// The place among mutating bindings, lowest first; equal ones go by name.
    #[serde(default)]
    #[schemars(range(min = -1_000_000, max = 1_000_000))]
    pub order: i32,
    /// Whether a PolicyException that was approved may cover what the policy finds: Allowed or Forbidden.
    #[serde(default)]
    pub exceptions: Exceptions,
}

/// Whether exceptions may cover what a policy finds. Forbidden where not given: that a policy can be passed by is
/// for whoever binds it to say.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Exceptions {
    /// Approved ones cover it.
    Allowed,
    /// None does.
    #[default]
    Forbidden,
}

/// Which requests: every part that is given must match.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MatchRules {
    /// Kinds and operations: one of these rows must match.
    #[schemars(length(min = 1, max = 64))]
    pub resources: Vec<ResourceRow>,
    /// Namespaces, where * stands for any text; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::patterns")]
    pub namespaces: Vec<String>,
    /// Namespaces left out, where * stands for any text; they win over namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::patterns")]
    pub excluded_namespaces: Vec<String>,
    /// Labels of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Labels of the object, or of the old object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_selector: Option<LabelSelector>,
    /// Object names, where * stands for any text; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::patterns")]
    pub names: Vec<String>,
    /// Who asks; everyone when empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<Subjects>,
    /// Who is left out; they win over subjects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded_subjects: Option<Subjects>,
}

/// One row of kinds and operations; a request matches when every list has it.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new(
        "(has(self.kinds) && size(self.kinds) > 0) || (has(self.resources) && size(self.resources) > 0)"
    ).message("a row names kinds or resources; * is any")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceRow {
    /// API groups; empty text is the core group, * is any group but Bailey's own.
    #[schemars(schema_with = "schema::names_required")]
    pub api_groups: Vec<String>,
    /// API versions; any when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::names")]
    pub api_versions: Vec<String>,
    /// Kinds such as Pod; * is any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::names")]
    pub kinds: Vec<String>,
    /// Resources such as pods; * is any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::names")]
    pub resources: Vec<String>,
    /// Subresources such as exec; empty is the object itself only, * is the object and any subresource.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::names")]
    pub subresources: Vec<String>,
    /// Operations; CREATE and UPDATE when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::operations")]
    pub operations: Vec<Operation>,
    /// Namespaced, Cluster or * for both.
    #[serde(default)]
    #[schemars(schema_with = "schema::scope")]
    pub scope: Scope,
}

/// Users, groups and service accounts.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subjects {
    /// User names, where * stands for any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::patterns")]
    pub users: Vec<String>,
    /// Group names, where * stands for any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::patterns")]
    pub groups: Vec<String>,
    /// Service accounts as namespace:name, where * stands for any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::service_accounts")]
    pub service_accounts: Vec<String>,
}

/// A label selector as Kubernetes defines it.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels that must have exactly this value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    pub match_labels: BTreeMap<String, String>,
    /// Set-based requirements; all must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub match_expressions: Vec<Requirement>,
}

impl LabelSelector {
    /// The selector as the other crates know it.
    pub(crate) fn to_model(&self) -> model::LabelSelector {
        let requirement = |requirement: &Requirement| model::Requirement {
            key: requirement.key.clone(),
            operator: requirement.operator,
            values: requirement.values.iter().cloned().collect(),
        };
        model::LabelSelector {
            match_labels: self.match_labels.clone(),
            match_expressions: self.match_expressions.iter().map(requirement).collect(),
        }
    }
}

/// One set-based requirement on one label.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new(
        "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 \
         : !has(self.values) || size(self.values) == 0"
    ).message("values are needed with In and NotIn, and not allowed with Exists and DoesNotExist")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requirement {
    /// The label's key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// In, NotIn, Exists or DoesNotExist.
    #[schemars(schema_with = "schema::selector_operator")]
    pub operator: SelectorOperator,
    /// The values of In and NotIn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::label_values")]
    pub values: Vec<String>,
}
