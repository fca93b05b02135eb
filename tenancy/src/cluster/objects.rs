//! Policies and bindings, watched: each object is read by itself, so that a bad one hurts no other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::api::{Api, ApiResource, DynamicObject, TypeMeta};
use kube::core::GroupVersionKind;
use kube::runtime::utils::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use model::{Code, LoadFault, Loaded, Policy, PolicyBinding, Sources};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::lookups::Lookups;
use super::modules::{Found, Modules};
use super::retry::{http_status, shown, watch_pauses};
use super::state::WatchState;
use crate::api::{ConfigKind, ConfigObject, GROUP, Place, VERSION, decode_value};
use crate::tasks::Tasks;

/// How long changes are gathered before they are published.
const DEBOUNCE: Duration = Duration::from_millis(30);
/// How long a new policy's module is waited for before the policy counts as without it.
const MODULE_WAIT: Duration = Duration::from_secs(5);

/// An object as the cluster has it, for its status.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Observed {
    pub(crate) uid: String,
    pub(crate) generation: i64,
    /// The engine its spec names; `None` for bindings.
    pub(crate) engine: Option<&'static str>,
    pub(crate) status: Value,
}

/// All objects as the cluster has them.
pub(crate) type ObservedObjects = BTreeMap<(ConfigKind, String), Arc<Observed>>;

/// What is published.
pub(super) struct Handles {
    pub(super) sources: watch::Receiver<Arc<Sources>>,
    pub(super) observed: watch::Receiver<Arc<ObservedObjects>>,
    pub(super) state: watch::Receiver<[WatchState; 2]>,
}

struct Entry {
    observed: Arc<Observed>,
    object: Result<ConfigObject, LoadFault>,
}

/// The objects of one kind.
#[derive(Default)]
struct Table {
    entries: BTreeMap<String, Entry>,
    /// What the list under way has brought so far.
    listing: BTreeMap<String, Entry>,
    state: WatchState,
}

pub(super) struct Objects {
    client: Client,
    page_size: u32,
    policies: Table,
    bindings: Table,
    modules: Modules,
    found: mpsc::UnboundedReceiver<Found>,
    lookups: Lookups,
    sources: watch::Sender<Arc<Sources>>,
    observed: watch::Sender<Arc<ObservedObjects>>,
    state: watch::Sender<[WatchState; 2]>,
    /// Since when there is something to publish.
    dirty: Option<Instant>,
}

impl Objects {
    pub(super) fn new(client: Client, page_size: u32, tasks: Tasks, lookups: Lookups) -> (Self, Handles) {
        let (sources, receive_sources) = watch::channel(Arc::default());
        let (observed, receive_observed) = watch::channel(Arc::default());
        let (state, receive_state) = watch::channel(Default::default());
        let (modules, found) = Modules::new(client.clone(), tasks);
        let objects = Self {
            client,
            page_size,
            policies: Table::default(),
            bindings: Table::default(),
            modules,
            found,
            lookups,
            sources,
            observed,
            state,
            dirty: None,
        };
        (objects, Handles { sources: receive_sources, observed: receive_observed, state: receive_state })
    }

    pub(super) async fn run(mut self) {
        let mut policies = Box::pin(self.events(ConfigKind::Policy));
        let mut bindings = Box::pin(self.events(ConfigKind::Binding));
        let mut due = Instant::now();
        loop {
            tokio::select! {
                Some(event) = policies.next() => self.event(ConfigKind::Policy, event),
                Some(event) = bindings.next() => self.event(ConfigKind::Binding, event),
                Some(found) = self.found.recv() => {
                    self.modules.set(found);
                    self.dirty.get_or_insert_with(Instant::now);
                }
                () = sleep_until(due), if self.dirty.is_some() => self.publish(),
                else => return,
            }
            due = Instant::now().checked_add(DEBOUNCE).unwrap_or_else(Instant::now);
            if let Some(since) = self.dirty {
                // Steady changes must not put publishing off for ever.
                due = due
                    .min(since.checked_add(DEBOUNCE.saturating_mul(10)).unwrap_or(due))
                    .max(Instant::now());
                if self.modules.pending() && since.elapsed() < MODULE_WAIT {
                    due = Instant::now().checked_add(DEBOUNCE).unwrap_or_else(Instant::now);
                }
            }
        }
    }

    fn events(
        &self,
        kind: ConfigKind,
    ) -> impl Stream<Item = Result<Event<DynamicObject>, watcher::Error>> + Send + use<> {
        let plural = match kind {
            ConfigKind::Policy => "policies",
            ConfigKind::Binding => "policybindings",
        };
        let gvk = GroupVersionKind::gvk(GROUP, VERSION, kind.as_str());
        // Read as plain objects: one that does not fit its type must not fail the list of all.
        let api = Api::all_with(self.client.clone(), &ApiResource::from_gvk_with_plural(&gvk, plural));
        watcher(api, watcher::Config::default().page_size(self.page_size)).backoff(watch_pauses())
    }

