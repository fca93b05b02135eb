//! Sources to policy set: compile what changed, put it in force on every thread, say how it stands.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use model::{LookupKind, Sources};
use policies::{Build, Compiler, EvaluationPool, LoadStatus};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::probes::Readiness;

/// How often it is looked whether every thread has adopted a set.
const POLL: Duration = Duration::from_millis(2);

/// How the loaded policies stand, as gauges.
#[derive(Debug, Clone, Default)]
pub(crate) struct LoadMetrics {
    pub(crate) policies: Gauge,
    pub(crate) policies_faulty: Gauge,
    pub(crate) bindings: Gauge,
    pub(crate) bindings_faulty: Gauge,
    pub(crate) builds: Counter,
    pub(crate) revision: Gauge,
}

impl LoadMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("bailey_policies");
        registry.register("loaded", "Policies read", metrics.policies.clone());
        registry.register(
            "faulty",
            "Policies whose newest version is not in force",
            metrics.policies_faulty.clone(),
        );
        registry.register("bindings_loaded", "Bindings read", metrics.bindings.clone());
        registry.register(
            "bindings_faulty",
            "Bindings whose newest version is not in force",
            metrics.bindings_faulty.clone(),
        );
        registry.register("builds", "Policy sets built", metrics.builds.clone());
        registry.register(
            "revision",
            "Policy set in force on every evaluation thread",
            metrics.revision.clone(),
        );
        metrics
    }

    fn set(&self, build: &Build) {
        self.policies.set(count(&build.policies));
        self.policies_faulty.set(count(build.policies.iter().filter(|status| status.fault.is_some())));
        self.bindings.set(count(&build.bindings));
        self.bindings_faulty.set(count(build.bindings.iter().filter(|status| status.fault.is_some())));
        self.builds.inc();
    }
}

fn count(items: impl IntoIterator<Item = impl Sized>) -> i64 {
    i64::try_from(items.into_iter().count()).unwrap_or(i64::MAX)
}

/// What follows a build: caches for its lookups, and a report of how everything stands.
pub(crate) trait Follow: Send {
    /// Makes sure these kinds are cached.
    fn lookups(&mut self, kinds: &[LookupKind]);
    /// Says how everything stands; called once every thread has the set in force.
    fn report(&mut self, policies: &[LoadStatus], bindings: &[LoadStatus]);
    /// Whether every cache is filled.
    fn synced(&self) -> bool;
    /// Waits until `synced` may have changed.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;
}

/// Compiles and publishes.
pub(crate) struct Loader<F> {
    pub(crate) compiler: Arc<RwLock<Compiler>>,
    pub(crate) pool: Arc<EvaluationPool>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) metrics: LoadMetrics,
    pub(crate) follow: F,
}

impl<F: Follow> Loader<F> {
    /// Runs until the sources end.
    pub(crate) async fn run(mut self, mut sources: watch::Receiver<Arc<Sources>>) {
        self.readiness.wait_for("policies are being read");
        sources.mark_changed();
        loop {
            tokio::select! {
                changed = sources.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let newest = Arc::clone(&sources.borrow_and_update());
                    self.load(newest).await;
                }
                () = self.follow.changed() => {}
            }
            // Caches may be filled while newer policies wait: ready means that those are in force too.
            if sources.has_changed().is_ok_and(|changed| !changed) {
                self.settle();
            }
        }
    }

    async fn load(&mut self, sources: Arc<Sources>) {
        let compiler = Arc::clone(&self.compiler);
        let build = tokio::task::spawn_blocking(move || {
            compiler.write().unwrap_or_else(PoisonError::into_inner).build(&sources)
        });
        let build = match build.await {
            Ok(build) => build,
            Err(error) => {
                tracing::error!(%error, "a policy set could not be built, the last one stays in force");
                return;
            }
        };
        self.follow.lookups(build.set.lookups());
        self.pool.publish(&build.set);
        self.metrics.set(&build);
        self.log(&build);
        let revision = build.set.revision();
        while self.pool.adopted() < revision {
            tokio::time::sleep(POLL).await;
        }
        self.metrics.revision.set(i64::try_from(revision).unwrap_or(i64::MAX));
        self.follow.report(&build.policies, &build.bindings);
    }

    /// Becomes ready, once, when the first set is in force and every cache is filled.
    fn settle(&self) {
        if self.pool.adopted() == 0 {
            return;
        }
        if self.follow.synced() {
            self.readiness.loaded.store(true, Ordering::Release);
        } else {
            self.readiness.wait_for("caches of cluster objects are being filled");
        }
    }

    fn log(&self, build: &Build) {
        for (kind, statuses) in [("policy", &build.policies), ("binding", &build.bindings)] {
            for status in statuses.iter().filter(|status| status.fault.is_some()) {
                let fault = status.fault.as_ref().map(ToString::to_string).unwrap_or_default();
                let in_force = status.version.as_deref().unwrap_or("none");
                tracing::warn!(kind, name = %status.name, fault, in_force, "an object is not in force as written");
            }
        }
        tracing::info!(
            revision = build.set.revision(),
            policies = build.policies.len(),
            bindings = build.set.len(),
            "policy set in force"
        );
    }
}
