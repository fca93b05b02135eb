//! Tenants and the labels of namespaces, watched: one snapshot of both, published whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject, TypeMeta};
use kube::core::GroupVersionKind;
use kube::runtime::utils::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use model::{ObjectEvent, Request, TENANT_LABEL, TenantIndex};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::lookups::Lookups;
use super::retry::{http_status, shown, watch_pauses};
use crate::api::tenant::Tenant;
use crate::api::{GROUP, VERSION};

/// How long changes are gathered before they are published.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// What is published.
#[derive(Debug, Clone)]
pub(super) struct Handles {
    pub(super) index: watch::Receiver<Arc<TenantIndex>>,
    /// Generation and status of each tenant, as the cluster has them.
    pub(super) observed: watch::Receiver<Arc<BTreeMap<String, Tenant>>>,
    /// Whether tenants and namespaces are listed.
    pub(super) synced: watch::Receiver<bool>,
}

pub(super) struct Tenants {
    client: Client,
    changes: mpsc::UnboundedReceiver<Change>,
    tenants: BTreeMap<String, (Tenant, Arc<model::Tenant>)>,
    listing: BTreeMap<String, (Tenant, Arc<model::Tenant>)>,
    /// The tenant that each namespace's label names.
    namespaces: BTreeMap<String, String>,
    listed: [bool; 2],
    dirty: Option<Instant>,
    index: watch::Sender<Arc<TenantIndex>>,
    observed: watch::Sender<Arc<BTreeMap<String, Tenant>>>,
    synced: watch::Sender<bool>,
}

/// A change of namespaces.
enum Change {
    Replace(Vec<(String, Option<String>)>),
    Set(String, Option<String>),
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
        let (index, observed, synced) =
            (watch::Sender::default(), watch::Sender::default(), watch::Sender::new(false));
        let handles =
            Handles { index: index.subscribe(), observed: observed.subscribe(), synced: synced.subscribe() };
        let tenants = Self {
            client,
            changes,
            tenants: BTreeMap::new(),
            listing: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            listed: [false; 2],
            dirty: None,
            index,
            observed,
            synced,
        };
        (tenants, handles)
    }

    pub(super) async fn run(mut self) {
        let gvk = GroupVersionKind::gvk(GROUP, VERSION, "Tenant");
        // Read as plain objects: one that does not fit its type must not fail the list of all.
        let api: Api<DynamicObject> =
            Api::all_with(self.client.clone(), &ApiResource::from_gvk_with_plural(&gvk, "tenants"));
        let mut events = Box::pin(watcher(api, watcher::Config::default()).backoff(watch_pauses()));
        let mut due = Instant::now();
        loop {
            tokio::select! {
                Some(event) = events.next() => self.event(event),
                Some(change) = self.changes.recv() => self.namespaces(change),
                () = sleep_until(due), if self.dirty.is_some() => self.publish(),
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
                self.namespaces =
                    all.into_iter().filter_map(|(name, tenant)| Some((name, tenant?))).collect();
                self.listed[1] = true;
            }
            Change::Set(name, Some(tenant)) => _ = self.namespaces.insert(name, tenant),
            Change::Set(name, None) => _ = self.namespaces.remove(&name),
        }
        self.dirty.get_or_insert_with(Instant::now);
    }

    fn event(&mut self, event: Result<Event<DynamicObject>, watcher::Error>) {
        match event {
            Ok(Event::Init) => {
                self.listing.clear();
                return;
            }
            Ok(Event::InitApply(object)) => {
                self.listing.extend(read(object));
                return;
            }
            Ok(Event::InitDone) => {
                self.tenants = std::mem::take(&mut self.listing);
                self.listed[0] = true;
            }
            Ok(Event::Apply(object)) => self.tenants.extend(read(object)),
            Ok(Event::Delete(object)) => _ = self.tenants.remove(&object.name_any()),
            Err(error) => {
                // Where there is no such kind there are no tenants; others keep what they have.
                self.listed[0] |= http_status(&error) == Some(404);
                tracing::warn!(error = shown(&error), "tenants cannot be watched");
            }
        }
        self.dirty.get_or_insert_with(Instant::now);
    }

    fn publish(&mut self) {
        self.dirty = None;
        if self.listed != [true; 2] {
            return;
        }
        let tenants = self.tenants.values().map(|(_, tenant)| Arc::clone(tenant));
        let namespaces = self.namespaces.iter().map(|(name, tenant)| (name.clone(), tenant.clone()));
        let index = Arc::new(TenantIndex::new(tenants, namespaces));
        self.index.send_if_modified(|last| {
            let changed = **last != *index;
            *last = index;
            changed
        });
        let observed = self.tenants.iter().map(|(name, (object, _))| (name.clone(), object.clone()));
        self.observed.send_replace(Arc::new(observed.collect()));
        self.synced.send_if_modified(|synced| !std::mem::replace(synced, true));
    }
}

fn change(event: &ObjectEvent) -> Option<Change> {
    let tenant = |json: &str| {
        Request::metadata(json.as_bytes()).ok().and_then(|mut meta| meta.labels.remove(TENANT_LABEL))
    };
    Some(match event {
        ObjectEvent::Upsert(object) => Change::Set(object.key.name.clone(), tenant(&object.json)),
        ObjectEvent::Delete(key) => Change::Set(key.name.clone(), None),
        ObjectEvent::Replace(_, objects) => {
            let all = objects.iter().map(|object| (object.key.name.clone(), tenant(&object.json)));
            Change::Replace(all.collect())
        }
        ObjectEvent::Drop(_) => return None,
    })
}

/// One that cannot be read is left out: the API server holds objects against the same schema.
fn read(mut object: DynamicObject) -> Option<(String, (Tenant, Arc<model::Tenant>))> {
    let name = object.name_any();
    object.types = Some(TypeMeta { api_version: format!("{GROUP}/{VERSION}"), kind: "Tenant".to_owned() });
    let tenant: Result<Tenant, _> = serde_json::to_value(&object).and_then(serde_json::from_value);
    match tenant {
        Ok(tenant) => {
            let model = Arc::new(tenant.to_model());
            Some((name, (tenant, model)))
        }
        Err(error) => {
            tracing::error!(tenant = name, %error, "a tenant cannot be read, its members have no rights");
            None
        }
    }
}
