//! How the limits of budgets stand, written from time to time, and when each will be full.
//!
//! It runs beside the requests: it holds the ledger's lock as long as a look at the metrics does, and hands rows to the
//! audit writer without waiting for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use audit::{AuditReader, AuditSink, LimitName, UsageFilter, UsageRow};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use quota::forecast::{Filling, Options, Outlook, Sample, forecast};
use quota::ledger::{Ledger, Owner};
use quota::measure::kinds_of;
use tenancy::cluster::Cluster;
use tokio::task::JoinSet;

use crate::args::ServeArgs;
use crate::sample_quota::in_units;

/// How far back a forecast looks, in seconds: two weeks.
const WINDOW: i64 = 14 * 86_400;
/// The most samples of a limit that are held in memory, at equal distances: 496 pairs.
const HELD: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FullLabels {
    tenant: String,
    band: String,
    resource: String,
    by: &'static str,
}

type FullIn = Family<FullLabels, Gauge<i64, AtomicI64>>;

/// Starts writing how budgets stand, where there is a cluster.
pub(crate) fn start(
    cluster: Option<&Arc<Cluster>>,
    sink: &AuditSink,
    args: &ServeArgs,
    registry: &mut Registry,
    tasks: &mut JoinSet<anyhow::Result<()>>,
) {
    let Some(cluster) = cluster.map(Arc::clone) else { return };
    let full_in = FullIn::default();
    registry.register(
        "bailey_quota_full_in_seconds",
        "When a budget will be full by its trend, and by the ends of the trend's interval",
        full_in.clone(),
    );
    let (sink, store) = (sink.clone(), args.audit_db.clone());
    let interval = i64::from(args.usage_interval);
    tasks.spawn(async move {
        let mut synced = [cluster.tenants_synced.clone(), cluster.budgets.synced.clone()];
        for synced in &mut synced {
            synced.wait_for(|synced| *synced).await.map_err(|_| anyhow!("the watch of budgets has ended"))?;
        }
        let mut history = History::new(interval);
        history.recall(&store, now()).await;
        loop {
            let wait = interval.saturating_sub(now().rem_euclid(interval));
            tokio::time::sleep(Duration::from_secs(wait.unsigned_abs())).await;
            // Every replica writes the same moment, so that their rows are the same too.
            let now = now();
            let at = now.saturating_sub(now.rem_euclid(interval));
            let rows = cluster.budgets.desk.read(|ledger| rows(ledger, at));
            history.take(&rows);
            sink.usage(rows);
            history.show(&full_in, now).await;
        }
    });
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// How every limit stands of which all that counts is listed: of others less would be seen than is used.
fn rows(ledger: &Ledger, at: i64) -> Vec<UsageRow> {
    let is_listed = |resource: &str| {
        let kinds = kinds_of(resource).unwrap_or_default();
        !kinds.is_empty() && kinds.iter().all(|kind| ledger.version(kind).is_some())
    };
    let lines = ledger.lines().into_iter().filter(|line| is_listed(&line.resource));
    let row = |line: quota::ledger::Line| {
        let (tenant, band) = match &line.owner {
            Owner::Tenant(tenant) => (tenant.to_string(), String::new()),
            Owner::Band(tenant, band) => (tenant.to_string(), band.to_string()),
            Owner::Cohort(cohort) => (format!("cohort:{cohort}"), String::new()),
        };
        let limit = LimitName { tenant, band, resource: line.resource.to_string() };
        UsageRow { at, limit, used: in_units(line.used), bound: in_units(line.bound) }
    };
    lines.map(row).collect()
}

/// The last samples of each limit, thinned: 24 bytes each.
struct History {
    /// The shortest distance of two samples, in seconds.
    interval: i64,
    limits: BTreeMap<LimitName, Held>,
}

/// Samples of one limit, at least `apart` seconds from each other.
struct Held {
    apart: i64,
    samples: Vec<Sample>,
    /// The newest one, whether or not it is among them.
    newest: Sample,
}

impl History {
    fn new(interval: i64) -> Self {
        Self { interval, limits: BTreeMap::new() }
    }

    /// Takes in what was written before the start; a store that cannot be read is told in the log.
    async fn recall(&mut self, store: &std::path::Path, now: i64) {
        let filter = UsageFilter { since: Some(now.saturating_sub(WINDOW)), ..UsageFilter::default() };
        let read = async { AuditReader::open(store).await?.usage(&filter).await };
        match read.await {
            Ok(found) => {
                for (limit, points) in found {
                    for point in points.into_iter().filter(|point| point.at <= now) {
                        let sample = Sample { at: point.at, used: point.used, bound: point.bound };
                        self.add(&limit, sample);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(error = error.to_string(), "how budgets stood before cannot be read");
            }
        }
    }

    /// Takes in how all limits stand; those that are no more are forgotten.
    fn take(&mut self, rows: &[UsageRow]) {
        for row in rows {
            self.add(&row.limit, Sample { at: row.at, used: row.used, bound: row.bound });
        }
        if let Some(at) = rows.first().map(|row| row.at) {
            self.limits.retain(|_, held| held.newest.at >= at);
        } else {
            self.limits.clear();
        }
    }

    fn add(&mut self, limit: &LimitName, sample: Sample) {
        let interval = self.interval;
        match self.limits.get_mut(limit) {
            Some(held) => held.add(sample),
            None => {
                let held = Held { apart: interval, samples: vec![sample], newest: sample };
                self.limits.insert(limit.clone(), held);
            }
        }
    }

    /// Says of every limit when it will be full, where that can be told.
    async fn show(&self, full_in: &FullIn, now: i64) {
        full_in.clear();
        for (limit, held) in &self.limits {
            for (by, seconds) in held.full_in(now) {
                let LimitName { tenant, band, resource } = limit.clone();
                full_in.get_or_create(&FullLabels { tenant, band, resource, by }).set(seconds);
            }
            // A few thousand limits must not keep a thread from requests.
            tokio::task::yield_now().await;
        }
    }
}

impl Held {
    /// Takes in a sample; when there are too many, every second one goes, and new ones come half as often.
    fn add(&mut self, sample: Sample) {
        self.newest = sample;
        let last = self.samples.last().map_or(i64::MIN, |last| last.at);
        // A clock that was set back begins anew.
        if sample.at < last {
            self.samples.clear();
        } else if sample.at.saturating_sub(last) < self.apart {
            return;
        }
        self.samples.push(sample);
        let oldest = sample.at.saturating_sub(WINDOW);
        self.samples.retain(|sample| sample.at >= oldest);
        if self.samples.len() > HELD {
            let mut place = 0_usize;
            self.samples.retain(|_| {
                place = place.saturating_add(1);
                place % 2 == 1
            });
            self.apart = self.apart.saturating_mul(2);
        }
    }

    fn full_in(&self, now: i64) -> Vec<(&'static str, i64)> {
        let mut samples = self.samples.clone();
        if samples.last() != Some(&self.newest) {
            samples.push(self.newest);
        }
        let ahead = |at: i64| at.saturating_sub(now).max(0);
        match forecast(&samples, now, &Options::default()).outlook {
            Outlook::Full => ["earliest", "line", "latest"].map(|by| (by, 0)).to_vec(),
            Outlook::Filling(Filling { earliest, line, latest }) => {
                let all = [("earliest", earliest), ("line", line), ("latest", latest)];
                all.into_iter().filter_map(|(by, at)| Some((by, ahead(at?)))).collect()
            }
            Outlook::Unclear { earliest } => earliest.map(|at| ("earliest", ahead(at))).into_iter().collect(),
            Outlook::NotEnough | Outlook::NotFilling => Vec::new(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::cast_precision_loss, reason = "a test may fail")]
mod tests {
    use super::*;

    const INTERVAL: i64 = 600;
    const NOW: i64 = 1_800_000_000;

    fn limit(tenant: &str) -> LimitName {
        LimitName { tenant: tenant.to_owned(), band: String::new(), resource: "pods".to_owned() }
    }

    fn row(tenant: &str, at: i64, used: f64) -> UsageRow {
        UsageRow { at, limit: limit(tenant), used, bound: 5_000.0 }
    }

    /// One more each interval for some days, until now.
    fn grown(days: i64) -> History {
        let mut history = History::new(INTERVAL);
        let count = days * 86_400 / INTERVAL;
        for number in 0..=count {
            history.take(&[row("physics", NOW - (count - number) * INTERVAL, number as f64)]);
        }
        history
    }

    #[test]
    fn what_is_held_is_bounded_and_evenly_apart() {
        for days in [1, 3, 10, 20, 30] {
            let history = grown(days);
            let held = &history.limits[&limit("physics")];
            assert!((8..=HELD).contains(&held.samples.len()), "{days} days: {}", held.samples.len());
            let apart = held.samples.windows(2).map(|pair| pair[1].at - pair[0].at);
            assert!(apart.max().unwrap() <= 2 * held.apart, "{days} days");
            assert!(held.samples[0].at >= NOW - WINDOW);
        }
    }

    #[tokio::test]
    async fn a_budget_that_fills_says_when_and_others_say_nothing() {
        let history = grown(10);
        let full_in = FullIn::default();
        history.show(&full_in, NOW).await;
        // 1440 of 5000 used, 144 more a day.
        let wanted = (5_000 - 1_440) * INTERVAL;
        for by in ["earliest", "line", "latest"] {
            let labels = FullLabels {
                tenant: "physics".to_owned(),
                band: String::new(),
                resource: "pods".to_owned(),
                by,
            };
            let found = full_in.get(&labels).unwrap().get();
            assert!((found - wanted).abs() < 7_200, "{by}: {found}, not {wanted}");
        }
        let mut still = History::new(INTERVAL);
        (0..100).for_each(|number| still.take(&[row("still", NOW - (100 - number) * INTERVAL, 7.0)]));
        assert_eq!(still.limits[&limit("still")].full_in(NOW), []);
        still.take(&[row("still", NOW, 5_000.0)]);
        assert_eq!(still.limits[&limit("still")].full_in(NOW), [("earliest", 0), ("line", 0), ("latest", 0)]);
    }

    #[test]
    fn limits_that_are_no_more_and_a_clock_set_back_leave_nothing_behind() {
        let mut history = grown(1);
        history.take(&[row("chemistry", NOW + INTERVAL, 1.0)]);
        assert_eq!(history.limits.keys().collect::<Vec<_>>(), [&limit("chemistry")]);
        history.take(&[row("chemistry", NOW - 86_400, 1.0)]);
        assert_eq!(history.limits[&limit("chemistry")].samples.len(), 1);
        history.take(&[]);
        assert!(history.limits.is_empty());
    }
}
