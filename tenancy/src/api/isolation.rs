//! The custom resource `IsolationProfile`: the walls that every namespace of a tenant gets.

#![expect(unreachable_pub, reason = "the derive repeats each type inside a function")]
#![expect(clippy::duplicated_attributes, reason = "every printer column has a type")]

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::{CustomResource, KubeSchema};
use model::POD_SECURITY_LABELS;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::binding::LabelSelector;
use super::rules::{Allow, Metadata};
use super::schema;

/// The walls that every namespace of a tenant gets.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[kube(
    group = "bailey.dev",
    version = "v1alpha1",
    kind = "IsolationProfile",
    plural = "isolationprofiles",
    category = "bailey",
    derive = "PartialEq",
    doc = "The walls that every namespace of a tenant gets.",
    printcolumn(name = "Pods", type_ = "string", json_path = ".spec.podSecurity.enforce"),
    printcolumn(name = "Network", type_ = "string", json_path = ".spec.network.mode"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IsolationProfileSpec {
    /// Tenants with these labels that name no profile use this one: of several the first by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_selector: Option<LabelSelector>,
    /// The levels of Pod Security.
    #[serde(default)]
    pub pod_security: PodSecurity,
    /// What Pods may reach, and who may reach them.
    #[serde(default)]
    pub network: Network,
    /// The labels of namespaces.
    #[serde(default)]
    pub labels: Metadata,
    /// The annotations of namespaces.
    #[serde(default)]
    pub annotations: Metadata,
    /// What objects in the namespaces may be.
    #[serde(default)]
    pub allow: Allow,
    /// What every namespace gets.
    #[serde(default)]
    pub contents: Contents,
}

/// What every namespace gets beside its walls and rights.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contents {
    /// The items of the LimitRange `bailey-limits`, as Kubernetes has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::open_objects")]
    pub limit_range: Vec<Value>,
    /// The ServiceAccount `default`.
    #[serde(default)]
    pub service_account: DefaultAccount,
    /// Whole objects. The texts ${NAMESPACE} and ${TENANT} are filled in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::templates")]
    pub templates: Vec<Value>,
    /// Secrets of the namespace `bailey-system` that are copied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::names")]
    pub secrets: Vec<String>,
}

/// Settings of the ServiceAccount `default`.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DefaultAccount {
    /// Whether Pods get a token of it that do not say; no, where not given.
    #[serde(default)]
    pub automount_token: bool,
    /// Secrets with which it pulls images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::names")]
    pub image_pull_secrets: Vec<String>,
}

impl Contents {
    fn to_model(&self) -> model::Contents {
        model::Contents {
            limit_ranges: (!self.limit_range.is_empty())
                .then(|| self.limit_range.clone())
                .into_iter()
                .collect(),
            automount_token: self.service_account.automount_token,
            image_pull_secrets: self.service_account.image_pull_secrets.clone(),
            templates: self.templates.clone(),
            secrets: self.secrets.clone(),
        }
    }
}

/// Levels of Kubernetes' Pod Security Standards.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSecurity {
    /// Pods beyond this level are refused.
    #[serde(default)]
    pub enforce: Level,
    /// Pods beyond this level are admitted with a warning.
    #[serde(default = "strictest")]
    pub warn: Level,
    /// Pods beyond this level are noted in the API server's audit log.
    #[serde(default = "strictest")]
    pub audit: Level,
    /// The version of the standards: `latest` or such as `v1.36`.
    #[serde(default = "latest")]
    #[schemars(regex(pattern = "^(latest|v1\\.[0-9]{1,3})$"))]
    pub version: String,
}

impl Default for PodSecurity {
    fn default() -> Self {
        Self { enforce: Level::default(), warn: strictest(), audit: strictest(), version: latest() }
    }
}

fn strictest() -> Level {
    Level::Restricted
}

fn latest() -> String {
    "latest".to_owned()
}

/// A level of the Pod Security Standards.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Everything is allowed.
    Privileged,
    /// Nothing that is known to lead to the node.
    #[default]
    Baseline,
    /// What is good practice today.
    Restricted,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// What Pods may reach, and who may reach them.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// Isolated: only the tenant's own Pods, DNS, and what the next fields name. Open: no NetworkPolicy.
    #[serde(default)]
    pub mode: NetworkMode,
    /// Address ranges that Pods may reach, such as 203.0.113.0/24.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::address_ranges")]
    pub egress: Vec<String>,
    /// Namespaces from which Pods may be reached, such as that of an ingress controller.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::names")]
    pub ingress_from: Vec<String>,
    /// The same by labels of namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub ingress_from_selectors: Vec<LabelSelector>,
}

/// Whether Pods are held apart on the network.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NetworkMode {
    /// Held apart.
    #[default]
    Isolated,
    /// Not held apart.
    Open,
}

impl IsolationProfileSpec {
    /// The strictest walls: for a tenant whose profile does not exist.
    pub(crate) fn strict() -> Self {
        let pod_security = PodSecurity { enforce: Level::Restricted, ..PodSecurity::default() };
        Self { pod_security, ..Self::default() }
    }

    /// The walls as the other crates know them.
    pub(crate) fn to_model(&self) -> model::Isolation {
        let levels = &self.pod_security;
        let rows = [("enforce", levels.enforce), ("warn", levels.warn), ("audit", levels.audit)];
        let mut labels = BTreeMap::new();
        for (mode, level) in rows {
            labels.insert(format!("{POD_SECURITY_LABELS}{mode}"), level.as_str().to_owned());
            labels.insert(format!("{POD_SECURITY_LABELS}{mode}-version"), levels.version.clone());
        }
        let network = model::Network {
            egress: self.network.egress.clone(),
            ingress_from: self.network.ingress_from.clone(),
            ingress_selectors: self
                .network
                .ingress_from_selectors
                .iter()
                .map(LabelSelector::to_model)
                .collect(),
        };
        let network = (self.network.mode == NetworkMode::Isolated).then_some(network);
        let rules = Arc::new(self.allow.to_model(&self.labels, &self.annotations));
        let contents = self.contents.to_model();
        model::Isolation { pod_security: labels, network, contents, rules: vec![rules], fault: None }
    }
}
