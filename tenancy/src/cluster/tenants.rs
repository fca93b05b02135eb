//! Tenants and the labels of namespaces, watched: one snapshot of both, published whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::fairness::rates::ByTenant;
use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, TypeMeta};
use kube::core::GroupVersionKind;
use kube::runtime::utils::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use model::{NamespaceState, ObjectEvent, Request, TenantIndex};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::grants::Grants;
use super::lineage;
use super::lookups::Lookups;
use super::retry::{http_status, shown, watch_pauses};
use crate::api::fairness_class::FairnessClass;
use crate::api::isolation::IsolationProfile;
use crate::api::request::QuotaRequest;
use crate::api::tenant::Tenant;
use crate::api::{GROUP, VERSION};
use crate::fairness::Classes;

/// How long changes are gathered before they are published.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// The kind of requests for more.
const REQUEST: &str = "QuotaRequest";

/// What is published.
#[derive(Debug, Clone)]
pub(super) struct Handles {
    pub(super) index: watch::Receiver<Arc<TenantIndex>>,
    /// Generation and status of each tenant, as the cluster has them.
    pub(super) observed: watch::Receiver<Arc<BTreeMap<String, Tenant>>>,
    /// The requests for more, by namespace and name.
    pub(super) requests: watch::Receiver<Arc<BTreeMap<String, QuotaRequest>>>,
    /// The classes of fairness.
    pub(super) classes: watch::Receiver<Arc<BTreeMap<String, FairnessClass>>>,
    /// How often each tenant may do what, by its class.
    pub(super) rates: watch::Receiver<Arc<ByTenant>>,
    /// Whether tenants, classes and namespaces are listed.
    pub(super) synced: watch::Receiver<bool>,
}

pub(super) struct Tenants {
    client: Client,
    changes: mpsc::UnboundedReceiver<Change>,
    tenants: Listed<Tenant>,
    profiles: Listed<IsolationProfile>,
    classes: Listed<FairnessClass>,
    requests: Listed<QuotaRequest>,
    namespaces: BTreeMap<String, Arc<NamespaceState>>,
    namespaces_listed: bool,
    dirty: Option<Instant>,
    /// What else than requests has changed.
    stale: bool,
    /// What is in force of the requests, and when that is to be looked at again.
    grants: Grants,
    wake: Option<Instant>,
    index: watch::Sender<Arc<TenantIndex>>,
    observed: watch::Sender<Arc<BTreeMap<String, Tenant>>>,
    observed_requests: watch::Sender<Arc<BTreeMap<String, QuotaRequest>>>,
    observed_classes: watch::Sender<Arc<BTreeMap<String, FairnessClass>>>,
    rates: watch::Sender<Arc<ByTenant>>,
    synced: watch::Sender<bool>,
}

/// The objects of one kind.
struct Listed<K> {
    objects: BTreeMap<String, K>,
    listing: BTreeMap<String, K>,
    listed: bool,
}

/// A change of namespaces.
enum Change {
    Replace(Vec<(String, Arc<NamespaceState>)>),
    Set(String, Arc<NamespaceState>),
    Remove(String),
}

impl Tenants {
    /// Follows the namespaces that `lookups` caches.
    pub(super) fn new(client: Client, lookups: &Lookups) -> (Self, Handles) {
        let (sender, changes) = mpsc::unbounded_channel();
        lookups.subscribe(Box::new(move |event| {
            if event.kind().group.is_empty()
                && event.kind().kind == "Namespace"
                && let Some(change) = change(event)
            {
                // The receiver lives as long as the watch.
                let _ended = sender.send(change);
            }
        }));
        let (index, observed, observed_requests, observed_classes, rates) = Default::default();
        let synced = watch::Sender::new(false);
        let tenants = Self {
            client,
            changes,
            tenants: Listed::default(),
            profiles: Listed::default(),
            classes: Listed::default(),
            requests: Listed::default(),
            namespaces: BTreeMap::new(),
            namespaces_listed: false,
            dirty: None,
            stale: true,
            grants: Grants::default(),
            wake: None,
            index,
            observed,
            observed_requests,
            observed_classes,
            rates,
            synced,
        };
        let handles = Handles {
            index: tenants.index.subscribe(),
            observed: tenants.observed.subscribe(),
            requests: tenants.observed_requests.subscribe(),
            classes: tenants.observed_classes.subscribe(),
            rates: tenants.rates.subscribe(),
            synced: tenants.synced.subscribe(),
        };
        (tenants, handles)
    }

