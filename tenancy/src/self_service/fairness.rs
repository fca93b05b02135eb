use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use model::TENANT_LABEL;
use serde_json::Value;

use super::fault::{Fault, chain};
use super::session::{Session, own};
use crate::fairness::{Configuration, server_version};

/// Who may read what this reads.
const HINT: &str = "only administrators read the whole cluster's fairness";

impl Session {
    /// Everything that says what tenants get of the API server.
    ///
    /// # Errors
    /// When the user may not list it, or an object is not what its kind says.
    pub async fn fairness(&self) -> Result<Configuration, Fault> {
        let flow = |kind: &str| {
            ApiResource::from_gvk(&GroupVersionKind::gvk("flowcontrol.apiserver.k8s.io", "v1", kind))
        };
        let namespaces = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace"));
        let kinds = [
            (own("FairnessClass"), ""),
            (own("Tenant"), ""),
            (namespaces, TENANT_LABEL),
            (flow("PriorityLevelConfiguration"), ""),
            (flow("FlowSchema"), ""),
        ];
        let version = server_version(&self.client).await.map_err(|error| self.fault(&error))?;
        let mut found = Configuration::new(version);
        for (resource, labels) in kinds {
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
            let objects = self.list(api, labels).await.map_err(|fault| fault.or(HINT))?;
            for object in objects {
                found.take(whole(object, &resource)?).map_err(Fault::Failed)?;
            }
        }
        Ok(found)
    }
}

/// An object with its kind, which items of lists do not have.
fn whole(mut object: DynamicObject, resource: &ApiResource) -> Result<Value, Fault> {
    object.metadata.managed_fields = None;
    let mut value = serde_json::to_value(object).map_err(|error| Fault::Failed(chain(&error)))?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".to_owned(), resource.api_version.as_str().into());
        fields.insert("kind".to_owned(), resource.kind.as_str().into());
    }
    Ok(value)
}
