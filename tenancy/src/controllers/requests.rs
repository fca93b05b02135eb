//! Says in the status of each QuotaRequest how it stands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use model::TenantIndex;
use serde_json::json;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};

use super::apply::MANAGER;
use super::sooner;
use crate::api::request::{QuotaRequest, RequestState};
use crate::api::{GROUP, VERSION};
use crate::cluster::api_message;

/// The name of the condition.
const GRANTED: &str = "Granted";
/// How long changes are gathered.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// How long until a write is tried again that failed, and the longest until the clock is looked at.
const AGAIN: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(30);
/// The most writes at once.
const WRITES: usize = 8;

/// Runs for ever.
pub(crate) async fn run(
    client: Client,
    mut requests: Receiver<Arc<BTreeMap<String, QuotaRequest>>>,
    mut index: Receiver<Arc<TenantIndex>>,
    mut synced: Receiver<bool>,
) {
    // An error means that the watch has ended, and with it the process.
    drop(synced.wait_for(|synced| *synced).await);
    let mut due = Some(Instant::now());
    loop {
        tokio::select! {
            Ok(()) = requests.changed() => due = sooner(due, Instant::now().checked_add(DEBOUNCE)),
            Ok(()) = index.changed() => due = sooner(due, Instant::now().checked_add(DEBOUNCE)),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                let all = Arc::clone(&requests.borrow_and_update());
                let tenants = Arc::clone(&index.borrow_and_update());
                due = pass(&client, &all, &tenants).await.and_then(|wait| Instant::now().checked_add(wait));
            }
            else => return,
        }
    }
}

/// Writes what differs; when to look again if nothing changes.
async fn pass(
    client: &Client,
    requests: &BTreeMap<String, QuotaRequest>,
    index: &TenantIndex,
) -> Option<Duration> {
    let now = Timestamp::now();
    let written: Vec<bool> = futures::stream::iter(changes(requests, index, now))
        .map(|change| write(client.clone(), change))
        .buffer_unordered(WRITES)
        .collect()
        .await;
    if !written.into_iter().all(|written| written) {
        return Some(AGAIN);
    }
    let ends = requests.values().filter_map(|request| {
        request.grant(tenant_of(request, index)?, now)?.until.map(|until| until.duration_since(now))
    });
    ends.min().map(|left| Duration::try_from(left).unwrap_or_default().clamp(DEBOUNCE, LONGEST))
}

/// What is to be written of one request.
struct Change {
    namespace: String,
    name: String,
    version: Option<String>,
    state: RequestState,
    condition: Condition,
}

fn changes(requests: &BTreeMap<String, QuotaRequest>, index: &TenantIndex, now: Timestamp) -> Vec<Change> {
    let due = requests.values().filter(|request| request.metadata.deletion_timestamp.is_none());
    let changed = due.filter_map(|request| {
        let (state, condition) = wanted(request, index, now)?;
        Some(Change {
            namespace: request.namespace()?,
            name: request.name_any(),
            version: request.resource_version(),
            state,
            condition,
        })
    });
    changed.collect()
}

fn tenant_of<'a>(request: &QuotaRequest, index: &'a TenantIndex) -> Option<&'a str> {
    index.name_for(&request.namespace()?)
}

/// How a request stands: its state and condition, where the status says something else.
fn wanted(request: &QuotaRequest, index: &TenantIndex, now: Timestamp) -> Option<(RequestState, Condition)> {
    let tenant = tenant_of(request, index);
    let state = tenant.map_or(RequestState::Pending, |tenant| request.state(tenant, now));
    let status = request.status.clone().unwrap_or_default();
    let holds = if state == RequestState::Approved { "True" } else { "False" };
    let last = status.conditions.iter().find(|last| last.type_ == GRANTED);
    let since =
        last.filter(|last| last.status == holds).map_or(Time(now), |last| last.last_transition_time.clone());
    let condition = Condition {
        type_: GRANTED.to_owned(),
        status: holds.to_owned(),
        reason: state.as_str().to_owned(),
        message: message(request, tenant, state),
        observed_generation: request.metadata.generation,
        last_transition_time: since,
    };
    let same = status.state.as_deref() == Some(state.as_str()) && last == Some(&condition);
    (!same).then_some((state, condition))
}

