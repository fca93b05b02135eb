//! Everything that a plan is made from, as it was at one moment: from files, or from a cluster.

use std::collections::BTreeMap;
use std::path::Path;

use fairness::apf::ServerVersion;
use fairness::apf::default_levels;
use fairness::apf::objects::{FlowSchema, PriorityLevelConfiguration, Subject};
use fairness::apf::plan::PlanFault;
use model::TENANT_LABEL;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::classes::Classes;
use super::proposal::{Live, Proposal, Server, Tenants, propose};
use crate::api::GROUP;
use crate::api::fairness_class::FairnessClass;
use crate::api::tenant::Tenant;
use crate::manifests::{self, DumpFault};

/// The group of flow control.
const FLOW: &str = "flowcontrol.apiserver.k8s.io";
/// What of a Tenant's spec counts here. A newer Bailey's has fields that this one does not know.
const COUNTS: [&str; 3] = ["members", "parent", "fairnessClass"];

/// Everything that a plan is made from.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// The classes, by name.
    pub classes: BTreeMap<String, FairnessClass>,
    /// The tenants, by name.
    pub tenants: BTreeMap<String, Tenant>,
    /// The tenant of each namespace that is a tenant's.
    pub namespaces: BTreeMap<String, String>,
    /// What the API server has.
    pub live: Live,
    /// The generation of API servers.
    pub version: ServerVersion,
}

impl Configuration {
    /// Nothing yet.
    pub(crate) fn new(version: ServerVersion) -> Self {
        let (classes, tenants, namespaces) = Default::default();
        Self { classes, tenants, namespaces, live: Live::default(), version }
    }

    /// What should be at a server with so many seats. `own` is who Bailey is.
    ///
    /// # Errors
    /// As [`propose`].
    pub fn propose(&self, own: &[Subject], seats: u32) -> Result<Proposal, PlanFault> {
        let classes = Classes::of(&self.classes);
        let from = Tenants { classes: &classes, tenants: &self.tenants, namespaces: &self.namespaces };
        propose(&from, own, &self.live, Server { seats, version: self.version })
    }

    /// Takes an object in; of kinds that do not count nothing.
    ///
    /// # Errors
    /// When it is not what its kind says.
    pub(crate) fn take(&mut self, mut object: Value) -> Result<(), String> {
        let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (version, kind) = (text("apiVersion"), text("kind"));
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let Some(name) = object.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned) else {
            return Ok(());
        };
        match (group, kind.as_str()) {
            (GROUP, "FairnessClass") => {
                let class: FairnessClass = typed(object, &name)?;
                class
                    .spec
                    .to_plan(&name)
                    .map_err(|fault| format!("the FairnessClass `{name}`: {}", fault.message))?;
                self.classes.insert(name, class);
            }
            (GROUP, "Tenant") => {
                if let Some(spec) = object.pointer_mut("/spec").and_then(Value::as_object_mut) {
                    spec.retain(|field, _| COUNTS.contains(&field.as_str()));
                }
                if let Some(object) = object.as_object_mut() {
                    object.remove("status");
                }
                let tenant = typed(object, &name)?;
                self.tenants.insert(name, tenant);
            }
            ("", "Namespace") => {
                let label = object.pointer("/metadata/labels").and_then(|labels| labels.get(TENANT_LABEL));
                if let Some(tenant) = label.and_then(Value::as_str) {
                    self.namespaces.insert(name, tenant.to_owned());
                }
            }
            (FLOW, "PriorityLevelConfiguration") => {
                self.live.levels.push(typed::<PriorityLevelConfiguration>(object, &name)?);
            }
            (FLOW, "FlowSchema") => self.live.schemas.push(typed::<FlowSchema>(object, &name)?),
            _ => {}
        }
        Ok(())
    }
}

/// Reads classes, tenants, namespaces and the objects of flow control from a file or folder. Where it has no priority
/// level, those are taken that every cluster has from the start.
///
/// # Errors
/// When a file cannot be read, an object is not what its kind says, a class is not valid, or there is neither a class nor a
/// tenant.
pub fn read_files(path: &Path) -> Result<Configuration, DumpFault> {
    let mut found = Configuration::new(ServerVersion::From134);
    manifests::each(path, |object| found.take(object))?;
    if found.classes.is_empty() && found.tenants.is_empty() {
        let (lacks, kinds) = (
            "neither FairnessClasses nor Tenants",
            "fairnessclasses.bailey.dev,tenants.bailey.dev,namespaces,prioritylevelconfigurations,flowschemas",
        );
        return Err(DumpFault::Empty { path: path.to_owned(), lacks, kinds });
    }
    if found.live.levels.is_empty() {
        found.live.levels = default_levels()
            .iter()
            .map(|level| {
                let mut level = PriorityLevelConfiguration::from(level);
                level.metadata.labels.clear();
                level
            })
            .collect();
    }
    Ok(found)
}

fn typed<T: DeserializeOwned>(object: Value, name: &str) -> Result<T, String> {
    serde_json::from_value(object).map_err(|error| format!("the object `{name}` is malformed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
apiVersion: bailey.dev/v1alpha1
kind: FairnessClass
metadata: {name: gold}
spec: {priorityLevel: {shares: 60}}
---
apiVersion: bailey.dev/v1alpha1
kind: Tenant
metadata: {name: shop}
spec: {fairnessClass: gold, members: [{kind: User, name: sue}], ofTomorrow: {a: 1}}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop-web, labels: {bailey.dev/tenant: shop}}
";

    #[test]
    fn a_plan_is_made_from_files_beside_the_levels_that_every_cluster_has() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("all.yaml");
        std::fs::write(&file, FILE).unwrap();
        let found = read_files(folder.path()).unwrap();
        assert_eq!(found.namespaces["shop-web"], "shop");
        let proposal = found.propose(&[], 600).unwrap();
        assert_eq!((proposal.diff.changes.len(), proposal.diff.conflicts.len()), (4, 0));
        assert_eq!(proposal.seats.len(), default_levels().len() + 2);
        // 245 and 60 and 15 shares.
        let gold = proposal.seats.iter().find(|row| row.level.name == "tenants-gold").unwrap();
        assert_eq!(gold.seats.nominal, 113);

        std::fs::write(&file, FILE.replace("shares: 60", "queues: 9999, handSize: 9")).unwrap();
        let fault = read_files(&file).unwrap_err().to_string();
        assert!(fault.contains("handSize is 9"), "{fault}");
        std::fs::write(&file, "{apiVersion: v1, kind: Namespace, metadata: {name: x}}").unwrap();
        let fault = read_files(&file).unwrap_err().to_string();
        assert!(
            fault.contains("has neither FairnessClasses nor Tenants: write it with `kubectl get"),
            "{fault}"
        );
    }
}
