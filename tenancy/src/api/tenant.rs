//! The custom resource `Tenant`: users who share namespaces of their own, and what those may be.

#![expect(unreachable_pub, reason = "the derive repeats each type inside a function")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::budget::Quota;
use super::fairness_class::Rates;
use super::schema;

/// Users who share namespaces of their own.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "bailey.dev",
    version = "v1alpha1",
    kind = "Tenant",
    plural = "tenants",
    category = "bailey",
    derive = "PartialEq",
    doc = "Users who share namespaces of their own, and the walls around them.",
    status = "TenantStatus",
    // Labels hold the name.
    validation = Rule::new("self.metadata.name.size() <= 63").message("the name has more than 63 characters"),
    validation = Rule::new("!has(self.spec.parent) || self.spec.parent != self.metadata.name")
        .message("a tenant cannot be its own parent"),
    printcolumn(name = "Parent", type_ = "string", json_path = ".spec.parent", priority = 1),
    printcolumn(name = "Prefix", type_ = "string", json_path = ".spec.namespaces.prefix"),
    printcolumn(name = "Namespaces", type_ = "integer", json_path = ".status.namespaceCount"),
    printcolumn(name = "Limit", type_ = "integer", json_path = ".spec.namespaces.limit"),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspended"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
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
pub struct TenantSpec {
    /// The tenant above this one: its owners own this one too, and its walls hold here as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub parent: Option<String>,
    /// Who belongs to the tenant, and as what.
    #[serde(default)]
    #[schemars(length(max = 1_000))]
    pub members: Vec<Member>,
    /// Rules for the tenant's namespaces.
    #[serde(default)]
    pub namespaces: NamespaceRules,
    /// The IsolationProfile; the one named `default` where not given, or built-in walls where that does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub isolation_profile: Option<String>,
    /// The FairnessClass: what it gets of what all tenants share. That of the nearest tenant above that names one where
    /// not given, and then the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub fairness_class: Option<String>,
    /// How much it may have at once, together with all tenants below it.
    #[serde(default)]
    pub quota: Quota,
    /// Whether the tenant may not grow: running work stays, nothing new is created.
    #[serde(default)]
    pub suspended: bool,
    /// What happens when the tenant is deleted.
    #[serde(default)]
    pub deletion: Deletion,
}

/// What happens when a tenant is deleted.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deletion {
    /// Whether the tenant cannot be deleted while it has namespaces.
    #[serde(default = "protected")]
    pub protected: bool,
    /// How long its namespaces stay, suspended, before they are deleted with it; in seconds.
    #[serde(default)]
    #[schemars(range(max = 31_536_000))]
    pub grace_seconds: u32,
}

impl Default for Deletion {
    fn default() -> Self {
        Self { protected: true, grace_seconds: 0 }
    }
}

const fn protected() -> bool {
    true
}

/// A member of a tenant.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(self.kind == 'ServiceAccount') == has(self.namespace)")
    .message("a ServiceAccount has a namespace, a User or Group has none"))]
#[x_kube(validation = Rule::new("has(self.clusterRole) == (has(self.role) && self.role == 'custom')")
    .message("the role custom has a clusterRole, other roles have none"))]
#[x_kube(validation = Rule::new("self.kind == 'ServiceAccount' || !self.name.startsWith('system:')")
    .message("names beginning with `system:` belong to Kubernetes"))]
pub struct Member {
    /// User, Group or ServiceAccount.
    pub kind: MemberKind,
    /// The name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The namespace of a ServiceAccount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// What the member may do: owner, editor, viewer or custom.
    #[serde(default)]
    pub role: Role,
    /// The ClusterRole that a custom member has in every namespace; Bailey has to have the right to bind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub cluster_role: Option<String>,
}

/// The kind of a member.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberKind {
    /// A user by name.
    User,
    /// Everybody in a group.
    Group,
    /// A service account.
    ServiceAccount,
}

/// What a member may do.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Creates and deletes namespaces, and gives rights inside of them.
    Owner,
    /// Changes what is inside.
    Editor,
    /// Reads what is inside, but no Secrets.
    #[default]
    Viewer,
    /// What its ClusterRole says.
    Custom,
}

/// Rules for a tenant's namespaces.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceRules {
    /// What their names begin with; the tenant's name and a dash where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40), regex(pattern = "^([a-z0-9]([a-z0-9-]*))?$"))]
    pub prefix: Option<String>,
    /// The most namespaces; without a limit where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 10_000))]
    pub limit: Option<u32>,
}

/// How a Tenant stands.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The number of its namespaces.
    #[serde(default)]
    pub namespace_count: u32,
    /// The names of its namespaces in order; the first 1,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1_000), inner(length(max = 63)))]
    pub namespaces: Vec<String>,
    /// How its budget stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1_000))]
    pub quota: Vec<QuotaStatus>,
    /// How often it may do what, by its class; absent where it is in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fairness: Option<FairnessStatus>,
    /// Ready: every namespace has its walls. WithinBudget: nothing is used beyond the budget.
    /// GrantsStand: ResourceQuotas hold the budget in every namespace, where they are to.
    /// FairnessClassFound: the class that it names is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// The class that a tenant is in.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FairnessStatus {
    /// The class in force: its own, that of the nearest tenant above that names one, or the default one.
    #[schemars(length(max = 40))]
    pub class: String,
    /// How often the tenant may do what, over all its namespaces; without a limit where not given.
    #[serde(default)]
    pub rates: Rates,
}

/// How a budget of one resource stands.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaStatus {
    /// The resource name.
    #[schemars(length(max = 317))]
    pub resource: String,
    /// The band; absent for the whole budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub band: Option<String>,
    /// The most.
    #[schemars(length(max = 64))]
    pub hard: String,
    /// What stored objects use, in the namespaces of the tenant and of those below it.
    #[schemars(length(max = 64))]
    pub used: String,
    /// What Bailey holds for requests under way and to come.
    #[schemars(length(max = 64))]
    pub held: String,
}

impl Member {
    pub(crate) fn to_model(&self) -> model::Member {
        let name = self.name.clone();
        let subject = match self.kind {
            MemberKind::User => model::Subject::User(name),
            MemberKind::Group => model::Subject::Group(name),
            MemberKind::ServiceAccount => {
                model::Subject::ServiceAccount { namespace: self.namespace.clone().unwrap_or_default(), name }
            }
        };
        let role = match self.role {
            Role::Owner => model::TenantRole::Owner,
            Role::Editor => model::TenantRole::Editor,
            Role::Viewer => model::TenantRole::Viewer,
            Role::Custom => model::TenantRole::Custom,
        };
        model::Member { subject, role, cluster_role: self.cluster_role.clone() }
    }
}

/// Checks of a Tenant what its schema cannot say.
///
/// # Errors
/// [`model::Code::QuotaInvalid`] with the field and what would pass.
pub fn check_tenant(json: &[u8]) -> Result<(), model::LoadFault> {
    let tenant: Tenant = serde_json::from_slice(json).map_err(|error| {
        model::LoadFault::new(model::Code::QuotaInvalid, format!("the Tenant cannot be read: {error}"))
    })?;
    tenant.spec.quota.check()
}
