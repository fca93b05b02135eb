//! Exceptions to policies, watched: those that were approved as they are, published whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use model::Exceptions;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::retry::{http_status, shown};
use super::tenants::{events, read};
use crate::api::exception::PolicyException;

/// How long changes are gathered before they are published.
const DEBOUNCE: Duration = Duration::from_millis(10);
const KIND: &str = "PolicyException";

/// All exceptions by namespace and name.
pub(crate) type All = BTreeMap<(String, String), Arc<PolicyException>>;

/// What is published.
pub(super) struct Published {
    /// Those that were approved.
    pub(super) approved: watch::Sender<Arc<Exceptions>>,
    /// All of them, for their statuses.
    pub(super) all: watch::Sender<Arc<All>>,
    /// Whether they are listed.
    pub(super) synced: watch::Sender<bool>,
}

impl Published {
    pub(super) fn new() -> Self {
        Self {
            approved: watch::Sender::default(),
            all: watch::Sender::default(),
            synced: watch::Sender::new(false),
        }
    }
}

#[derive(Default)]
struct Known {
    objects: All,
    listing: All,
    listed: bool,
}

/// Publishes what there is, for ever.
pub(super) async fn run(client: Client, published: Published) {
    let mut seen = events(&client, KIND, "policyexceptions");
    let mut known = Known::default();
    let mut due: Option<Instant> = None;
    loop {
        tokio::select! {
            Some(event) = seen.next() => if known.take(event) {
                due = due.or_else(|| Instant::now().checked_add(DEBOUNCE));
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                due = None;
                if known.listed {
                    let approved = known.objects.values().filter_map(|exception| exception.approved());
                    published.approved.send_replace(Arc::new(Exceptions::new(approved)));
                    published.all.send_replace(Arc::new(known.objects.clone()));
                    published.synced.send_if_modified(|synced| !std::mem::replace(synced, true));
                }
            }
            else => return,
        }
    }
}

impl Known {
    /// Takes a change in; whether there is something to publish.
    fn take(&mut self, event: Result<Event<DynamicObject>, watcher::Error>) -> bool {
        match event {
            Ok(Event::Init) => self.listing.clear(),
            Ok(Event::InitApply(object)) => _ = set(&mut self.listing, object),
            Ok(Event::InitDone) => {
                self.objects = std::mem::take(&mut self.listing);
                self.listed = true;
                return true;
            }
            Ok(Event::Apply(object)) => return set(&mut self.objects, object),
            Ok(Event::Delete(object)) => return self.objects.remove(&place(&object)).is_some(),
            Err(error) => {
                tracing::warn!(kind = KIND, error = shown(&error), "objects cannot be watched");
                // Where there is no such kind there are none.
                let missing = http_status(&error) == Some(404);
                return missing && !std::mem::replace(&mut self.listed, true);
            }
        }
        false
    }
}

/// One that cannot be read any more is in force no more.
fn set(all: &mut All, object: DynamicObject) -> bool {
    let place = place(&object);
    match read::<PolicyException>(KIND, object) {
        Some((_, exception)) => {
            all.insert(place, Arc::new(exception));
            true
        }
        None => all.remove(&place).is_some(),
    }
}

fn place(object: &DynamicObject) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(spec: &serde_json::Value) -> DynamicObject {
        let object = json!({
            "metadata": {"name": "e", "namespace": "lab", "uid": "u", "generation": 1}, "spec": spec,
            "status": {"approval": {"decision": "Approved", "uid": "u", "generation": 1}},
        });
        serde_json::from_value(object).unwrap()
    }

    fn approved(known: &Known) -> usize {
        known.objects.values().filter_map(|exception| exception.approved()).count()
    }

    #[test]
    fn what_cannot_be_read_any_more_is_in_force_no_more() {
        let good = json!({"policy": "p", "reason": "r", "expires": "2027-01-01T00:00:00Z"});
        let newer = json!({"policy": "p", "reason": "r", "expires": "2027-01-01T00:00:00Z", "only": "these"});
        let mut known = Known::default();
        assert!(known.take(Ok(Event::Apply(object(&good)))));
        assert_eq!(approved(&known), 1);
        assert!(known.take(Ok(Event::Apply(object(&newer)))));
        assert_eq!(approved(&known), 0, "a field that is not known may narrow it");
        assert!(known.take(Ok(Event::Apply(object(&good)))) && approved(&known) == 1);
        assert!(known.take(Ok(Event::Delete(object(&newer)))) && approved(&known) == 0);
    }

    #[test]
    fn a_new_list_replaces_all_that_was_known() {
        let spec = json!({"policy": "p", "reason": "r", "expires": "2027-01-01T00:00:00Z"});
        let mut known = Known::default();
        assert!(!known.take(Ok(Event::Init)) && !known.take(Ok(Event::InitApply(object(&spec)))));
        assert!(known.take(Ok(Event::InitDone)) && known.listed);
        assert_eq!(approved(&known), 1);
        assert!(!known.take(Ok(Event::Init)));
        assert_eq!(approved(&known), 1, "until the new list is whole the old one holds");
        assert!(known.take(Ok(Event::InitDone)));
        assert_eq!(approved(&known), 0);
    }
}
