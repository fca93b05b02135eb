//! Who may do what in a tenant, as a graph.

use std::collections::{BTreeMap, BTreeSet};

use model::Subject;
use serde::Serialize;

use super::fault::Fault;
use super::session::Session;
use super::tenants::TenantSummary;
use crate::rbac::{Binding, Rbac, Rule};

/// A subject that has a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// Who, such as `user:alice`.
    pub subject: String,
    /// Which role, such as `ClusterRole/admin`.
    pub role: String,
    /// Through which binding.
    pub binding: String,
    /// In which namespace; `None` for the whole cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Whether the subject is a member of the tenant.
    pub member: bool,
}

/// The rights in a tenant's namespaces, whoever has them, and what its members have in the whole cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Graph {
    /// The tenant.
    pub tenant: String,
    /// Its namespaces.
    pub namespaces: Vec<String>,
    /// Who has which role where.
    pub edges: Vec<Edge>,
    /// What each role gives. A Role is named with its namespace.
    pub roles: BTreeMap<String, Vec<Rule>>,
}

impl Session {
    /// The graph of a tenant, from the cluster's roles and bindings.
    ///
    /// # Errors
    /// When the user may not list those.
    pub async fn graph(&self, name: &str) -> Result<Graph, Fault> {
        let tenant = self.tenant(name).await?;
        let (rbac, namespaces) = futures::try_join!(self.rbac(), self.namespaces_of(name))?;
        Ok(graph(&tenant, namespaces, &rbac))
    }
}

fn graph(tenant: &TenantSummary, namespaces: Vec<String>, rbac: &Rbac) -> Graph {
    let members: BTreeSet<&str> = tenant.members.iter().map(|member| member.subject.as_str()).collect();
    let (mut edges, mut roles) = (BTreeSet::new(), BTreeMap::new());
    for binding in rbac.bindings() {
        let inside = binding.namespace.as_ref().map(|namespace| namespaces.contains(namespace));
        let kept =
            |subject: &&Subject| inside.unwrap_or_else(|| members.contains(subject.to_string().as_str()));
        let role = role(binding);
        for subject in binding.subjects.iter().filter(kept) {
            let subject = subject.to_string();
            roles.insert(role.clone(), rbac.rules(binding).unwrap_or_default().to_vec());
            edges.insert(Edge {
                member: members.contains(subject.as_str()),
                subject,
                role: role.clone(),
                binding: binding.name.clone(),
                namespace: binding.namespace.clone(),
            });
        }
    }
    Graph { tenant: tenant.name.clone(), namespaces, edges: edges.into_iter().collect(), roles }
}

/// The role of a binding, by a name that no other has.
fn role(binding: &Binding) -> String {
    match (&binding.role.kind, &binding.namespace) {
        (crate::rbac::RoleKind::Role, Some(namespace)) => format!("Role/{namespace}/{}", binding.role.name),
        _ => binding.role.to_string(),
    }
}
