//! Says in each tenant's status how it stands.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::{Client, ResourceExt};
use model::{TenantFault, TenantIndex};
use serde_json::json;

use super::apply::MANAGER;
use crate::api::tenant::{Tenant, TenantStatus};
use crate::status::write_status;

/// The most namespaces that a status names.
const LISTED: usize = 1_000;

/// The condition that is said here.
const READY: &str = "Ready";
/// The most writes at once.
const WRITES: usize = 8;

/// What is wrong in namespaces, by namespace.
pub(super) struct Faults {
    /// What could not be written.
    pub(super) failed: BTreeMap<String, String>,
    /// What keeps one that is being deleted.
    pub(super) kept: BTreeMap<String, String>,
    /// Tenants of which nothing new is said yet: not everything is written.
    pub(super) unfinished: BTreeSet<String>,
}

/// Writes the statuses that differ; whether all could be written.
pub(super) async fn report(
    client: &Client,
    index: &TenantIndex,
    tenants: &BTreeMap<String, Tenant>,
    faults: &Faults,
) -> bool {
    let finished = tenants.iter().filter(|(name, _)| !faults.unfinished.contains(*name));
    let changed = finished.filter_map(|(name, tenant)| {
        let wanted = status(index, tenant, faults, Timestamp::now());
        (!tenant.status.as_ref().is_some_and(|found| is_same(found, &wanted))).then(|| (name.clone(), wanted))
    });
    let changed: Vec<_> = changed.collect();
    let written = futures::stream::iter(changed)
        .map(|(name, wanted)| write_status(client, MANAGER, "Tenant", name, json!(wanted)));
    let written: Vec<bool> = written.buffer_unordered(WRITES).collect().await;
    written.into_iter().all(|written| written)
}

/// Whether a status says already what is said here; how budgets stand is said elsewhere.
fn is_same(found: &TenantStatus, wanted: &TenantStatus) -> bool {
    let ready =
        |status: &TenantStatus| status.conditions.iter().find(|condition| condition.type_ == READY).cloned();
    found.observed_generation == wanted.observed_generation
        && found.namespaces == wanted.namespaces
        && found.namespace_count == wanted.namespace_count
        && ready(found) == ready(wanted)
}

/// The status that a tenant should have.
fn status(index: &TenantIndex, tenant: &Tenant, faults: &Faults, now: Timestamp) -> TenantStatus {
    let name = tenant.name_any();
    let namespaces: Vec<&str> = index.namespaces_of(&name).collect();
    let find = |all: &BTreeMap<String, String>| {
        namespaces
            .iter()
            .find_map(|namespace| Some(format!("namespace `{namespace}`: {}", all.get(*namespace)?)))
    };
    let (fault, kept) = (find(&faults.failed), find(&faults.kept));
    let wrong = index.tenant(&name).and_then(|tenant| tenant.isolation.fault.as_ref());
    let (holds, reason, message) = match (fault, kept, wrong) {
        (Some(error), ..) => ("False", "WriteFailed", error),
        (None, Some(kept), _) => ("False", "DeletionBlocked", kept),
        (None, None, Some(TenantFault::ProfileMissing(profile))) => {
            let message = format!("there is no IsolationProfile `{profile}`; the strictest walls are used");
            ("False", "ProfileMissing", message)
        }
        (None, None, Some(TenantFault::ParentMissing(parent))) => {
            let message =
                format!("there is no tenant `{parent}`, which is named as parent; nothing grows until then");
            ("False", "ParentMissing", message)
        }
        (None, None, Some(TenantFault::ParentCircle(parent))) => {
            let message =
                format!("the tenant is above itself, through `{parent}`; nothing grows until that ends");
            ("False", "ParentCircle", message)
        }
        (None, None, None) if tenant.metadata.deletion_timestamp.is_some() => (
            "False",
            "Deleting",
            "its namespaces are deleted, or wait for the grace time to be over".to_owned(),
        ),
        (None, None, None) => ("True", "InSync", "every namespace has its walls".to_owned()),
    };
    let last =
        tenant.status.as_ref().and_then(|status| status.conditions.iter().find(|last| last.type_ == READY));
    let since =
        last.filter(|last| last.status == holds).map_or(Time(now), |last| last.last_transition_time.clone());
    let generation = tenant.metadata.generation;
    TenantStatus {
        observed_generation: generation,
        namespaces: namespaces.iter().take(LISTED).map(|name| (*name).to_owned()).collect(),
        quota: Vec::new(),
        fairness: None,
        namespace_count: u32::try_from(namespaces.len()).unwrap_or(u32::MAX),
        conditions: vec![Condition {
            type_: READY.to_owned(),
            status: holds.to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: generation,
            last_transition_time: since,
        }],
    }
}
