//! Takes the namespaces of a deleted tenant away with it, and says what keeps any namespace from going.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use model::{TENANT_FINALIZER, TenantIndex};
use serde_json::json;

use super::apply::MANAGER;
use crate::api::tenant::Tenant;
use crate::cluster::api_message;

/// How often it is asked again what keeps a namespace.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// The most namespaces of which it is asked at a time.
const ASKED: usize = 32;
/// The most requests at once.
const REQUESTS: usize = 8;
/// The conditions of a namespace that say what keeps it.
const KEEPING: [&str; 5] = [
    "NamespaceFinalizersRemaining",
    "NamespaceContentRemaining",
    "NamespaceDeletionContentFailure",
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
];

/// What a step towards deletion found.
#[derive(Debug, Default)]
pub(super) struct Departures {
    /// What keeps a namespace from going, by namespace.
    pub(super) kept: BTreeMap<String, String>,
    /// How long until there is more to do if nothing changes.
    pub(super) next: Option<Duration>,
}

/// What is due for one deleted tenant.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    /// It has no namespace left: it may go.
    Release,
    /// These of its namespaces are to be deleted.
    Delete(Vec<String>),
    /// Its namespaces stay for this long.
    Wait(Duration),
    /// They are on their way.
    Nothing,
}

/// Deletes what is due, and asks what keeps the namespaces that are being deleted.
pub(super) async fn advance(
    client: &Client,
    index: &TenantIndex,
    tenants: &BTreeMap<String, Tenant>,
) -> Departures {
    let mut departures = Departures::default();
    let now = Timestamp::now();
    for (name, tenant) in tenants {
        match due(tenant, index, now) {
            Some(Due::Release) => release(client, name, tenant).await,
            Some(Due::Delete(namespaces)) => delete(client, namespaces).await,
            Some(Due::Wait(wait)) => departures.next = sooner(departures.next, wait),
            Some(Due::Nothing) | None => {}
        }
    }
    let ending = ending(index);
    if !ending.is_empty() {
        departures.next = sooner(departures.next, ASK_AGAIN);
        departures.kept = kept(client, ending).await;
    }
    departures
}

/// The namespaces of tenants that are being deleted, as many as are asked about.
fn ending(index: &TenantIndex) -> Vec<String> {
    let all = index.tenants().flat_map(|tenant| index.namespaces_of(&tenant.name));
    let ending = all.filter(|name| index.namespace(name).is_some_and(|state| state.terminating));
    ending.take(ASKED).map(str::to_owned).collect()
}

fn sooner(next: Option<Duration>, wait: Duration) -> Option<Duration> {
    Some(next.map_or(wait, |next| next.min(wait)))
}

fn due(tenant: &Tenant, index: &TenantIndex, now: Timestamp) -> Option<Due> {
    let since = tenant.metadata.deletion_timestamp.as_ref()?.0;
    let name = tenant.name_any();
    let mut all = index.namespaces_of(&name).peekable();
    if all.peek().is_none() {
        return Some(Due::Release);
    }
    let grace = SignedDuration::from_secs(i64::from(tenant.spec.deletion.grace_seconds));
    let left = since.checked_add(grace).ok()?.duration_since(now);
    if left.is_positive() {
        return Some(Due::Wait(Duration::try_from(left).unwrap_or(ASK_AGAIN)));
    }
    let staying = |name: &&str| index.namespace(name).is_some_and(|state| !state.terminating);
    let staying: Vec<String> = all.filter(staying).map(str::to_owned).collect();
    Some(if staying.is_empty() { Due::Nothing } else { Due::Delete(staying) })
}

/// Lets go of a tenant that has nothing left.
async fn release(client: &Client, name: &str, tenant: &Tenant) {
    let others: Vec<&String> = tenant.finalizers().iter().filter(|name| *name != TENANT_FINALIZER).collect();
    let patch = json!({
        "metadata": {"resourceVersion": tenant.resource_version(), "finalizers": others},
    });
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let api: Api<Tenant> = Api::all(client.clone());
    match api.patch_metadata(name, &parameters, &Patch::Merge(patch)).await {
        // Gone, or changed meanwhile: then the watch tells of it.
        Ok(_) => {}
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => {}
        Err(error) => {
            let error = api_message(&error);
            tracing::warn!(tenant = name, error, "a deleted tenant could not be let go, it is tried again");
        }
    }
}

