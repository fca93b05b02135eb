//! What administrators do with tenants.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use model::{Subject, TENANT_LABEL};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::members::{MemberRole, stored};
use super::session::Session;
use crate::api::{GROUP, VERSION};

const HINT: &str = "this takes an administrator's rights: `bailey tenant` is for them";

/// A tenant that is to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewTenant {
    /// Its name.
    pub name: String,
    /// Its owners.
    pub owners: Vec<Subject>,
    /// Its isolation profile.
    pub profile: Option<String>,
    /// Its fairness class.
    pub fairness_class: Option<String>,
    /// The most namespaces.
    pub limit: Option<u32>,
    /// What their names begin with.
    pub prefix: Option<String>,
}

/// What became of a namespace that was given to a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Adoption {
    /// The namespace.
    pub namespace: String,
    /// Whether it was the tenant's already.
    pub already: bool,
}

impl Session {
    /// Creates a tenant.
    ///
    /// # Errors
    /// When it is refused, or there already, or its fairness class is not there: it would count as the default one.
    pub async fn create_tenant(&self, tenant: &NewTenant) -> Result<(), Fault> {
        if let Some(class) = &tenant.fairness_class {
            let found = self.own("FairnessClass").get(class).await;
            found.map_err(|error| match self.fault(&error) {
                Fault::NotFound(_) => Fault::NotFound(format!(
                    "there is no FairnessClass `{class}`: `kubectl get fairnessclasses` lists them"
                )),
                other => other.or(HINT),
            })?;
        }
        let object: DynamicObject = serde_json::from_value(manifest(tenant))
            .map_err(|error| Fault::Failed(format!("the tenant cannot be written: {error}")))?;
        let created = self.own("Tenant").create(&PostParams::default(), &object).await;
        created.map(drop).map_err(|error| match self.fault(&error) {
            Fault::Exists(_) => Fault::Exists(format!("there is a tenant `{}` already", tenant.name)),
            Fault::NotFound(_) => {
                Fault::NotFound("the cluster does not know tenants: apply `bailey crds` first".to_owned())
            }
            other => other.or(HINT),
        })
    }

    /// Suspends or resumes a tenant; whether that changed anything.
    ///
    /// # Errors
    /// When it is refused, or there is no such tenant.
    pub async fn set_suspended(&self, name: &str, suspended: bool) -> Result<bool, Fault> {
        let before = self.stored_tenant(name).await?;
        let is = before.data.pointer("/spec/suspended").and_then(Value::as_bool).unwrap_or_default();
        if is == suspended {
            return Ok(false);
        }
        self.patch_tenant(name, None, &json!({"suspended": suspended}), HINT).await?;
        Ok(true)
    }

    /// Gives a namespace to a tenant. One that is another tenant's is not taken away.
    ///
    /// # Errors
    /// When it is refused, there is no such tenant or namespace, or it belongs to another tenant.
    pub async fn adopt(&self, tenant: &str, namespace: &str) -> Result<Adoption, Fault> {
        // A label that names nobody would be found out late.
        self.stored_tenant(tenant).await?;
        let api: Api<Namespace> = Api::all(self.client.clone());
        let missing = |error: &kube::Error| {
            match self.fault(error) {
            Fault::NotFound(_) => Fault::NotFound(format!("there is no namespace `{namespace}`")),
            other => other.or(
                "only administrators give namespaces to tenants: ask for `bailey tenant adopt TENANT NAMESPACE`",
            ),
        }
        };
        let found = api.get(namespace).await.map_err(|error| missing(&error))?;
        let label = found.metadata.labels.and_then(|mut labels| labels.remove(TENANT_LABEL));
        match label {
            Some(of) if of == tenant => {
                return Ok(Adoption { namespace: namespace.to_owned(), already: true });
            }
            Some(of) => {
                return Err(Fault::Exists(format!(
                    "the namespace `{namespace}` belongs to the tenant `{of}`: take its label `{TENANT_LABEL}` away first"
                )));
            }
            None => {}
        }
        let version = found.metadata.resource_version;
        let patch = json!({"metadata": {"resourceVersion": version, "labels": {TENANT_LABEL: tenant}}});
        let done = api.patch(namespace, &PatchParams::default(), &Patch::Merge(&patch)).await;
        done.map_err(|error| missing(&error))?;
        Ok(Adoption { namespace: namespace.to_owned(), already: false })
    }
}

/// The object that a new tenant is.
fn manifest(tenant: &NewTenant) -> Value {
    let members: Vec<_> = tenant.owners.iter().map(|owner| stored(owner, MemberRole::Owner)).collect();
    let mut spec = Map::new();
    spec.insert("members".to_owned(), members.into());
    let mut rules = Map::new();
    rules.extend(tenant.prefix.clone().map(|prefix| ("prefix".to_owned(), prefix.into())));
    rules.extend(tenant.limit.map(|limit| ("limit".to_owned(), limit.into())));
    if !rules.is_empty() {
        spec.insert("namespaces".to_owned(), rules.into());
    }
    spec.extend(tenant.profile.clone().map(|profile| ("isolationProfile".to_owned(), profile.into())));
    spec.extend(tenant.fairness_class.clone().map(|class| ("fairnessClass".to_owned(), class.into())));
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Tenant", "metadata": {"name": tenant.name}, "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_tenant_says_only_what_was_given() {
        let bare = NewTenant { name: "bare".into(), ..NewTenant::default() };
        assert_eq!(manifest(&bare)["spec"], json!({"members": []}));
        let whole = NewTenant {
            name: "physics".into(),
            owners: vec!["user:alice".parse().unwrap(), "sa:ci/x".parse().unwrap()],
            profile: Some("lab".into()),
            fairness_class: Some("gold".into()),
            limit: Some(3),
            prefix: Some(String::new()),
        };
        let expected = json!({
            "members": [
                {"kind": "User", "name": "alice", "role": "owner"},
                {"kind": "ServiceAccount", "namespace": "ci", "name": "x", "role": "owner"},
            ],
            "namespaces": {"prefix": "", "limit": 3},
            "isolationProfile": "lab",
            "fairnessClass": "gold",
        });
        assert_eq!(manifest(&whole)["spec"], expected);
    }
}
