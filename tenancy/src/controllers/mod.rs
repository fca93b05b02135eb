//! Keeps what tenants have in the cluster as it should be: a pure plan, then server-side apply.
//!
//! Only objects with the label `bailey.dev/managed-by` are looked at; each is written when it differs, so
//! an unchanged cluster gets no writes. Several replicas do the same work at once without harm: an apply of
//! what is already there changes nothing.

mod apply;
mod network;
mod plan;
mod status;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, select};
use futures::{Stream, StreamExt};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::runtime::utils::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use model::{MANAGED_LABEL, TenantIndex, WALLS_LABEL, WALLS_STANDING};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::api::tenant::Tenant;
use crate::cluster::{api_message, shown, watch_pauses};
use plan::{Key, Kind, MANAGED, Object, Objects, Step};

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

/// The objects of one kind that carry the label.
#[derive(Default)]
struct Found {
    objects: Objects,
    listing: Objects,
    listed: bool,
}

/// A change of an object that carries the label.
struct Seen {
    kind: Kind,
    event: Result<Event<(Key, Object)>, watcher::Error>,
}

/// Runs the controller for ever.
pub(crate) async fn run(client: Client, mut follow: Follow) {
    // An error means that the watch has ended, and with it the process.
    drop(follow.synced.wait_for(|synced| *synced).await);
    let mut seen = watches(&client);
    let mut found: BTreeMap<Kind, Found> = [Kind::NetworkPolicy, Kind::RoleBinding, Kind::ClusterRoleBinding]
        .map(|kind| (kind, Found::default()))
        .into();
    let mut due = Some(Instant::now());
    loop {
        let listed = found.values().all(|found| found.listed);
        tokio::select! {
            Some(Seen { kind, event }) = seen.next() => {
                if found.get_mut(&kind).is_some_and(|found| found.take(event)) {
                    due = after(DEBOUNCE);
                }
            }
            Ok(()) = follow.index.changed() => due = after(DEBOUNCE),
            Ok(()) = follow.observed.changed() => due = after(DEBOUNCE),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && listed => {
                due = if pass(&client, &mut follow, &mut found).await { None } else { after(AGAIN) };
            }
        }
    }
}

/// Plans and writes once; whether all could be written.
async fn pass(client: &Client, follow: &mut Follow, found: &mut BTreeMap<Kind, Found>) -> bool {
    let index = Arc::clone(&follow.index.borrow_and_update());
    let tenants = Arc::clone(&follow.observed.borrow_and_update());
    let mut all: Objects = found.values().flat_map(|found| found.objects.clone()).collect();
    all.extend(labels(&index));
    let steps = plan::plan(&plan::wanted(&index), &all);
    let mut failed = BTreeMap::new();
    for (step, result) in apply::take(client, steps).await {
        let key = step.key();
        match result {
            // The watch tells of it too, later; of namespaces the snapshot does.
            Ok(()) => found.get_mut(&key.kind).into_iter().for_each(|found| found.note(&step)),
            Err(error) => {
                let (kind, namespace, name) = (format!("{:?}", key.kind), &key.namespace, &key.name);
                tracing::warn!(
                    kind,
                    namespace,
                    name,
                    error,
                    "an object could not be written, it is tried again"
                );
                failed.insert(key.namespace.clone(), error);
            }
        }
    }
    let raised = raise(client, &index, &failed).await;
    let reported = status::report(client, &index, &tenants, &failed).await;
    failed.is_empty() && raised && reported
}

/// The labels of tenants' namespaces that are walls.
fn labels(index: &TenantIndex) -> Objects {
    let namespaces = index.tenants().flat_map(|tenant| index.namespaces_of(&tenant.name));
    let found = namespaces.filter_map(|name| {
        let key = Key { kind: Kind::Namespace, namespace: name.to_owned(), name: name.to_owned() };
        Some((key, Object::Labels(index.namespace(name)?.labels.clone())))
    });
    found.collect()
}

/// Says of each namespace whose walls are all there that they stand; whether all could be said.
async fn raise(client: &Client, index: &TenantIndex, failed: &BTreeMap<String, String>) -> bool {
    let mut all = true;
    for tenant in index.tenants() {
        let new = index.namespaces_of(&tenant.name).filter(|name| {
            !failed.contains_key(*name) && index.namespace(name).is_some_and(|state| !state.stands())
        });
        for name in new {
            let label = BTreeMap::from([(WALLS_LABEL.to_owned(), WALLS_STANDING.to_owned())]);
            if let Err(error) = apply::label(client, name, &label).await {
                all = false;
                let error = api_message(&error);
                tracing::warn!(namespace = name, error, "a namespace could not be opened, it is tried again");
            }
        }
    }
    all
}

fn after(wait: Duration) -> Option<Instant> {
    Instant::now().checked_add(wait)
}

/// The changes of all kinds.
fn watches(client: &Client) -> BoxStream<'static, Seen> {
    let policies = events(Api::<NetworkPolicy>::all(client.clone()), Kind::NetworkPolicy, |object| {
        Object::Network(Box::new(object.spec.unwrap_or_default()))
    });
    let roles = events(Api::<RoleBinding>::all(client.clone()), Kind::RoleBinding, |object| {
        Object::Binding(object.role_ref.name, object.subjects.unwrap_or_default())
    });
    let cluster =
        events(Api::<ClusterRoleBinding>::all(client.clone()), Kind::ClusterRoleBinding, |object| {
            Object::Binding(object.role_ref.name, object.subjects.unwrap_or_default())
        });
    select(policies, select(roles, cluster)).boxed()
}

fn events<K>(api: Api<K>, kind: Kind, read: fn(K) -> Object) -> impl Stream<Item = Seen> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let managed = watcher::Config::default().labels(&format!("{MANAGED_LABEL}={MANAGED}"));
    let keyed = move |object: K| {
        let key = Key { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
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
        Seen { kind, event }
    })
}

impl Found {
    /// Takes a change in; whether there may be something to do.
    fn take(&mut self, event: Result<Event<(Key, Object)>, watcher::Error>) -> bool {
        match event {
            Ok(Event::Init) => self.listing.clear(),
            Ok(Event::InitApply((key, object))) => _ = self.listing.insert(key, object),
            Ok(Event::InitDone) => {
                self.objects = std::mem::take(&mut self.listing);
                self.listed = true;
                return true;
            }
            Ok(Event::Apply((key, object))) => {
                return self.objects.insert(key, object.clone()) != Some(object);
            }
            Ok(Event::Delete((key, _))) => return self.objects.remove(&key).is_some(),
            Err(error) => tracing::warn!(error = shown(&error), "what tenants have cannot be watched"),
        }
        false
    }

    /// Notes a step that was taken.
    fn note(&mut self, step: &Step) {
        match step {
            Step::Apply(key, object) => _ = self.objects.insert(key.clone(), object.clone()),
            Step::Delete(key) => _ = self.objects.remove(key),
        }
    }
}
