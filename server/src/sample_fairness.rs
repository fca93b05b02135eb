//! How what tenants get of the API server stands, read when metrics are asked for.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tenancy::fairness::Standing;
use tokio::sync::watch;

use crate::sample::{ResultLabels, count_results, count_to};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlaceLabels {
    place: &'static str,
}

/// The metrics of the controller.
pub(crate) struct FairnessGauges {
    standing: watch::Receiver<Standing>,
    objects: Family<KindLabels, Gauge>,
    tenants: Family<PlaceLabels, Gauge>,
    pending: Gauge,
    conflicts: Gauge,
    dangling: Gauge,
    warnings: Gauge,
    writes: Family<ResultLabels, Counter>,
    repaired: Counter,
}

impl FairnessGauges {
    pub(crate) fn register(registry: &mut Registry, standing: watch::Receiver<Standing>) -> Self {
        let gauges = Self {
            standing,
            objects: Family::default(),
            tenants: Family::default(),
            pending: Gauge::default(),
            conflicts: Gauge::default(),
            dangling: Gauge::default(),
            warnings: Gauge::default(),
            writes: Family::default(),
            repaired: Counter::default(),
        };
        let all = registry.sub_registry_with_prefix("bailey_fairness");
        let Self { objects, tenants, pending, conflicts, dangling, warnings, writes, repaired, .. } = &gauges;
        all.register("objects", "Priority levels and FlowSchemas of Bailey's", objects.clone());
        all.register("tenants", "Tenants, by how the API server tells them apart", tenants.clone());
        all.register("pending", "Changes of those objects that are due", pending.clone());
        all.register("conflicts", "Names of wanted objects that are somebody else's", conflicts.clone());
        all.register("dangling", "FlowSchemas of Bailey's that have no effect", dangling.clone());
        all.register("warnings", "What should be looked at", warnings.clone());
        all.register("writes", "Writes of those objects, by what came of them", writes.clone());
        all.register("repaired", "Writes that put right what somebody else changed", repaired.clone());
        gauges
    }

    pub(crate) fn read(&self) {
        let standing = self.standing.borrow().clone();
        let set = |gauge: &Gauge, count: usize| _ = gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        for (kind, count) in [("levels", standing.levels), ("schemas", standing.schemas)] {
            set(&self.objects.get_or_create(&KindLabels { kind }), count);
        }
        for (place, count) in Standing::PLACES.into_iter().zip(standing.places) {
            set(&self.tenants.get_or_create(&PlaceLabels { place }), count);
        }
        set(&self.pending, standing.pending);
        set(&self.conflicts, standing.conflicts);
        set(&self.dangling, standing.dangling);
        set(&self.warnings, standing.warnings);
        count_results(&self.writes, Standing::WRITES.into_iter().zip(standing.writes));
        count_to(&self.repaired, standing.repaired);
    }
}
