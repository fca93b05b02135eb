//! Says in each tenant's status how it stands.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use model::{TenantFault, TenantIndex};
use serde_json::json;

use super::apply::MANAGER;
use crate::api::tenant::{Tenant, TenantStatus};
use crate::api::{GROUP, VERSION};
use crate::cluster::api_message;

/// The most namespaces that a status names.
const LISTED: usize = 1_000;

/// Writes the statuses that differ; whether all could be written.
pub(super) async fn report(
    client: &Client,
    index: &TenantIndex,
    tenants: &BTreeMap<String, Tenant>,
    failed: &BTreeMap<String, String>,
) -> bool {
    let api: Api<Tenant> = Api::all(client.clone());
    let mut all = true;
    for (name, tenant) in tenants {
        let wanted = status(index, tenant, failed, Timestamp::now());
        if tenant.status.as_ref() == Some(&wanted) {
            continue;
        }
        let object = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Tenant",
            "metadata": {"name": name}, "status": wanted,
        });
        let parameters = PatchParams::apply(MANAGER).force();
        match api.patch_status(name, &parameters, &Patch::Apply(object)).await {
            Ok(_) => {}
            // Deleted meanwhile.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => {
                all = false;
                let error = api_message(&error);
                tracing::warn!(tenant = name, error, "a status could not be written, it is tried again");
            }
        }
    }
    all
}

/// The status that a tenant should have.
fn status(
    index: &TenantIndex,
    tenant: &Tenant,
    failed: &BTreeMap<String, String>,
    now: Timestamp,
) -> TenantStatus {
    let name = tenant.name_any();
    let namespaces: Vec<&str> = index.namespaces_of(&name).collect();
    let fault = namespaces.iter().find_map(|namespace| Some((namespace, failed.get(*namespace)?)));
    let wrong = index.tenant(&name).and_then(|tenant| tenant.isolation.fault.as_ref());
    let (holds, reason, message) = match (fault, wrong) {
        (Some((namespace, error)), _) => {
            ("False", "WriteFailed", format!("namespace `{namespace}`: {error}"))
        }
        (None, Some(TenantFault::ProfileMissing(profile))) => {
            let message = format!("there is no IsolationProfile `{profile}`; the strictest walls are used");
            ("False", "ProfileMissing", message)
        }
        (None, Some(TenantFault::ParentMissing(parent))) => {
            let message =
                format!("there is no tenant `{parent}`, which is named as parent; nothing grows until then");
            ("False", "ParentMissing", message)
        }
        (None, Some(TenantFault::ParentCircle(parent))) => {
            let message =
                format!("the tenant is above itself, through `{parent}`; nothing grows until that ends");
            ("False", "ParentCircle", message)
        }
        (None, None) => ("True", "InSync", "every namespace has its walls".to_owned()),
    };
    let last =
        tenant.status.as_ref().and_then(|status| status.conditions.iter().find(|last| last.type_ == "Ready"));
    let since =
        last.filter(|last| last.status == holds).map_or(Time(now), |last| last.last_transition_time.clone());
    let generation = tenant.metadata.generation;
    TenantStatus {
        observed_generation: generation,
        namespaces: namespaces.iter().take(LISTED).map(|name| (*name).to_owned()).collect(),
        namespace_count: u32::try_from(namespaces.len()).unwrap_or(u32::MAX),
        conditions: vec![Condition {
            type_: "Ready".to_owned(),
            status: holds.to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: generation,
            last_transition_time: since,
        }],
    }
}
