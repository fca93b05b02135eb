//! Policies, bindings, their wasm modules and the objects they look up, watched in the cluster.
//!
//! [`start`] returns at once; what it watches fills in. [`Cluster::sources`] is published when both kinds of
//! policy objects are listed, and [`Cluster::synced`] says when every declared kind is too. A kind that the
//! API server does not serve counts as settled: policies that look it up fail, but readiness is not held up.

mod exceptions;
mod front_proxy;
mod grants;
mod holdings;
mod lineage;
mod lookups;
mod modules;
mod objects;
mod retry;
mod state;
mod tenants;
mod tenants_alone;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use bytes::Bytes;
use kube::Client;
use model::{Digest, Exceptions, Holdings, LoadFault, LookupKind, ObjectEvent, Sources, TenantIndex};
use tokio::sync::watch;

use crate::api::ModuleLocation;
use crate::api::exception::State;
use crate::budgets::{self, Budgets};
use crate::controllers;
use crate::fairness;
use crate::hostnames::{self, Hostnames};
use crate::rates::{self, RateShares, UseReader};
use crate::status::{self, StatusReport, StatusWriter};
use crate::tasks::{Task, Tasks};
pub use front_proxy::{FrontProxy, FrontProxyWatch};
use lookups::Lookups;
use objects::Objects;
pub use state::{ClusterState, WatchState};
use tenants::Tenants;
pub use tenants_alone::{TenantsAlone, follow_tenants};

pub(crate) use exceptions::All as AllExceptions;
pub(crate) use holdings::host_kinds;
pub(crate) use objects::{Observed, ObservedObjects};
pub(crate) use retry::{Retry, api_message, http_status, map_event, shown, watch_pauses};

/// The ledger of rates that all webhooks share.
pub const RATE_LEDGER: &str = "webhook";

/// How the cluster is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterOptions {
    /// The most objects of one list request.
    pub page_size: u32,
    /// Whether statuses and events are written.
    pub write_status: bool,
    /// Whether what tenants have is kept as it should be.
    pub control: bool,
    /// Whether requests are decided on here, for which this process takes its part of the rates.
    pub decide: bool,
    /// How often what budgets count is held against a consistent list.
    pub quota_check: Duration,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            page_size: 500,
            write_status: true,
            control: true,
            decide: true,
            quota_check: Duration::from_secs(3_600),
        }
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
    /// How often tenants may do what.
    pub rates: watch::Receiver<Arc<::fairness::rates::ByTenant>>,
    /// What of it this replica may let pass; nothing where it decides on no requests.
    pub rate_shares: Option<RateShares>,
    /// What tenants may have, and what is left of it.
    pub budgets: Budgets,
    /// The exceptions that were approved; whether one is over is for the clock.
    pub exceptions: watch::Receiver<Arc<Exceptions>>,
    /// Whether they are listed.
    pub exceptions_synced: watch::Receiver<bool>,
    /// What tenants hold that there is only one of.
    pub holdings: watch::Receiver<Arc<Holdings>>,
    /// Whether all of that is listed.
    pub holdings_synced: watch::Receiver<bool>,
    /// Who has which host name.
    pub hostnames: Hostnames,
    /// How what tenants get of the API server stands; nothing where this process does not keep it.
    pub fairness: watch::Receiver<fairness::Standing>,
    all_exceptions: watch::Receiver<Arc<AllExceptions>>,
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
    let says = options.control.then(|| of_tenants.observed.clone());
    let synced = of_tenants.synced.clone();
    let budgets =
        budgets::start(client.clone(), of_tenants.index.clone(), synced, says, options.quota_check, &tasks);
    let excepted = exceptions::Published::new();
    let (exceptions, exceptions_synced) = (excepted.approved.subscribe(), excepted.synced.subscribe());
    let all_exceptions = excepted.all.subscribe();
    let standing = watch::Sender::default();
    let fairness = standing.subscribe();
    if options.control {
        let follow = fairness::Follow {
            index: of_tenants.index.clone(),
            tenants: of_tenants.observed.clone(),
            classes: of_tenants.classes,
            synced: of_tenants.synced.clone(),
            standing,
        };
        watches.push(tasks.spawn("fairness", fairness::run(client.clone(), follow)));
        let run = controllers::exceptions::run(client.clone(), all_exceptions.clone());
        watches.push(tasks.spawn("exception statuses", run));
        let follow = controllers::Follow {
            index: of_tenants.index.clone(),
            observed: of_tenants.observed,
            synced: of_tenants.synced.clone(),
            grants: Arc::clone(&budgets.grants),
        };
        let requests = controllers::requests::run(
            client.clone(),
            of_tenants.requests,
            of_tenants.index.clone(),
            of_tenants.synced.clone(),
        );
        watches.push(tasks.spawn("tenant controller", controllers::run(client.clone(), follow)));
        watches.push(tasks.spawn("quota requests", requests));
        let upkeep =
            hostnames::upkeep(client.clone(), held.0.clone(), of_tenants.index.clone(), held.1.clone());
        watches.push(tasks.spawn("host names", upkeep));
    }
    watches.push(tasks.spawn("exceptions", exceptions::run(client.clone(), excepted)));
    let status = options.write_status.then(|| {
        let (writer, run) = status::writer(client, handles.observed);
        watches.push(tasks.spawn("statuses", run));
        writer
    });
    let synced = lookups.synced();
    let limits = of_tenants.rates.clone();
    let limit: rates::LimitOf =
        Arc::new(move |tenant, class| Some(limits.borrow().get(tenant)?.get(&class)?.tenant));
    let rate_shares = options.decide.then(|| rates::start(reader.clone(), RATE_LEDGER, limit, &tasks));
    Cluster {
        rate_shares,
        budgets,
        sources: handles.sources,
        synced,
        tenants: of_tenants.index,
        rates: of_tenants.rates,
        tenants_synced: of_tenants.synced,
        exceptions,
        exceptions_synced,
        all_exceptions,
        holdings: held.0,
        holdings_synced: held.1,
        hostnames: Hostnames::new(reader.clone()),
        fairness,
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

    /// Follows whom the API server's aggregation layer asks to be trusted, for as long as the answer lives.
    pub fn front_proxy(&self) -> FrontProxyWatch {
        front_proxy::start(self.client.clone(), &self.tasks)
    }

    /// Reads what tenants do now, as all replicas tell it.
    pub fn uses(&self) -> UseReader {
        UseReader::new(self.client.clone())
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

    /// How many exceptions stand how at this time.
    pub fn exception_states(&self, now: SystemTime) -> BTreeMap<&'static str, usize> {
        let mut counts: BTreeMap<_, _> = State::ALL.iter().map(|state| (state.as_str(), 0)).collect();
        for exception in self.all_exceptions.borrow().values() {
            let count = counts.entry(exception.state(now.into()).as_str()).or_insert(0_usize);
            *count = count.saturating_add(1);
        }
        counts
    }

    /// Waits until a task has ended by itself, and says which; the process should end then.
    pub async fn failed(&self) -> String {
        self.tasks.failed().await
    }
}
