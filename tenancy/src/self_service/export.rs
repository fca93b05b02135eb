//! A tenant as manifests that can be applied elsewhere.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use model::{NAMESPACE_NAME_LABEL, POD_SECURITY_LABELS, TENANT_LABEL, WALLS_LABEL};
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::session::Session;
use crate::api::{GROUP, VERSION};

/// What kubectl notes in the objects that it applies.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl Session {
    /// The isolation profile and the fairness class of a tenant, where it names them, the tenant itself, and its
    /// namespaces: what somebody wrote of them, and not what the cluster adds.
    ///
    /// # Errors
    /// When there is no such tenant, or the user may not list namespaces.
    pub async fn export(&self, name: &str) -> Result<Vec<Value>, Fault> {
        let tenant = self.stored_tenant(name).await?;
        let mut objects = Vec::new();
        for (field, kind) in [("isolationProfile", "IsolationProfile"), ("fairnessClass", "FairnessClass")] {
            let named = tenant.data.get("spec").and_then(|spec| spec.get(field)).and_then(Value::as_str);
            let Some(named) = named else { continue };
            match self.own(kind).get(named).await {
                Ok(found) => objects.push(own(&found, kind)),
                Err(error) => match self.fault(&error) {
                    // The tenant says so in its status.
                    Fault::NotFound(_) => {}
                    other => return Err(other),
                },
            }
        }
        objects.push(own(&tenant, "Tenant"));
        let api: Api<Namespace> = Api::all(self.client.clone());
        let mut namespaces = self.list(api, &format!("{TENANT_LABEL}={name}")).await?;
        namespaces.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
        objects.extend(
            namespaces.into_iter().filter(|found| found.metadata.deletion_timestamp.is_none()).map(|found| {
                let metadata = metadata(&serde_json::to_value(&found.metadata).unwrap_or_default());
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
            }),
        );
        Ok(objects)
    }
}

fn own(object: &kube::api::DynamicObject, kind: &str) -> Value {
    let metadata = metadata(&serde_json::to_value(&object.metadata).unwrap_or_default());
    let spec = object.data.get("spec").cloned().unwrap_or_else(|| json!({}));
    json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind, "metadata": metadata, "spec": spec})
}

/// Name, labels and annotations, without those that the cluster and Bailey set by themselves.
fn metadata(stored: &Value) -> Value {
    let of_cluster = |name: &str| {
        name == NAMESPACE_NAME_LABEL
            || name == WALLS_LABEL
            || name == LAST_APPLIED
            || name.starts_with(POD_SECURITY_LABELS)
    };
    let mut clean = Map::new();
    clean.extend(stored.get("name").map(|name| ("name".to_owned(), name.clone())));
    for field in ["labels", "annotations"] {
        let kept = stored.get(field).and_then(Value::as_object).into_iter().flatten();
        let kept: Map<_, _> = kept
            .filter(|(name, _)| !of_cluster(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if !kept.is_empty() {
            clean.insert(field.to_owned(), kept.into());
        }
    }
    clean.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_cluster_adds_is_left_out() {
        let stored = json!({
            "name": "a-web", "uid": "1", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {
                "bailey.dev/tenant": "a", "bailey.dev/walls": "standing", "kubernetes.io/metadata.name": "a-web",
                "pod-security.kubernetes.io/enforce": "baseline", "color": "blue",
            },
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            "managedFields": [{}],
        });
        let expected = json!({"name": "a-web", "labels": {"bailey.dev/tenant": "a", "color": "blue"}});
        assert_eq!(metadata(&stored), expected);
    }
}
