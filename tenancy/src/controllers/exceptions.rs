//! Says in each exception's status how it stands. Nothing hangs on it: admission reads the clock itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::watch::Receiver;

use crate::api::exception::{PolicyException, State};
use crate::api::{GROUP, VERSION};
use crate::cluster::{AllExceptions, api_message};

/// The name under which fields are owned.
const MANAGER: &str = "bailey-exceptions";
const CONDITION: &str = "InForce";
/// How long it is waited after a write failed.
const AGAIN: Duration = Duration::from_secs(2);
/// How long it is waited at most: clocks are put right, too.
const LONGEST: Duration = Duration::from_secs(60);

/// What was written last: the version of the object over which it was.
type Written = BTreeMap<(String, String), Option<String>>;

/// Writes statuses that differ, for ever.
pub(crate) async fn run(client: Client, mut all: Receiver<Arc<AllExceptions>>) {
    let reporter = Reporter { controller: "bailey".to_owned(), instance: std::env::var("HOSTNAME").ok() };
    let recorder = Recorder::new(client.clone(), reporter);
    let mut written = Written::new();
    loop {
        let known = Arc::clone(&all.borrow_and_update());
        written.retain(|place, _| known.contains_key(place));
        let mut pause = pause(known.values(), OffsetDateTime::now_utc());
        for (place, exception) in known.iter() {
            if written.get(place) == Some(&exception.resource_version()) {
                continue;
            }
            let now = OffsetDateTime::now_utc();
            let Some(condition) = plan(exception, now, Timestamp::now()) else { continue };
            match write(&client, exception, &condition).await {
                Ok(()) => {
                    written.insert(place.clone(), exception.resource_version());
                    tell(&recorder, exception, condition).await;
                }
                Err(error) => {
                    let (namespace, name) = place;
                    let error = api_message(&error);
                    tracing::warn!(
                        namespace,
                        name,
                        error,
                        "a status could not be written, it is tried again"
                    );
                    pause = pause.min(AGAIN);
                }
            }
        }
        tokio::select! {
            changed = all.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Until the next one ends.
fn pause<'a>(all: impl Iterator<Item = &'a Arc<PolicyException>>, now: OffsetDateTime) -> Duration {
    let left = all.filter_map(|exception| {
        let nanos = exception.ends()?.unix_timestamp_nanos().saturating_sub(now.unix_timestamp_nanos());
        u64::try_from(nanos).ok().filter(|nanos| *nanos > 0).map(Duration::from_nanos)
    });
    left.min().map_or(LONGEST, |left| left.min(LONGEST))
}

/// The condition that an exception should have; `None` where it has it.
fn plan(exception: &PolicyException, now: OffsetDateTime, stamp: Timestamp) -> Option<Condition> {
    let state = exception.state(now);
    let holds = if state == State::Approved { "True" } else { "False" };
    let status = exception.status.clone().unwrap_or_default();
    let last = status.conditions.into_iter().find(|last| last.type_ == CONDITION);
    let since =
        last.as_ref().filter(|last| last.status == holds).map(|last| last.last_transition_time.clone());
    let wanted = Condition {
        type_: CONDITION.to_owned(),
        status: holds.to_owned(),
        reason: state.as_str().to_owned(),
        message: message(exception, state),
        observed_generation: exception.metadata.generation,
        last_transition_time: since.unwrap_or(Time(stamp)),
    };
    (last.as_ref() != Some(&wanted) || status.observed_generation != wanted.observed_generation)
        .then_some(wanted)
}

fn message(exception: &PolicyException, state: State) -> String {
    let approval = exception.status.as_ref().and_then(|status| status.approval.as_ref());
    let by = approval.and_then(|approval| approval.by.as_deref()).unwrap_or("an administrator");
    let why = approval.and_then(|approval| approval.message.as_deref());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let ends = &exception.spec.expires;
    match state {
        State::Pending => "an administrator has to approve it".to_owned(),
        State::Approved => format!("approved by `{by}`, until {ends}{why}"),
        State::Refused => format!("refused by `{by}`{why}"),
        State::Changed => {
            format!("`{by}` decided on what it was before: an administrator has to look at it again")
        }
        State::Expired => format!("it ended at {ends}: ask for another one"),
    }
}

async fn write(client: &Client, exception: &PolicyException, condition: &Condition) -> kube::Result<()> {
    let (name, namespace) = (exception.name_any(), exception.namespace().unwrap_or_default());
    let api: Api<PolicyException> = Api::namespaced(client.clone(), &namespace);
    let object = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "PolicyException",
        // The uid makes sure that an object of the same name is not taken for this one.
        "metadata": {"name": name, "namespace": namespace, "uid": exception.uid()},
        "status": {"conditions": [condition], "observedGeneration": condition.observed_generation},
    });
    match api.patch_status(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(error),
    }
}

