//! Where policies come from: files, or the cluster.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::{Context, anyhow};
use model::{LookupKind, Sources};
use policies::{Compiler, EvaluationPool, LoadStatus};
use tenancy::cluster::{Cluster, ClusterOptions};
use tenancy::{ReportKind, StatusReport};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api_server;
use crate::args::{Role, ServeArgs};
use crate::load::{Follow, LoadMetrics, Loader};
use crate::probes::Readiness;

/// What a source feeds.
pub(crate) struct Parts {
    pub(crate) compiler: Arc<RwLock<Compiler>>,
    pub(crate) pool: Arc<EvaluationPool>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) load_metrics: LoadMetrics,
}

/// Starts reading policies, compiling and publishing them. Gives the cluster that is watched, if any.
///
/// # Errors
/// When the folder cannot be read, or there is no cluster to be found.
pub(crate) async fn start(
    args: &ServeArgs,
    parts: Parts,
    tasks: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<Option<Arc<Cluster>>> {
    match &args.policies {
        Some(folder) => start_files(folder, parts, tasks).map(|()| None),
        None => start_cluster(args, parts, tasks).await.map(Some),
    }
}

fn start_files(folder: &Path, parts: Parts, tasks: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    let files = tenancy::files::watch(folder)?;
    let (sources, mut fault) = (files.sources.clone(), files.fault.clone());
    tasks.spawn(parts.run(NoCluster, sources));
    tasks.spawn(async move {
        while fault.changed().await.is_ok() {
            if let Some(fault) = fault.borrow_and_update().as_deref() {
                tracing::error!(
                    fault,
                    "the folder of policies cannot be read, the last good ones stay in force"
                );
            }
        }
        Ok(())
    });
    tasks.spawn(async move { Err(anyhow!(files.failed().await)) });
    Ok(())
}

async fn start_cluster(
    args: &ServeArgs,
    parts: Parts,
    tasks: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<Arc<Cluster>> {
    let config = kube::Config::infer().await.context(
        "no cluster was found: set KUBECONFIG, run inside a cluster, or read files with --policies DIR",
    )?;
    let client = api_server::client(config)?;
    let (control, decide) = (args.roles.contains(&Role::Controller), args.roles.contains(&Role::Admission));
    let quota_check = Duration::from_secs(args.quota_check_interval.into());
    let options = ClusterOptions { control, decide, quota_check, ..ClusterOptions::default() };
    let cluster = Arc::new(tenancy::cluster::start(client, &options));
    let pool = Arc::clone(&parts.pool);
    cluster.subscribe(move |event| pool.observe(event));
    // Without rates there is nothing more to wait for.
    let rates_ready = cluster.rate_shares.as_ref().map_or(&cluster.synced, |shares| &shares.ready).clone();
    let synced = [
        cluster.synced.clone(),
        cluster.tenants_synced.clone(),
        cluster.holdings_synced.clone(),
        cluster.budgets.synced.clone(),
        cluster.exceptions_synced.clone(),
        rates_ready,
    ];
    let follow = InCluster { synced, cluster: Arc::clone(&cluster) };
    tasks.spawn(parts.run(follow, cluster.sources.clone()));
    let watched = Arc::clone(&cluster);
    tasks.spawn(async move { Err(anyhow!(watched.failed().await)) });
    Ok(cluster)
}

impl Parts {
    async fn run<F: Follow>(self, follow: F, sources: watch::Receiver<Arc<Sources>>) -> anyhow::Result<()> {
        let Self { compiler, pool, readiness, load_metrics: metrics } = self;
        Loader { compiler, pool, readiness, metrics, follow }.run(sources).await;
        Ok(())
    }
}

/// Files alone: nothing can be looked up, and nobody reads a status but the log.
struct NoCluster;

impl Follow for NoCluster {
    fn lookups(&mut self, kinds: &[LookupKind]) {
        if !kinds.is_empty() {
            tracing::warn!(?kinds, "policies declare lookups, but there is no cluster: they will fail");
        }
    }

    fn report(&mut self, _policies: &[LoadStatus], _bindings: &[LoadStatus]) {}

    fn synced(&self) -> bool {
        true
    }

    async fn changed(&mut self) {
        std::future::pending().await
    }
}

/// Caches and statuses in the cluster.
struct InCluster {
    cluster: Arc<Cluster>,
    synced: [watch::Receiver<bool>; 6],
}

impl Follow for InCluster {
    fn lookups(&mut self, kinds: &[LookupKind]) {
        self.cluster.set_kinds(&kinds.iter().cloned().collect::<BTreeSet<_>>());
    }

    fn report(&mut self, policies: &[LoadStatus], bindings: &[LoadStatus]) {
        let policies = policies.iter().map(|status| report(ReportKind::Policy, status));
        let bindings = bindings.iter().map(|status| report(ReportKind::Binding, status));
        self.cluster.report(policies.chain(bindings).collect());
    }

    fn synced(&self) -> bool {
        self.synced.iter().all(|synced| *synced.borrow())
    }

    async fn changed(&mut self) {
        let [policies, tenants, holdings, budgets, exceptions, rates] = &mut self.synced;
        let changed = tokio::select! {
            changed = policies.changed() => changed,
            changed = tenants.changed() => changed,
            changed = holdings.changed() => changed,
            changed = budgets.changed() => changed,
            changed = exceptions.changed() => changed,
            changed = rates.changed() => changed,
        };
        if changed.is_err() {
            std::future::pending().await
        }
    }
}

fn report(kind: ReportKind, status: &LoadStatus) -> StatusReport {
    let message = match (&status.fault, &status.version) {
        (None, _) => "in force on every evaluation thread".to_owned(),
        (Some(fault), None) => fault.message.clone(),
        (Some(fault), Some(version)) => format!("{}; version {version} stays in force", fault.message),
    };
    StatusReport {
        kind,
        name: status.name.clone(),
        generation: status.generation,
        ready: status.fault.is_none(),
        code: status.fault.as_ref().map(|fault| fault.code),
        message,
        position: status.fault.as_ref().and_then(|fault| Some(fault.position.as_ref()?.to_string())),
        revision: status.version.clone(),
    }
}
