//! Keeps what tenants have in the cluster as it should be: a pure plan, then server-side apply.
//!
//! Only objects with the label `bailey.dev/managed-by` are looked at; each is written when it differs, so
//! an unchanged cluster gets no writes. Several replicas do the same work at once without harm: an apply of
//! what is already there changes nothing.

mod apply;
mod plan;
mod status;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, select};
use futures::{Stream, StreamExt};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::runtime::utils::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use model::TenantIndex;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::api::tenant::Tenant;
use crate::cluster::{shown, watch_pauses};
use plan::{Binding, Bindings, Key, MANAGED, MANAGED_LABEL, Step};

/// How long changes are gathered before a plan is made.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// How long it is waited after a write failed, before the plan is made again.
const AGAIN: Duration = Duration::from_secs(2);

/// What the controller follows.
pub(crate) struct Follow {
    /// All tenants and namespaces.
    pub(crate) index: watch::Receiver<Arc<TenantIndex>>,
    /// The objects of tenants.
    pub(crate) observed: watch::Receiver<Arc<BTreeMap<String, Tenant>>>,
    /// Whether both are listed.
    pub(crate) synced: watch::Receiver<bool>,
}

/// The bindings of one scope that carry the label.
#[derive(Default)]
struct Found {
    bindings: Bindings,
    listing: Bindings,
    listed: bool,
}

/// A change of a binding, in a namespace or in the cluster.
struct Seen {
    whole_cluster: bool,
    event: Result<Event<(Key, Binding)>, watcher::Error>,
}

/// Runs the controller for ever.
pub(crate) async fn run(client: Client, mut follow: Follow) {
    // An error means that the watch has ended, and with it the process.
    drop(follow.synced.wait_for(|synced| *synced).await);
    let mut events = bindings(&client);
    let (mut namespaced, mut whole) = (Found::default(), Found::default());
    let mut due = Some(Instant::now());
    loop {
        let listed = namespaced.listed && whole.listed;
        tokio::select! {
            Some(seen) = events.next() => {
                let found = if seen.whole_cluster { &mut whole } else { &mut namespaced };
                if found.take(seen.event) {
                    due = after(DEBOUNCE);
                }
            }
            Ok(()) = follow.index.changed() => due = after(DEBOUNCE),
            Ok(()) = follow.observed.changed() => due = after(DEBOUNCE),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && listed => {
                due = if pass(&client, &mut follow, &mut namespaced, &mut whole).await { None } else { after(AGAIN) };
            }
        }
    }
}

/// Plans and writes once; whether all could be written.
async fn pass(client: &Client, follow: &mut Follow, namespaced: &mut Found, whole: &mut Found) -> bool {
    let index = Arc::clone(&follow.index.borrow_and_update());
    let tenants = Arc::clone(&follow.observed.borrow_and_update());
    let mut found = namespaced.bindings.clone();
    found.extend(whole.bindings.clone());
    let steps = plan::plan(&plan::wanted(&index), &found);
    let mut failed = BTreeMap::new();
    for (step, result) in apply::take(client, steps).await {
        let key = step.key();
        let found = if key.0.is_empty() { &mut *whole } else { &mut *namespaced };
        match result {
            // The watch tells of it too, later.
            Ok(()) => found.note(&step),
            Err(error) => {
                tracing::warn!(
                    namespace = key.0,
                    name = key.1,
                    error,
                    "a binding could not be written, it is tried again"
                );
                failed.insert(key.0.clone(), error);
            }
        }
    }
    let reported = status::report(client, &index, &tenants, &failed).await;
    failed.is_empty() && reported
}

fn after(wait: Duration) -> Option<Instant> {
    Instant::now().checked_add(wait)
}

/// The changes of both kinds of bindings.
fn bindings(client: &Client) -> BoxStream<'static, Seen> {
    let namespaced = events(Api::<RoleBinding>::all(client.clone()), false, |object| Binding {
        role: object.role_ref.name,
        subjects: object.subjects.unwrap_or_default(),
    });
    let whole = events(Api::<ClusterRoleBinding>::all(client.clone()), true, |object| Binding {
        role: object.role_ref.name,
        subjects: object.subjects.unwrap_or_default(),
    });
    select(namespaced, whole).boxed()
}

fn events<K>(api: Api<K>, whole_cluster: bool, read: fn(K) -> Binding) -> impl Stream<Item = Seen> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let managed = watcher::Config::default().labels(&format!("{MANAGED_LABEL}={MANAGED}"));
    let keyed = move |object: K| {
        let key = (object.namespace().unwrap_or_default(), object.name_any());
        (key, read(object))
    };
    watcher(api, managed).backoff(watch_pauses()).map(move |event| {
        let event = event.map(|event| match event {
            Event::Init => Event::Init,
            Event::InitApply(object) => Event::InitApply(keyed(object)),
            Event::InitDone => Event::InitDone,
            Event::Apply(object) => Event::Apply(keyed(object)),
            Event::Delete(object) => Event::Delete(keyed(object)),
        });
        Seen { whole_cluster, event }
    })
}

impl Found {
    /// Takes a change in; whether there may be something to do.
    fn take(&mut self, event: Result<Event<(Key, Binding)>, watcher::Error>) -> bool {
        match event {
            Ok(Event::Init) => self.listing.clear(),
            Ok(Event::InitApply((key, binding))) => _ = self.listing.insert(key, binding),
            Ok(Event::InitDone) => {
                self.bindings = std::mem::take(&mut self.listing);
                self.listed = true;
                return true;
            }
            Ok(Event::Apply((key, binding))) => {
                return self.bindings.insert(key, binding.clone()) != Some(binding);
            }
            Ok(Event::Delete((key, _))) => return self.bindings.remove(&key).is_some(),
            Err(error) => tracing::warn!(error = shown(&error), "bindings of tenants cannot be watched"),
        }
        false
    }

    /// Notes a step that was taken.
    fn note(&mut self, step: &Step) {
        match step {
            Step::Apply(key, binding) => _ = self.bindings.insert(key.clone(), binding.clone()),
            Step::Delete(key) => _ = self.bindings.remove(key),
        }
    }
}
