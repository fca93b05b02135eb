//! Namespaces of a tenant, by the rights of its owners.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use model::{TENANT_LABEL, WALLS_LABEL, WALLS_STANDING};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::fault::Fault;
use super::session::Session;

/// How long it is waited for the walls of a new namespace.
const PATIENCE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(150);

/// A namespace that was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    /// Its name.
    pub name: String,
    /// The tenant that it belongs to; `None` where it belongs to nobody.
    pub tenant: Option<String>,
    /// Whether its rights and walls are there: they are a moment later than itself.
    pub ready: bool,
}

impl Session {
    /// Creates a namespace, for a tenant or for the one that Bailey finds; waits until its walls stand.
    ///
    /// # Errors
    /// When it is refused, or there already.
    pub async fn create_namespace(&self, name: &str, tenant: Option<&str>) -> Result<Created, Fault> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let label = tenant.map(|tenant| BTreeMap::from([(TENANT_LABEL.to_owned(), tenant.to_owned())]));
        let metadata = ObjectMeta { name: Some(name.to_owned()), labels: label, ..ObjectMeta::default() };
        let object = Namespace { metadata, ..Namespace::default() };
        let created = api.create(&PostParams::default(), &object).await;
        let created = created.map_err(|error| match self.fault(&error) {
            Fault::Exists(_) => Fault::Exists(format!(
                "there is a namespace `{name}` already, perhaps of another tenant: choose another name"
            )),
            other => other.or("only owners of a tenant create namespaces: ask one, or an administrator"),
        })?;
        let tenant = created.metadata.labels.and_then(|mut labels| labels.remove(TENANT_LABEL));
        let ready = tenant.is_some() && self.stands(&api, name).await;
        Ok(Created { name: name.to_owned(), tenant, ready })
    }

    /// Waits until the namespace says that its walls stand, which its owner can read then; whether it does.
    async fn stands(&self, api: &Api<Namespace>, name: &str) -> bool {
        let late = Instant::now().checked_add(PATIENCE);
        while late.is_some_and(|late| Instant::now() < late) {
            // The right to read it is one of those that are waited for.
            let label = api.get(name).await.ok().and_then(|found| found.metadata.labels?.remove(WALLS_LABEL));
            if label.as_deref() == Some(WALLS_STANDING) {
                return true;
            }
            sleep(POLL).await;
        }
        false
    }

    /// Deletes a namespace and all that is in it.
    ///
    /// # Errors
    /// When it is refused, or not there.
    pub async fn delete_namespace(&self, name: &str) -> Result<(), Fault> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let done = api.delete(name, &DeleteParams::default()).await;
        done.map(drop).map_err(|error| match self.fault(&error) {
            Fault::NotFound(_) => Fault::NotFound(format!("there is no namespace `{name}`")),
            other => {
                other.or("owners delete the namespaces of their own tenants: see `kubectl tenant namespaces`")
            }
        })
    }
}