fn message(request: &QuotaRequest, tenant: Option<&str>, state: RequestState) -> String {
    let decided = tenant.and_then(|tenant| request.decision(tenant));
    let by = decided.and_then(|decision| decision.by.as_deref()).unwrap_or("an administrator");
    let until = decided.and_then(|decision| decision.until.as_ref()).map(|until| until.0);
    match (state, until) {
        (RequestState::Pending, _) => {
            let before = request.status.as_ref().is_some_and(|status| status.decision.is_some());
            match tenant {
                None => "its namespace belongs to no tenant: nobody can grant it".to_owned(),
                Some(_) if before => {
                    "it, or whose its namespace is, was changed after it was decided on: it waits for \
                                      an administrator again"
                        .to_owned()
                }
                Some(_) => "it waits for an administrator".to_owned(),
            }
        }
        (RequestState::Approved, None) => format!("`{by}` approved it"),
        (RequestState::Approved, Some(until)) => format!("`{by}` approved it until {until}"),
        (RequestState::Refused, _) => {
            let why = decided.and_then(|decision| decision.reason.as_deref());
            format!("`{by}` refused it{}", why.map(|why| format!(": {why}")).unwrap_or_default())
        }
        (RequestState::Expired, Some(until)) => format!("it ended at {until}: ask again for more"),
        (RequestState::Expired, None) => "it has ended: ask again for more".to_owned(),
    }
}

async fn write(client: Client, change: Change) -> bool {
    let Change { namespace, name, version, state, condition } = change;
    let api: Api<QuotaRequest> = Api::namespaced(client, &namespace);
    // The version keeps the word from an object that has changed, or has its name from another.
    let object = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "QuotaRequest",
        "metadata": {"name": name, "namespace": namespace, "resourceVersion": version},
        "status": {"state": state.as_str(), "conditions": [condition]},
    });
    let parameters = PatchParams::apply(MANAGER).force();
    match api.patch_status(&name, &parameters, &Patch::Apply(object)).await {
        Ok(_) => true,
        // Deleted or changed meanwhile: the watch brings what is there.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => true,
        Err(error) => {
            let error = api_message(&error);
            tracing::warn!(
                namespace,
                name,
                error,
                "the status of a request could not be written, it is tried again"
            );
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{NamespaceState, TENANT_LABEL};
    use serde_json::Value;

    use super::*;

    fn index() -> TenantIndex {
        let labels = BTreeMap::from([(TENANT_LABEL.to_owned(), "physics".to_owned())]);
        TenantIndex::new([], [("physics-web".to_owned(), Arc::new(NamespaceState::of(labels)))])
    }

    fn request(namespace: &str, decision: &Value) -> QuotaRequest {
        let object = json!({
            "apiVersion": "bailey.dev/v1alpha1", "kind": "QuotaRequest",
            "metadata": {"name": "more", "namespace": namespace, "generation": 1},
            "spec": {"amounts": {"pods": 5}, "reason": "a term"}, "status": {"decision": decision},
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn the_status_says_how_a_request_stands_and_is_written_once() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let decided = |verdict: &str, until: Value| {
            json!({
                "verdict": verdict, "generation": 1, "tenant": "physics", "by": "root", "until": until,
            })
        };
        let cases = [
            ("physics-web", Value::Null, "Pending", "False", "it waits for an administrator"),
            ("free", decided("Approved", Value::Null), "Pending", "False", "belongs to no tenant"),
            ("physics-web", decided("Approved", Value::Null), "Approved", "True", "`root` approved it"),
            ("physics-web", decided("Refused", Value::Null), "Refused", "False", "`root` refused it"),
            (
                "physics-web",
                decided("Approved", json!("2026-11-22T09:59:59Z")),
                "Expired",
                "False",
                "it ended at 2026-11-22T09:59:59Z",
            ),
        ];
        for (namespace, decision, state, holds, text) in cases {
            let mut request = request(namespace, &decision);
            let (found, condition) = wanted(&request, &index(), now).unwrap();
            assert_eq!((found.as_str(), condition.status.as_str()), (state, holds));
            assert!(condition.message.contains(text), "{condition:?}");
            let mut status = request.status.take().unwrap_or_default();
            (status.state, status.conditions) = (Some(state.to_owned()), vec![condition]);
            request.status = Some(status);
            assert_eq!(wanted(&request, &index(), now), None, "nothing is written twice");
        }
    }
}
