//! How this replica stands among those that share the rates of tenants, read when metrics are asked for.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tenancy::rates::{RateShares, Standing};

use crate::sample::{ResultLabels, count_results};

type Share = Gauge<f64, AtomicU64>;

/// The metrics of the ledger of rates.
#[derive(Debug, Clone, Default)]
pub(crate) struct RateGauges {
    replicas: Gauge,
    share: Share,
    named: Gauge,
    lease: Share,
    writes: Family<ResultLabels, Counter>,
}

impl RateGauges {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let gauges = Self::default();
        let all = registry.sub_registry_with_prefix("bailey_rates");
        let Self { replicas, share, named, lease, writes } = &gauges;
        all.register("replicas", "Replicas that share the rates of tenants", replicas.clone());
        all.register("share", "This replica's part of every rate that is not named, of 1", share.clone());
        all.register("named", "Rates of which it has another part, by demand", named.clone());
        all.register("lease_seconds", "How long it may use its part without another write", lease.clone());
        all.register("ledger_writes", "Writes of its part, by what came of them", writes.clone());
        gauges
    }

    pub(crate) fn read(&self, shares: &RateShares) {
        let Standing { replicas, share, named, until, written, lost, failed } = *shares.standing.borrow();
        self.replicas.set(i64::try_from(replicas).unwrap_or(i64::MAX));
        self.named.set(i64::try_from(named).unwrap_or(i64::MAX));
        let left = until.saturating_sub(shares.rates.now());
        let share = f64::from(u32::try_from(share).unwrap_or(u32::MAX)) / 1e6;
        self.share.set(if left == 0 { 0.0 } else { share });
        self.lease.set(Duration::from_nanos(left).as_secs_f64());
        count_results(&self.writes, [("written", written), ("lost", lost), ("failed", failed)]);
    }
}
