//! Policies, bindings, their wasm modules and the objects they look up, watched in the cluster.
//!
//! [`start`] returns at once; what it watches fills in. [`Cluster::sources`] is published when both kinds of
//! policy objects are listed, and [`Cluster::synced`] says when every declared kind is too. A kind that the
//! API server does not serve counts as settled: policies that look it up fail, but readiness is not held up.

mod grants;
mod holdings;
mod lineage;
mod lookups;
mod modules;
mod objects;
mod retry;
mod state;
mod tenants;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use kube::Client;
use model::{Digest, Holdings, LoadFault, LookupKind, ObjectEvent, Sources, TenantIndex};
use tokio::sync::watch;

use crate::api::ModuleLocation;
use crate::budgets::{self, Budgets};
use crate::controllers;
use crate::status::{self, StatusReport, StatusWriter};
use crate::tasks::{Task, Tasks};
use lookups::Lookups;
use objects::Objects;
pub use state::{ClusterState, WatchState};
use tenants::Tenants;

pub(crate) use objects::{Observed, ObservedObjects};
pub(crate) use retry::{Retry, api_message, http_status, map_event, shown, watch_pauses};

/// How the cluster is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterOptions {
    /// The most objects of one list request.
    pub page_size: u32,
    /// Whether statuses and events are written.
    pub write_status: bool,
    /// Whether what tenants have is kept as it should be.
    pub control: bool,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self { page_size: 500, write_status: true, control: true }
    }
}

/// A running watch of the cluster; dropping it ends the watch.
pub struct Cluster {
    /// Policies and bindings; empty until both kinds are listed.
    pub sources: watch::Receiver<Arc<Sources>>,
    /// Whether policies, bindings and every declared kind are listed, or known not to be served.
    pub synced: watch::Receiver<bool>,
    /// All tenants and whose each namespace is; empty until both are listed.
    pub tenants: watch::Receiver<Arc<TenantIndex>>,
    /// Whether tenants and namespaces are listed.
    pub tenants_synced: watch::Receiver<bool>,
    /// What tenants may have, and what is left of it.
    pub budgets: Budgets,
    /// What tenants hold that there is only one of.
    pub holdings: watch::Receiver<Arc<Holdings>>,
    /// Whether all of that is listed.
    pub holdings_synced: watch::Receiver<bool>,
    client: Client,
    lookups: Lookups,
    objects: watch::Receiver<[WatchState; 2]>,
    status: Option<StatusWriter>,
    tasks: Tasks,
    _watches: Vec<Task>,
}

/// Starts watching. Needs a Tokio runtime.
pub fn start(client: Client, options: &ClusterOptions) -> Cluster {
    let tasks = Tasks::new();
    let lookups = Lookups::new(client.clone(), options.page_size, tasks.clone());
    lookups.set_kinds(&BTreeSet::new());
    let (objects, handles) = Objects::new(client.clone(), options.page_size, tasks.clone(), lookups.clone());
    let reader = client.clone();
    let (tenants, of_tenants) = Tenants::new(client.clone(), &lookups);
    let mut watches =
        vec![tasks.spawn("policy objects", objects.run()), tasks.spawn("tenants", tenants.run())];
    let (holdings, holdings_synced) = (watch::Sender::default(), watch::Sender::new(false));
    let held = (holdings.subscribe(), holdings_synced.subscribe());
    watches.push(tasks.spawn("holdings", holdings::run(client.clone(), holdings, holdings_synced)));
    if options.control {
        let follow = controllers::Follow {
            index: of_tenants.index.clone(),
            observed: of_tenants.observed,
            synced: of_tenants.synced.clone(),
        };
        let requests = controllers::requests::run(
            client.clone(),
            of_tenants.requests,
            of_tenants.index.clone(),
            of_tenants.synced.clone(),
        );
        watches.push(tasks.spawn("tenant controller", controllers::run(client.clone(), follow)));
        watches.push(tasks.spawn("quota requests", requests));
    }
    let status = options.write_status.then(|| {
        let (writer, run) = status::writer(client, handles.observed);
        watches.push(tasks.spawn("statuses", run));
        writer
    });
    let synced = lookups.synced();
    let budgets = budgets::start(reader.clone(), of_tenants.index.clone(), &tasks);
    Cluster {
        budgets,
        sources: handles.sources,
        synced,
        tenants: of_tenants.index,
        tenants_synced: of_tenants.synced,
        holdings: held.0,
        holdings_synced: held.1,
        client: reader,
        lookups,
        objects: handles.state,
        status,
        tasks,
        _watches: watches,
    }
}

impl Cluster {
    /// Sets the kinds that are cached, beside Namespaces, which always are. Kinds no longer among them are
    /// dropped. `synced` turns false before this returns if a kind is new.
    pub fn set_kinds(&self, kinds: &BTreeSet<LookupKind>) {
        self.lookups.set_kinds(kinds);
    }

    /// Calls `observer` with every change of the cached objects, in order and without a gap: first with a
    /// [`ObjectEvent::Replace`] for every kind that is cached now, before this returns. It must not block:
    /// the watches wait for it.
    pub fn subscribe<F: FnMut(&ObjectEvent) + Send + 'static>(&self, observer: F) {
        self.lookups.subscribe(Box::new(observer));
    }

    /// Has these statuses written where they differ from what the cluster says; the newest call wins.
    pub fn report(&self, reports: Vec<StatusReport>) {
        if let Some(status) = &self.status {
            status.report(reports);
        }
    }

    /// Reads a module as it is now, for a policy that is not in force yet.
    ///
    /// # Errors
    /// [`model::Code::ModuleUnavailable`] when it is not there, or may not be read.
    pub async fn read_module(&self, location: &ModuleLocation) -> Result<(Bytes, Digest), LoadFault> {
        modules::read_now(self.client.clone(), location).await
    }

    /// How the watches stand, for metrics.
    pub fn state(&self) -> ClusterState {
        let [policies, bindings] = &*self.objects.borrow();
        ClusterState {
            policies: policies.current(),
            bindings: bindings.current(),
            kinds: self.lookups.state(),
        }
    }

    /// Waits until a task has ended by itself, and says which; the process should end then.
    pub async fn failed(&self) -> String {
        self.tasks.failed().await
    }
}
