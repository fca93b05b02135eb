use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::rbac::v1::{self as api, ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use model::Subject;
use serde::Serialize;

/// One rule of a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Verbs, or `*`.
    pub verbs: Vec<String>,
    /// API groups, the core one empty, or `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// Resources such as `pods`, `pods/exec`, `*/scale`, or `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// The only objects that it is about; empty for all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths that are no resources, such as `/healthz`, `/healthz/*`, or `*`.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

/// Role or ClusterRole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum RoleKind {
    /// A role of one namespace.
    Role,
    /// A role of the cluster, which a RoleBinding may give for one namespace.
    ClusterRole,
}

/// The role that a binding gives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RoleRef {
    /// Its kind.
    pub kind: RoleKind,
    /// Its name.
    pub name: String,
}

impl fmt::Display for RoleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{}", self.kind, self.name)
    }
}

/// A RoleBinding, or a ClusterRoleBinding where it has no namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Where it gives the role; `None` for everywhere.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// What it gives.
    pub role: RoleRef,
    /// To whom.
    pub subjects: Vec<Subject>,
}

/// All roles and bindings at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rbac {
    pub(super) cluster_roles: BTreeMap<String, Vec<Rule>>,
    /// By namespace and name.
    pub(super) roles: BTreeMap<(String, String), Vec<Rule>>,
    pub(super) bindings: Vec<Binding>,
}

impl Rbac {
    /// How many roles and bindings there are.
    pub fn len(&self) -> usize {
        self.cluster_roles.len().saturating_add(self.roles.len()).saturating_add(self.bindings.len())
    }

    /// Whether there is neither a role nor a binding.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All bindings.
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// The bindings whose role is not there: they give nothing.
    pub fn dangling(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.iter().filter(|binding| self.rules(binding).is_none())
    }

    /// Adds a ClusterRole. An aggregated one has the rules that it has now.
    pub fn add_cluster_role(&mut self, role: ClusterRole) {
        self.cluster_roles.insert(name(&role.metadata), rules(role.rules));
    }

    /// Adds a Role.
    pub fn add_role(&mut self, role: Role) {
        let key = (namespace(&role.metadata), name(&role.metadata));
        self.roles.insert(key, rules(role.rules));
    }

    /// Adds a ClusterRoleBinding.
    pub fn add_cluster_role_binding(&mut self, binding: ClusterRoleBinding) {
        let subjects = binding.subjects.unwrap_or_default();
        self.add(None, binding.metadata, binding.role_ref, &subjects);
    }

    /// Adds a RoleBinding.
    pub fn add_role_binding(&mut self, binding: RoleBinding) {
        let namespace = namespace(&binding.metadata);
        let subjects = binding.subjects.unwrap_or_default();
        self.add(Some(namespace), binding.metadata, binding.role_ref, &subjects);
    }

    fn add(&mut self, namespace: Option<String>, meta: ObjectMeta, role: api::RoleRef, of: &[api::Subject]) {
        let kind = match role.kind.as_str() {
            "ClusterRole" => RoleKind::ClusterRole,
            // A ClusterRoleBinding of a Role is not valid; the API server stores none.
            _ => RoleKind::Role,
        };
        let subjects = of.iter().filter_map(|subject| subject_of(subject, namespace.as_deref())).collect();
        let role = RoleRef { kind, name: role.name };
        self.bindings.push(Binding { namespace, name: name(&meta), role, subjects });
    }

    /// The rules that a binding gives; `None` where its role is not there.
    pub fn rules(&self, binding: &Binding) -> Option<&[Rule]> {
        let found = match (binding.role.kind, &binding.namespace) {
            (RoleKind::ClusterRole, _) => self.cluster_roles.get(&binding.role.name),
            (RoleKind::Role, Some(namespace)) => {
                self.roles.get(&(namespace.clone(), binding.role.name.clone()))
            }
            (RoleKind::Role, None) => None,
        };
        found.map(Vec::as_slice)
    }
}

/// A subject of a binding in `namespace`; `None` for one that can be nobody.
pub(super) fn subject_of(subject: &api::Subject, namespace: Option<&str>) -> Option<Subject> {
    let name = subject.name.clone();
    match subject.kind.as_str() {
        "User" => Some(Subject::User(name)),
        "Group" => Some(Subject::Group(name)),
        "ServiceAccount" => {
            let given = subject.namespace.as_deref().filter(|namespace| !namespace.is_empty());
            let namespace = given.or(namespace)?.to_owned();
            Some(Subject::ServiceAccount { namespace, name })
        }
        _ => None,
    }
}

fn rules(rules: Option<Vec<api::PolicyRule>>) -> Vec<Rule> {
    let rules = rules.unwrap_or_default().into_iter().map(|rule| Rule {
        verbs: rule.verbs,
        api_groups: rule.api_groups.unwrap_or_default(),
        resources: rule.resources.unwrap_or_default(),
        resource_names: rule.resource_names.unwrap_or_default(),
        non_resource_urls: rule.non_resource_urls.unwrap_or_default(),
    });
    rules.collect()
}

fn name(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
}

fn namespace(metadata: &ObjectMeta) -> String {
    metadata.namespace.clone().unwrap_or_default()
}