async fn delete(client: &Client, namespaces: Vec<String>) {
    let api: Api<Namespace> = Api::all(client.clone());
    let each = futures::stream::iter(namespaces).map(|name| {
        let api = api.clone();
        async move {
            let deleted = api.delete(&name, &DeleteParams::default()).await;
            (name, deleted.map(drop))
        }
    });
    let results: Vec<_> = each.buffer_unordered(REQUESTS).collect().await;
    for (namespace, result) in results {
        match result {
            Ok(()) => tracing::info!(namespace, "a namespace is deleted with its tenant"),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => {
                let error = api_message(&error);
                tracing::warn!(namespace, error, "a namespace could not be deleted, it is tried again");
            }
        }
    }
}

/// What keeps each of these namespaces, where the API server says so.
async fn kept(client: &Client, namespaces: Vec<String>) -> BTreeMap<String, String> {
    let api: Api<Namespace> = Api::all(client.clone());
    let each = futures::stream::iter(namespaces).map(|name| {
        let api = api.clone();
        async move {
            let namespace = api.get_opt(&name).await.ok().flatten()?;
            Some((name, keeping(&namespace)?))
        }
    });
    each.buffer_unordered(REQUESTS).filter_map(std::future::ready).collect().await
}

/// What its conditions say that keeps a namespace.
fn keeping(namespace: &Namespace) -> Option<String> {
    let conditions = namespace.status.as_ref()?.conditions.as_ref()?;
    let holding = KEEPING.iter().filter_map(|kind| {
        let condition = conditions.iter().find(|condition| condition.type_ == *kind)?;
        (condition.status == "True").then(|| condition.message.clone()).flatten()
    });
    let texts: Vec<String> = holding.collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{NamespaceState, TENANT_LABEL};

    use super::*;

    fn tenant(deleted: Option<&str>, grace: u32) -> Tenant {
        serde_json::from_value(json!({
            "apiVersion": "bailey.dev/v1alpha1", "kind": "Tenant",
            "metadata": {"name": "a", "deletionTimestamp": deleted},
            "spec": {"deletion": {"graceSeconds": grace}},
        }))
        .unwrap()
    }

    fn index(namespaces: &[(&str, bool)]) -> TenantIndex {
        let labels = BTreeMap::from([(TENANT_LABEL.to_owned(), "a".to_owned())]);
        let all = namespaces.iter().map(|(name, terminating)| {
            let state = NamespaceState { terminating: *terminating, ..NamespaceState::of(labels.clone()) };
            ((*name).to_owned(), Arc::new(state))
        });
        TenantIndex::new([], all)
    }

    #[test]
    fn namespaces_go_after_the_grace_time_and_the_tenant_after_them() {
        let now: Timestamp = "2026-01-01T00:00:10Z".parse().unwrap();
        let deleted = Some("2026-01-01T00:00:00Z");
        let (two, last) = (index(&[("one", false), ("two", true)]), index(&[("two", true)]));
        assert_eq!(due(&tenant(None, 0), &two, now), None);
        assert_eq!(due(&tenant(deleted, 30), &two, now), Some(Due::Wait(Duration::from_secs(20))));
        assert_eq!(due(&tenant(deleted, 10), &two, now), Some(Due::Delete(vec!["one".to_owned()])));
        assert_eq!(due(&tenant(deleted, 0), &last, now), Some(Due::Nothing));
        assert_eq!(due(&tenant(deleted, 30), &index(&[]), now), Some(Due::Release));
    }

    #[test]
    fn what_keeps_a_namespace_is_read_from_its_conditions() {
        let condition = |kind: &str, status: &str| {
            json!({"type": kind, "status": status, "message": format!("because of {kind}"), "reason": "x",
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let namespace = |conditions: &[serde_json::Value]| -> Namespace {
            serde_json::from_value(json!({"metadata": {}, "status": {"conditions": conditions}})).unwrap()
        };
        let all = [
            condition("NamespaceContentRemaining", "True"),
            condition("NamespaceFinalizersRemaining", "True"),
        ];
        let text = keeping(&namespace(&all)).unwrap();
        assert_eq!(text, "because of NamespaceFinalizersRemaining; because of NamespaceContentRemaining");
        assert_eq!(keeping(&namespace(&[condition("NamespaceContentRemaining", "False")])), None);
    }
}