    fn event(&mut self, kind: ConfigKind, event: Result<Event<DynamicObject>, watcher::Error>) {
        let table = match kind {
            ConfigKind::Policy => &mut self.policies,
            ConfigKind::Binding => &mut self.bindings,
        };
        if table.event(kind, event) {
            self.dirty.get_or_insert_with(Instant::now);
        }
        self.state.send_replace([self.policies.state.clone(), self.bindings.state.clone()]);
        let drafts = self.policies.entries.values().filter_map(|entry| match &entry.object {
            Ok(ConfigObject::Policy(draft)) => draft.module(),
            _ => None,
        });
        self.modules.want(drafts.map(|module| &module.location));
    }

    fn publish(&mut self) {
        if !(self.policies.state.synced && self.bindings.state.synced) {
            self.dirty = None;
            return;
        }
        let waited = self.dirty.is_some_and(|since| since.elapsed() >= MODULE_WAIT);
        if self.modules.pending() && !waited {
            return;
        }
        self.dirty = None;
        let sources = Arc::new(self.sources());
        self.sources.send_if_modified(|last| {
            let changed = **last != *sources;
            *last = sources;
            changed
        });
        let policies = self.policies.observed(ConfigKind::Policy);
        let observed = policies.chain(self.bindings.observed(ConfigKind::Binding)).collect();
        self.observed.send_replace(Arc::new(observed));
        self.lookups.set_listed();
    }

    fn sources(&mut self) -> Sources {
        let modules = &mut self.modules;
        let policies = self.policies.entries.iter().map(|(name, entry)| Loaded {
            name: name.clone(),
            generation: entry.observed.generation,
            value: policy(entry, modules),
        });
        let bindings = self.bindings.entries.iter().map(|(name, entry)| Loaded {
            name: name.clone(),
            generation: entry.observed.generation,
            value: binding(entry),
        });
        Sources { policies: policies.collect(), bindings: bindings.collect() }
    }
}

fn policy(entry: &Entry, modules: &mut Modules) -> Result<Policy, LoadFault> {
    match &entry.object {
        Ok(ConfigObject::Policy(draft)) => draft.resolve(|location| modules.read(location)),
        Ok(ConfigObject::Binding(_)) => {
            Err(LoadFault::new(Code::Internal, "a binding was listed as a policy"))
        }
        Err(fault) => Err(fault.clone()),
    }
}

fn binding(entry: &Entry) -> Result<PolicyBinding, LoadFault> {
    match &entry.object {
        Ok(ConfigObject::Binding(binding)) => Ok((**binding).clone()),
        Ok(ConfigObject::Policy(_)) => {
            Err(LoadFault::new(Code::Internal, "a policy was listed as a binding"))
        }
        Err(fault) => Err(fault.clone()),
    }
}

impl Table {
    /// Takes an event; whether there is something to publish.
    fn event(&mut self, kind: ConfigKind, event: Result<Event<DynamicObject>, watcher::Error>) -> bool {
        match event {
            Ok(Event::Init) => {
                self.listing.clear();
                return false;
            }
            Ok(Event::InitApply(object)) => {
                let (name, entry) = self.entry(kind, object);
                self.listing.insert(name, entry);
                return false;
            }
            Ok(Event::InitDone) => {
                self.entries = std::mem::take(&mut self.listing);
                self.state.synced = true;
            }
            Ok(Event::Apply(object)) => {
                let (name, entry) = self.entry(kind, object);
                self.entries.insert(name, entry);
            }
            Ok(Event::Delete(object)) => {
                self.entries.remove(&object.name_any());
            }
            // The list is simply made anew, as after a change of the definition.
            Err(error) if http_status(&error) == Some(410) => return false,
            Err(error) => {
                let why = shown(&error);
                if self.state.failing(&why) {
                    tracing::warn!(kind = kind.as_str(), error = why, "policy objects cannot be watched");
                }
                return false;
            }
        }
        self.state.heard(self.entries.len());
        true
    }

    fn entry(&self, kind: ConfigKind, mut object: DynamicObject) -> (String, Entry) {
        let name = object.name_any();
        let observed = Arc::new(Observed {
            uid: object.uid().unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or_default(),
            engine: engine(kind, &object.data),
            status: object.data.get("status").cloned().unwrap_or_default(),
        });
        // A change of the status or of metadata alone is not read again.
        let same = |entry: &&Entry| {
            entry.observed.uid == observed.uid && entry.observed.generation == observed.generation
        };
        let object = match self.entries.get(&name).filter(same) {
            Some(entry) => entry.object.clone(),
            None => {
                object.types = Some(TypeMeta {
                    api_version: format!("{GROUP}/{VERSION}"),
                    kind: kind.as_str().to_owned(),
                });
                serde_json::to_value(&object)
                    .map_err(|error| LoadFault::new(kind.code(), format!("the object is not JSON: {error}")))
                    .and_then(|value| decode_value(value, &Place::Cluster))
            }
        };
        (name, Entry { observed, object })
    }

    fn observed(&self, kind: ConfigKind) -> impl Iterator<Item = ((ConfigKind, String), Arc<Observed>)> {
        self.entries.iter().map(move |(name, entry)| ((kind, name.clone()), Arc::clone(&entry.observed)))
    }
}

fn engine(kind: ConfigKind, data: &Value) -> Option<&'static str> {
    let has = |field: &str| data.pointer(field).is_some_and(|value| !value.is_null());
    match kind {
        ConfigKind::Policy if has("/spec/rego") => Some("rego"),
        ConfigKind::Policy if has("/spec/wasm") => Some("wasm"),
        _ => None,
    }
}