/// An event is a courtesy: the status says the same.
async fn tell(recorder: &Recorder, exception: &PolicyException, condition: Condition) {
    let last = exception.status.iter().flat_map(|status| &status.conditions);
    if last.into_iter().any(|last| last.type_ == CONDITION && last.reason == condition.reason) {
        return;
    }
    let good = ["Pending", "Approved"].contains(&condition.reason.as_str());
    let event = Event {
        type_: if good { EventType::Normal } else { EventType::Warning },
        reason: condition.reason,
        note: Some(condition.message.chars().take(250).collect()),
        action: "Decide".to_owned(),
        secondary: None,
    };
    let object: ObjectReference = exception.object_ref(&());
    if let Err(error) = recorder.publish(&event, &object).await {
        tracing::debug!(%error, name = exception.name_any(), "an event could not be sent");
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2027-01-01 00:00:00 UTC);

    fn exception(approval: &serde_json::Value) -> PolicyException {
        serde_json::from_value(json!({
            "apiVersion": "bailey.dev/v1alpha1", "kind": "PolicyException",
            "metadata": {"name": "e", "namespace": "lab", "uid": "u", "generation": 1},
            "spec": {"policy": "p", "reason": "r", "expires": "2027-01-02T00:00:00Z"},
            "status": {"approval": approval},
        }))
        .unwrap()
    }

    fn said(exception: &PolicyException, now: OffsetDateTime) -> (String, String, String) {
        let condition = plan(exception, now, Timestamp::UNIX_EPOCH).unwrap();
        (condition.status, condition.reason, condition.message)
    }

    #[test]
    fn the_condition_says_how_it_stands_and_why() {
        let decision = |decision: &str, generation: i64| {
            let approval = json!({
                "decision": decision, "uid": "u", "generation": generation, "by": "dean", "message": "once",
            });
            exception(&approval)
        };
        let later = datetime!(2027-01-03 00:00:00 UTC);
        let rows = [
            (exception(&json!(null)), NOW, "False", "Pending", "an administrator has to approve it"),
            (
                decision("Approved", 1),
                NOW,
                "True",
                "Approved",
                "approved by `dean`, until 2027-01-02T00:00:00Z: once",
            ),
            (decision("Refused", 1), NOW, "False", "Refused", "refused by `dean`: once"),
            (decision("Approved", 2), NOW, "False", "Changed", "`dean` decided on what it was before"),
            (decision("Approved", 1), later, "False", "Expired", "it ended at 2027-01-02T00:00:00Z"),
        ];
        for (exception, now, status, reason, message) in rows {
            let (is, why, text) = said(&exception, now);
            assert_eq!((is.as_str(), why.as_str()), (status, reason));
            assert!(text.starts_with(message), "{text}");
        }
    }

    #[test]
    fn a_condition_is_written_once_and_keeps_its_time() {
        let mut exception = exception(&json!(null));
        let written = plan(&exception, NOW, Timestamp::UNIX_EPOCH).unwrap();
        let status = exception.status.get_or_insert_default();
        (status.conditions, status.observed_generation) = (vec![written], Some(1));
        assert_eq!(plan(&exception, NOW, Timestamp::MAX), None);
        let over = plan(&exception, datetime!(2027-02-01 00:00:00 UTC), Timestamp::MAX).unwrap();
        assert_eq!(
            (over.reason.as_str(), over.last_transition_time),
            ("Expired", Time(Timestamp::UNIX_EPOCH))
        );
    }

    #[test]
    fn it_is_looked_again_when_the_next_one_ends() {
        let all = [Arc::new(exception(&json!(null)))];
        let before = datetime!(2027-01-01 23:59:50 UTC);
        assert_eq!(pause(all.iter(), before), Duration::from_secs(10));
        assert_eq!(pause(all.iter(), NOW), LONGEST);
        assert_eq!(pause(all.iter(), datetime!(2027-02-01 00:00:00 UTC)), LONGEST);
    }
}
