//! Where policies come from: files, or the cluster.

use std::path::Path;
use std::sync::{Arc, RwLock};

use anyhow::anyhow;
use model::{LookupKind, Sources};
use policies::{Compiler, EvaluationPool, LoadStatus};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::args::ServeArgs;
use crate::load::{Follow, LoadMetrics, Loader};
use crate::probes::Readiness;

/// What a source feeds.
pub(crate) struct Parts {
    pub(crate) compiler: Arc<RwLock<Compiler>>,
    pub(crate) pool: Arc<EvaluationPool>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) load_metrics: LoadMetrics,
}

/// Starts reading policies, compiling and publishing them.
///
/// # Errors
/// When the folder cannot be read, or there is no cluster to be found.
pub(crate) async fn start(
    args: &ServeArgs,
    parts: Parts,
    registry: &mut Registry,
    tasks: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    match &args.policies {
        Some(folder) => start_files(folder, parts, tasks),
        None => start_cluster(parts, registry, tasks).await,
    }
}

fn start_files(folder: &Path, parts: Parts, tasks: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    let files = tenancy::files::watch(folder)?;
    let (sources, mut fault) = (files.sources.clone(), files.fault.clone());
    tasks.spawn(parts.run(NoCluster, sources));
    tasks.spawn(async move {
        while fault.changed().await.is_ok() {
            if let Some(fault) = fault.borrow_and_update().as_deref() {
                tracing::error!(fault, "the folder of policies cannot be read, the last good ones stay in force");
            }
        }
        Ok(())
    });
    tasks.spawn(async move { Err(anyhow!(files.failed().await)) });
    Ok(())
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
