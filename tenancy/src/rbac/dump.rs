//! Roles and bindings from files, as `kubectl get … -o yaml` writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use model::TENANT_LABEL;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::objects::Rbac;
use crate::api::GROUP;
use crate::manifests::{self, DumpFault};

const RBAC: &str = "rbac.authorization.k8s.io";

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dump {
    /// Roles and bindings.
    pub rbac: Rbac,
    /// The namespaces of each tenant, as far as the dump tells.
    pub namespaces: BTreeMap<String, BTreeSet<String>>,
}

/// Reads a file, or every `.yaml`, `.yml` and `.json` file of a folder and the folders in it.
///
/// # Errors
/// When a file cannot be read, or none has a role or binding. Objects of other kinds are passed over.
pub fn read(path: &Path) -> Result<Dump, DumpFault> {
    let mut dump = Dump::default();
    manifests::each(path, |object| dump.take_object(object))?;
    if dump.rbac.is_empty() {
        let (lacks, kinds) =
            ("neither roles nor bindings", "roles,rolebindings,clusterroles,clusterrolebindings");
        return Err(DumpFault::Empty { path: path.to_owned(), lacks, kinds });
    }
    Ok(dump)
}

impl Dump {
    fn take_object(&mut self, value: Value) -> Result<(), String> {
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
        let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
        match (group, text("kind")) {
            (RBAC, "ClusterRole") => self.rbac.add_cluster_role(typed(value)?),
            (RBAC, "Role") => self.rbac.add_role(typed(value)?),
            (RBAC, "ClusterRoleBinding") => self.rbac.add_cluster_role_binding(typed(value)?),
            (RBAC, "RoleBinding") => self.rbac.add_role_binding(typed(value)?),
            ("", "Namespace") => {
                let label = value.pointer("/metadata/labels").and_then(|labels| labels.get(TENANT_LABEL));
                if let (Some(tenant), Some(name)) = (label.and_then(Value::as_str), name(&value)) {
                    self.namespaces.entry(tenant.to_owned()).or_default().insert(name.to_owned());
                }
            }
            (GROUP, "Tenant") => {
                let listed = value.pointer("/status/namespaces").and_then(Value::as_array);
                let listed = listed.into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned()));
                if let Some(name) = name(&value) {
                    self.namespaces.entry(name.to_owned()).or_default().extend(listed);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn name(value: &Value) -> Option<&str> {
    value.pointer("/metadata/name")?.as_str()
}

/// An object as its type.
fn typed<K: DeserializeOwned>(mut value: Value) -> Result<K, String> {
    let what = name(&value).unwrap_or_default().to_owned();
    // The types know one version only; all that RBAC ever had are alike in what counts.
    if let Value::Object(fields) = &mut value {
        fields.retain(|field, _| field != "kind" && field != "apiVersion");
    }
    serde_json::from_value(value).map_err(|error| format!("the object `{what}` is malformed: {error}"))
}
