//! Roles and bindings from files, as `kubectl get … -o yaml` writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use model::TENANT_LABEL;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::objects::Rbac;
use crate::api::GROUP;
use crate::manifests;

/// How deep folders are searched.
const DEPTH: usize = 16;
const RBAC: &str = "rbac.authorization.k8s.io";

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dump {
    /// Roles and bindings.
    pub rbac: Rbac,
    /// The namespaces of each tenant, as far as the dump tells.
    pub namespaces: BTreeMap<String, BTreeSet<String>>,
}

/// Why a dump cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DumpFault {
    /// A file or folder cannot be read.
    #[error("cannot read `{}`: {why}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// A file is neither YAML nor JSON, or an object in it is not what its kind says.
    #[error("`{}`: {why}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// There is nothing about rights in it.
    #[error(
        "`{}` has neither roles nor bindings: write it with `kubectl get \
         roles,rolebindings,clusterroles,clusterrolebindings -A -o yaml`",
        .0.display()
    )]
    Empty(PathBuf),
}

/// Reads a file, or every `.yaml`, `.yml` and `.json` file of a folder and the folders in it.
///
/// # Errors
/// When a file cannot be read, or none has a role or binding. Objects of other kinds are passed over.
pub fn read(path: &Path) -> Result<Dump, DumpFault> {
    let mut dump = Dump::default();
    let mut files = Vec::new();
    collect(path, DEPTH, &mut files)?;
    for file in &files {
        let unreadable = |why| DumpFault::Unreadable { path: file.clone(), why };
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        dump.take(&text).map_err(|why| DumpFault::Malformed { path: file.clone(), why })?;
    }
    if dump.rbac.is_empty() { Err(DumpFault::Empty(path.to_owned())) } else { Ok(dump) }
}

/// A file that is named is read whatever its name.
fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), DumpFault> {
    let unreadable = |why| DumpFault::Unreadable { path: path.to_owned(), why };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        entries.push(entry.map_err(unreadable)?.path());
    }
    entries.sort();
    for entry in entries {
        let ending = entry.extension().and_then(|ending| ending.to_str());
        let named = matches!(ending, Some("yaml" | "yml" | "json"));
        if named || (entry.is_dir() && depth > 0) {
            collect(&entry, depth.saturating_sub(1), files)?;
        }
    }
    Ok(())
}

impl Dump {
    /// Takes the objects of one text in.
    fn take(&mut self, text: &str) -> Result<(), String> {
        manifests::objects(text)?.into_iter().try_for_each(|object| self.take_object(object))
    }

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
