//! How the budgets of tenants stand, read when metrics are asked for.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use quota::desk::{Desk, Waited};
use quota::grants::GrantDesk;
use quota::ledger::{Ledger, Line, ONE, Owner};
use tenancy::budgets::Budgets;

use crate::sample::{ResultLabels, count_results, count_to};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    tenant: String,
    band: String,
    resource: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

type Amounts = Family<LimitLabels, Gauge<f64, AtomicU64>>;

/// The gauges of budgets.
pub(crate) struct QuotaGauges {
    desk: Arc<Desk>,
    grants: Arc<GrantDesk>,
    budget: Amounts,
    used: Amounts,
    held: Amounts,
    requests: Family<ResultLabels, Counter>,
    objects: Gauge,
    under_way: Gauge,
    listed: Family<KindLabels, Gauge>,
    granted: Family<ResultLabels, Counter>,
    writes: Family<ResultLabels, Counter>,
    counts: Family<ResultLabels, Counter>,
    checks: Counter,
    drift: Counter,
    share_writes: Family<ResultLabels, Counter>,
}

impl QuotaGauges {
    pub(crate) fn register(registry: &mut Registry, budgets: &Budgets) -> Self {
        let gauges = Self {
            desk: Arc::clone(&budgets.desk),
            grants: Arc::clone(&budgets.grants),
            budget: Amounts::default(),
            used: Amounts::default(),
            held: Amounts::default(),
            requests: Family::default(),
            objects: Gauge::default(),
            under_way: Gauge::default(),
            listed: Family::default(),
            granted: Family::default(),
            writes: Family::default(),
            counts: Family::default(),
            checks: Counter::default(),
            drift: Counter::default(),
            share_writes: Family::default(),
        };
        let quota = registry.sub_registry_with_prefix("bailey_quota");
        let Self { budget, used, held, requests, objects, under_way, listed, .. } = &gauges;
        let Self { granted, writes, counts, .. } = &gauges;
        quota.register(
            "budget",
            "The most of a resource; a cohort's budget is what it lends",
            budget.clone(),
        );
        quota.register("used", "What stored objects take of a budget", used.clone());
        quota.register("held", "What the replicas hold of a budget for requests", held.clone());
        quota.register(
            "requests",
            "Requests that grow a budget's use, by what came of them here",
            requests.clone(),
        );
        quota.register("objects", "Objects that are counted", objects.clone());
        quota.register("under_way", "Places at which a request is under way", under_way.clone());
        quota.register("kind_listed", "Whether a kind that budgets count is listed", listed.clone());
        quota.register(
            "grant_requests",
            "Requests in namespaces whose budget ResourceQuotas hold too, by what came of them here",
            granted.clone(),
        );
        quota.register(
            "grant_writes",
            "Writes of what is granted, and those that came too late",
            writes.clone(),
        );
        quota.register(
            "grant_counts",
            "Counts of the quota controller that were below what is known to be used",
            counts.clone(),
        );
        quota.register(
            "checks",
            "How often what is counted of a kind was held against a consistent list",
            gauges.checks.clone(),
        );
        quota.register("drift", "Objects that were not counted as they are", gauges.drift.clone());
        quota.register(
            "share_writes",
            "Writes of what replicas hold of budgets, and those that came too late",
            gauges.share_writes.clone(),
        );
        register_waits(quota, &gauges.desk);
        gauges
    }

    fn read_grants(&self) {
        let counts = self.grants.counts();
        let granted = [("at_once", counts.at_once), ("waited", counts.waited), ("late", counts.late)];
        count_results(&self.granted, granted);
        count_results(&self.writes, [("written", counts.moves), ("conflict", counts.conflicts)]);
        let recounts = [("refused", counts.counts_refused), ("believed", counts.counts_believed)];
        count_results(&self.counts, recounts);
    }

    pub(crate) fn read(&self) {
        self.read_grants();
        let counts = self.desk.counts();
        let (lines, (objects, under_way)) = self.desk.read(|ledger: &Ledger| (ledger.lines(), ledger.size()));
        self.objects.set(i64::try_from(objects).unwrap_or(i64::MAX));
        self.under_way.set(i64::try_from(under_way).unwrap_or(i64::MAX));
        let results = [
            ("at_once", counts.at_once),
            ("waited", counts.waited),
            ("refused", counts.refused),
            ("late", counts.late),
        ];
        count_results(&self.requests, results);
        count_results(&self.share_writes, [("written", counts.written), ("conflict", counts.lost)]);
        count_to(&self.checks, counts.checks);
        count_to(&self.drift, counts.drift);
        self.listed.clear();
        let kinds = self.desk.read(|ledger: &Ledger| {
            let kinds = ledger.counted().into_iter();
            kinds.map(|kind| (kind.to_string(), ledger.version(&kind).is_some())).collect::<Vec<_>>()
        });
        for (kind, listed) in kinds {
            self.listed.get_or_create(&KindLabels { kind }).set(i64::from(listed));
        }
        // Budgets that are no more must not show their last values for ever.
        [&self.budget, &self.used, &self.held].into_iter().for_each(Family::clear);
        for line in lines {
            let labels = labels(&line);
            for (family, amount) in
                [(&self.budget, line.bound), (&self.used, line.used), (&self.held, line.held)]
            {
                family.get_or_create(&labels).set(in_units(amount));
            }
        }
    }
}

/// From a millisecond to what a webhook may take.
fn register_waits(quota: &mut Registry, desk: &Desk) {
    let waits: Family<ResultLabels, Histogram, fn() -> Histogram> =
        Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 15)));
    quota.register_with_unit(
        "wait",
        "How long requests waited for the share to grow, by what came of them",
        Unit::Seconds,
        waits.clone(),
    );
    desk.observe_waits(move |waited, time| {
        let result = match waited {
            Waited::Taken => "waited",
            Waited::Refused => "refused",
            Waited::Late => "late",
        };
        waits.get_or_create(&ResultLabels { result }).observe(time.as_secs_f64());
    });
}

fn labels(line: &Line) -> LimitLabels {
    let (tenant, band) = match &line.owner {
        Owner::Tenant(tenant) => (tenant.to_string(), String::new()),
        Owner::Band(tenant, band) => (tenant.to_string(), band.to_string()),
        Owner::Cohort(cohort) => (format!("cohort:{cohort}"), String::new()),
    };
    LimitLabels { tenant, band, resource: line.resource.to_string() }
}

/// Billionths in units, as metrics have them.
pub(crate) fn in_units(amount: i128) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a metric is no account")]
    let amount = amount as f64;
    #[expect(clippy::cast_precision_loss, reason = "a power of ten below 2^53")]
    let one = ONE as f64;
    amount / one
}