    pub(super) async fn run(mut self) {
        let mut tenants = events(&self.client, "Tenant", "tenants");
        let mut profiles = events(&self.client, "IsolationProfile", "isolationprofiles");
        let mut classes = events(&self.client, "FairnessClass", "fairnessclasses");
        let mut requests = events(&self.client, REQUEST, "quotarequests");
        let mut due = Instant::now();
        loop {
            tokio::select! {
                Some(event) = tenants.next() => if self.tenants.event("Tenant", event) { self.touch(); },
                Some(event) = profiles.next() => if self.profiles.event("IsolationProfile", event) { self.touch(); },
                Some(event) = classes.next() => if self.classes.event("FairnessClass", event) { self.touch(); },
                // Many of them change nothing of what is in force.
                Some(event) = requests.next() => if self.requests.event(REQUEST, event) { self.gather(); },
                Some(change) = self.changes.recv() => self.namespaces(change),
                () = sleep_until(due), if self.dirty.is_some() => self.publish(),
                () = sleep_until(self.wake.unwrap_or(due)), if self.wake.is_some() => self.publish(),
                else => return,
            }
            if let Some(since) = self.dirty {
                due = since.checked_add(DEBOUNCE).unwrap_or(since);
            }
        }
    }

    fn namespaces(&mut self, change: Change) {
        match change {
            Change::Replace(all) => {
                self.namespaces = all.into_iter().collect();
                self.namespaces_listed = true;
            }
            Change::Set(name, state) => _ = self.namespaces.insert(name, state),
            Change::Remove(name) => _ = self.namespaces.remove(&name),
        }
        self.touch();
    }

    fn touch(&mut self) {
        self.stale = true;
        self.gather();
    }

    fn gather(&mut self) {
        self.dirty.get_or_insert_with(Instant::now);
    }

    fn publish(&mut self) {
        let listed =
            self.tenants.listed && self.profiles.listed && self.requests.listed && self.classes.listed;
        let changed = self.dirty.take().is_some();
        self.wake = None;
        if !(listed && self.namespaces_listed) {
            return;
        }
        let now = Timestamp::now();
        let tenant_of = |name: &str| self.namespaces.get(name).and_then(|state| state.tenant.as_deref());
        let grants = Grants::at(now, self.requests.objects.values(), tenant_of);
        self.wake = grants.wake(now).and_then(|wait| Instant::now().checked_add(wait));
        if self.stale || grants != self.grants {
            self.grants = grants;
            self.publish_index();
        }
        if changed {
            self.observed_requests.send_if_modified(|last| {
                let differ = **last != self.requests.objects;
                if differ {
                    *last = Arc::new(self.requests.objects.clone());
                }
                differ
            });
        }
        self.synced.send_if_modified(|synced| !std::mem::replace(synced, true));
    }

    fn publish_index(&mut self) {
        self.stale = false;
        let last = Arc::clone(&self.index.borrow());
        let classes = Classes::of(&self.classes.objects);
        let tenants =
            lineage::in_force(&self.tenants.objects, &self.profiles.objects, &classes, &self.grants)
                .into_iter();
        // What did not change stays the same value: others hold on to what they made of it.
        let tenants = tenants.map(|tenant| match last.tenant(&tenant.name) {
            Some(known) if **known == tenant => Arc::clone(known),
            _ => Arc::new(tenant),
        });
        let namespaces = self.namespaces.iter().map(|(name, state)| (name.clone(), Arc::clone(state)));
        let index = Arc::new(TenantIndex::new(tenants, namespaces));
        self.index.send_if_modified(|last| {
            let changed = **last != *index;
            *last = index;
            changed
        });
        let rates = classes.rates(&self.tenants.objects);
        self.rates.send_if_modified(|last| {
            let differ = **last != rates;
            *last = Arc::new(rates);
            differ
        });
        self.observed.send_replace(Arc::new(self.tenants.objects.clone()));
        self.observed_classes.send_if_modified(|last| {
            let differ = **last != self.classes.objects;
            if differ {
                *last = Arc::new(self.classes.objects.clone());
            }
            differ
        });
    }
}

