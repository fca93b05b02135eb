//! Roles and bindings as the cluster has them now.

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::{Api, Discovery, ResourceExt};
use model::TENANT_LABEL;

use super::fault::Fault;
use super::session::Session;
use crate::rbac::Rbac;

const HINT: &str = "an administrator can, and a dump of theirs can be read with `--dump`";

impl Session {
    /// Reads every role and binding, as they are at about the same moment.
    ///
    /// # Errors
    /// When the user may not list them.
    pub async fn rbac(&self) -> Result<Rbac, Fault> {
        let (cluster_roles, roles, cluster_bindings, bindings) = futures::try_join!(
            self.list(Api::<ClusterRole>::all(self.client.clone()), ""),
            self.list(Api::<Role>::all(self.client.clone()), ""),
            self.list(Api::<ClusterRoleBinding>::all(self.client.clone()), ""),
            self.list(Api::<RoleBinding>::all(self.client.clone()), ""),
        )
        .map_err(|fault| fault.or(HINT))?;
        let mut rbac = Rbac::default();
        cluster_roles.into_iter().for_each(|role| rbac.add_cluster_role(role));
        roles.into_iter().for_each(|role| rbac.add_role(role));
        cluster_bindings.into_iter().for_each(|binding| rbac.add_cluster_role_binding(binding));
        bindings.into_iter().for_each(|binding| rbac.add_role_binding(binding));
        Ok(rbac)
    }

    /// The namespaces of a tenant, by their labels.
    ///
    /// # Errors
    /// When the user may not list namespaces.
    pub async fn namespaces_of(&self, tenant: &str) -> Result<Vec<String>, Fault> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let found = self.list(api, &format!("{TENANT_LABEL}={tenant}")).await;
        let found = found.map_err(|fault| fault.or("only administrators list namespaces"))?;
        Ok(found.iter().map(ResourceExt::name_any).collect())
    }

    /// A resource that was named without a group, as `PLURAL` or `PLURAL.GROUP`: by its plural name, or by its kind.
    ///
    /// # Errors
    /// When the API server does not say what it serves.
    pub async fn resource_named(&self, name: &str) -> Result<Option<String>, Fault> {
        let discovery = Discovery::new(self.client.clone()).run_aggregated().await;
        let discovery = discovery.map_err(|error| self.fault(&error))?;
        let wanted = name.to_lowercase();
        // The core group sorts first.
        let found =
            discovery.groups_alphabetical().into_iter().flat_map(|group| group.recommended_resources());
        let named = found
            .map(|(resource, _)| resource)
            .find(|resource| resource.plural == wanted || resource.kind.to_lowercase() == wanted);
        Ok(named.map(|resource| match resource.group.as_str() {
            "" => resource.plural,
            group => format!("{}.{group}", resource.plural),
        }))
    }
}
