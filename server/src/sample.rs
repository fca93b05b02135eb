//! Gauges that are read when metrics are asked for: the evaluation queue and the watches.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use fairness::seats::Seats;
use policies::EvaluationPool;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tenancy::cluster::{Cluster, WatchState};

use crate::probes::Sample;
use crate::sample_fairness::FairnessGauges;
use crate::sample_quota::QuotaGauges;
use crate::sample_rates::RateGauges;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

/// What came of something.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ResultLabels {
    pub(crate) result: &'static str,
}

/// Brings counters to what was counted elsewhere, by what came of it.
pub(crate) fn count_results(
    counters: &Family<ResultLabels, Counter>,
    counts: impl IntoIterator<Item = (&'static str, u64)>,
) {
    for (result, count) in counts {
        count_to(&counters.get_or_create(&ResultLabels { result }), count);
    }
}

/// Brings a counter to what was counted elsewhere.
pub(crate) fn count_to(counter: &Counter, count: u64) {
    counter.inc_by(count.saturating_sub(counter.get()));
}

#[derive(Debug, Clone, Default)]
struct WatchGauges {
    synced: Family<KindLabels, Gauge>,
    objects: Family<KindLabels, Gauge>,
    last_event: Family<KindLabels, Gauge>,
}

/// Registers the gauges; the answer reads them all.
pub(crate) fn register(
    registry: &mut Registry,
    pool: Arc<EvaluationPool>,
    seats: Arc<Seats>,
    cluster: Option<Arc<Cluster>>,
) -> Sample {
    let (waiting, panics) = (Gauge::<i64>::default(), Gauge::<i64>::default());
    let (replaced, late) = (Gauge::<i64>::default(), Gauge::<i64>::default());
    let evaluation = registry.sub_registry_with_prefix("bailey_evaluation");
    evaluation.register("queue_waiting", "Reviews waiting for an evaluation thread", waiting.clone());
    evaluation.register("panics", "Evaluations that panicked since the start", panics.clone());
    evaluation.register("threads_replaced", "Threads given up as they did not end in time", replaced.clone());
    evaluation.register("threads_late", "Of those, the ones still running", late.clone());
    let quota = cluster.as_ref().map(|cluster| QuotaGauges::register(registry, &cluster.budgets));
    let fairness =
        cluster.as_ref().map(|cluster| FairnessGauges::register(registry, cluster.fairness.clone()));
    let shares = cluster.as_ref().and_then(|cluster| cluster.rate_shares.as_ref());
    let rates = shares.map(|_| RateGauges::register(registry));
    let gauges = WatchGauges::default();
    let watches = registry.sub_registry_with_prefix("bailey_watch");
    watches.register("synced", "Whether a watched kind is listed", gauges.synced.clone());
    watches.register("objects", "Objects of a watched kind", gauges.objects.clone());
    watches.register(
        "last_event_timestamp_seconds",
        "When a watched kind last changed",
        gauges.last_event.clone(),
    );
    let exceptions = Family::<StateLabels, Gauge>::default();
    registry.register("bailey_exceptions", "Exceptions to policies, by how they stand", exceptions.clone());
    Box::new(move || {
        waiting.set(i64::try_from(seats.size().0).unwrap_or(i64::MAX));
        let counts = pool.counts();
        for (gauge, count) in
            [(&panics, &counts.panics), (&replaced, &counts.replaced), (&late, &counts.late)]
        {
            gauge.set(i64::try_from(count.load(Ordering::Relaxed)).unwrap_or(i64::MAX));
        }
        if let Some(cluster) = &cluster {
            gauges.read(cluster);
            if let (Some(rates), Some(shares)) = (&rates, &cluster.rate_shares) {
                rates.read(shares);
            }
            for (state, count) in cluster.exception_states(SystemTime::now()) {
                let gauge = exceptions.get_or_create(&StateLabels { state });
                gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        if let Some(fairness) = &fairness {
            fairness.read();
        }
        if let Some(quota) = &quota {
            quota.read();
        }
    })
}

impl WatchGauges {
    fn read(&self, cluster: &Cluster) {
        // Kinds that are no longer watched must not show their last values for ever.
        self.synced.clear();
        self.objects.clear();
        self.last_event.clear();
        let state = cluster.state();
        self.set("bailey.dev/v1alpha1 Policy".to_owned(), &state.policies);
        self.set("bailey.dev/v1alpha1 PolicyBinding".to_owned(), &state.bindings);
        for (kind, watch) in &state.kinds {
            self.set(format!("{} {}", kind.api_version(), kind.kind), watch);
        }
    }

    fn set(&self, kind: String, watch: &WatchState) {
        let labels = KindLabels { kind };
        self.synced.get_or_create(&labels).set(i64::from(watch.synced));
        self.objects.get_or_create(&labels).set(i64::try_from(watch.objects).unwrap_or(i64::MAX));
        let seconds = watch.last_event.and_then(|time: SystemTime| time.duration_since(UNIX_EPOCH).ok());
        let seconds = seconds.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
        self.last_event.get_or_create(&labels).set(seconds);
    }
}