fn change(event: &ObjectEvent) -> Option<Change> {
    let state = |json: &str| {
        let meta = Request::metadata(json.as_bytes()).unwrap_or_default();
        let terminating = meta.deletion_timestamp.is_some();
        Arc::new(NamespaceState { terminating, ..NamespaceState::of(meta.labels) })
    };
    Some(match event {
        ObjectEvent::Upsert(object) => Change::Set(object.key.name.clone(), state(&object.json)),
        ObjectEvent::Delete(key) => Change::Remove(key.name.clone()),
        ObjectEvent::Replace(_, objects) => {
            let all = objects.iter().map(|object| (object.key.name.clone(), state(&object.json)));
            Change::Replace(all.collect())
        }
        ObjectEvent::Drop(_) => return None,
    })
}

pub(super) type Events = BoxStream<'static, Result<Event<DynamicObject>, watcher::Error>>;

/// Read as plain objects: one that does not fit its type must not fail the list of all.
pub(super) fn events(client: &Client, kind: &str, plural: &str) -> Events {
    let gvk = GroupVersionKind::gvk(GROUP, VERSION, kind);
    let api: Api<DynamicObject> =
        Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&gvk, plural));
    watcher(api, watcher::Config::default()).backoff(watch_pauses()).boxed()
}

impl<K> Default for Listed<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), listing: BTreeMap::new(), listed: false }
    }
}

impl<K: DeserializeOwned> Listed<K> {
    /// Takes a change in; whether there may be something to publish.
    fn event(&mut self, kind: &str, event: Result<Event<DynamicObject>, watcher::Error>) -> bool {
        match event {
            Ok(Event::Init) => self.listing.clear(),
            Ok(Event::InitApply(object)) => self.listing.extend(read(kind, object)),
            Ok(Event::InitDone) => {
                self.objects = std::mem::take(&mut self.listing);
                self.listed = true;
                return true;
            }
            Ok(Event::Apply(object)) => {
                let place = key(&object);
                match read(kind, object) {
                    Some((name, object)) => _ = self.objects.insert(name, object),
                    // What it grants ends; a tenant keeps the walls that it has.
                    None if kind == REQUEST => _ = self.objects.remove(&place),
                    None => {}
                }
                return true;
            }
            Ok(Event::Delete(object)) => return self.objects.remove(&key(&object)).is_some(),
            Err(error) => {
                tracing::warn!(kind, error = shown(&error), "objects cannot be watched");
                // Where there is no such kind there are none; others keep what they have.
                let missing = http_status(&error) == Some(404);
                return missing && !std::mem::replace(&mut self.listed, true);
            }
        }
        false
    }
}

/// The name, with the namespace where there is one.
fn key(object: &DynamicObject) -> String {
    match &object.metadata.namespace {
        Some(namespace) => format!("{namespace}/{}", object.name_any()),
        None => object.name_any(),
    }
}

/// One that cannot be read is left out: the API server holds objects against the same schema.
pub(super) fn read<K: DeserializeOwned>(kind: &str, mut object: DynamicObject) -> Option<(String, K)> {
    let name = key(&object);
    object.types = Some(TypeMeta { api_version: format!("{GROUP}/{VERSION}"), kind: kind.to_owned() });
    // Nobody asks for either, and both may be long.
    object.metadata.managed_fields = None;
    object.metadata.annotations = None;
    match serde_json::to_value(&object).and_then(serde_json::from_value) {
        Ok(typed) => Some((name, typed)),
        Err(error) => {
            tracing::error!(kind, name, %error, "an object cannot be read, it counts as absent");
            None
        }
    }
}
