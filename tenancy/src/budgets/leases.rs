//! Which replicas are alive: each renews a lease of its own, and gives nothing from its share when it cannot.
//!
//! A renewal has a newer version than the one before, or the cluster's store was restored to an older state. Watches do
//! not notice that: they wait for versions that are to come. Then nothing this process knows can be relied on, and it
//! ends, to begin anew under another name. So it does when it could not renew its lease for so long that others may have
//! taken its share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use quota::desk::{Desk, millis};
use quota::ledger::{Kind, Ledger, Millis};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::shares::Gone;
use super::source::newest;
use crate::cluster::api_message;

/// The namespace of the leases.
const NAMESPACE: &str = "bailey-system";
/// What the leases' names begin with; the replica's name follows.
const PREFIX: &str = "bailey-quota-";
/// The label of the leases.
const LABEL: &str = "bailey.dev/quota-holder";
/// How often a lease is renewed.
const RENEW: Duration = Duration::from_secs(3);
/// How soon a renewal that failed is tried again.
const AGAIN: Duration = Duration::from_millis(300);
/// How long a replica decides after the start of its last renewal.
const VALID: Duration = Duration::from_secs(15);
/// How long a lease must have stood still for its replica's last request to have ended: it was valid, a request takes
/// the API server 34 s at most, and no two clocks run equally fast.
const GONE: Duration = Duration::from_secs(60);
/// How long after a renewal began the next one has to be answered: well before others may think the replica gone, since
/// afterwards what it held may be somebody else's.
const LAPSED: Duration = Duration::from_secs(45);
/// How long a lease of a replica that is gone is kept.
const KEEP: Duration = Duration::from_secs(600);

pub(super) struct Leases {
    client: Client,
    desk: Arc<Desk>,
    gone: watch::Sender<Gone>,
    renewed: watch::Sender<bool>,
    /// The version of the last renewal, and when it began.
    last: u64,
    since: Option<Millis>,
    seen: BTreeMap<Arc<str>, Holder>,
}

/// What is known of another replica.
struct Holder {
    version: String,
    /// While this machine sleeps it sees nothing stand still.
    since: Instant,
    /// What the caches must have reached to have seen its last objects; `None` while it may be alive.
    last: Option<BTreeMap<Arc<Kind>, u64>>,
}

impl Leases {
    pub(super) fn new(
        client: Client,
        desk: Arc<Desk>,
        gone: watch::Sender<Gone>,
        renewed: watch::Sender<bool>,
    ) -> Self {
        Self { client, desk, gone, renewed, last: 0, since: None, seen: BTreeMap::new() }
    }

    /// Ends where the cluster's store is older than it was.
    pub(super) async fn run(mut self) {
        let mut ticks = interval(RENEW);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.desk.suspected() => {}
            }
            let began = self.desk.now();
            let renewal = self.renew().await;
            let lapsed = |since: Millis| self.desk.now().saturating_sub(since) > millis(LAPSED);
            if renewal.is_ok() && self.since.is_some_and(lapsed) {
                self.desk.distrust("its lease lapsed for so long that others may have taken what it held");
            }
            if renewal.as_ref().is_ok_and(|version| *version < self.last) {
                self.desk.distrust("the lease has an older version than before");
            }
            if let Some(why) = self.desk.distrusted() {
                tracing::error!(why, "what this replica knows cannot be relied on any more: it begins anew");
                return;
            }
            match renewal {
                Ok(version) => {
                    (self.last, self.since) = (version, Some(began));
                    self.renewed.send_replace(true);
                }
                Err(error) => {
                    tracing::warn!(error, "the lease of this replica cannot be renewed");
                    ticks.reset_after(AGAIN);
                    continue;
                }
            }
            if let Err(error) = self.look().await {
                tracing::warn!(error = api_message(&error), "leases of other replicas cannot be read");
            }
        }
    }

    /// Renews the lease; gives its version.
    async fn renew(&self) -> Result<u64, String> {
        let (until, suspicions) = (self.desk.after(VALID), self.desk.suspicions());
        let me = self.desk.read(|ledger| Arc::clone(ledger.me()));
        let api: Api<Lease> = Api::namespaced(self.client.clone(), NAMESPACE);
        let now = OffsetDateTime::now_utc();
        // MicroTime has six digits, always.
        let now = now.replace_nanosecond(now.microsecond().saturating_mul(1_000).max(1_000)).unwrap_or(now);
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": format!("{PREFIX}{me}"), "labels": {LABEL: &*me}},
            "spec": {
                "holderIdentity": &*me,
                "leaseDurationSeconds": VALID.as_secs(),
                "renewTime": micro_time(now),
            },
        });
        let parameters = PatchParams::apply("bailey").force();
        let (name, patch) = (format!("{PREFIX}{me}"), Patch::Apply(&lease));
        let renewal = tokio::time::timeout(RENEW, api.patch(&name, &parameters, &patch)).await;
        let renewal = renewal.map_err(|_| "the API server did not answer in time".to_owned())?;
        let lease = renewal.map_err(|error| api_message(&error))?;
        let version = lease.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default();
        if version < self.last {
            return Ok(version);
        }
        // Where the API server went away meanwhile, this renewal says nothing of what it is now.
        let _suspected = self.desk.renewed(until, suspicions);
        Ok(version)
    }

    /// Finds holders that are gone: their lease stands still, and the caches have everything they may have let in.
    async fn look(&mut self) -> kube::Result<()> {
        let now = Instant::now();
        let api: Api<Lease> = Api::namespaced(self.client.clone(), NAMESPACE);
        let leases = api.list_metadata(&ListParams::default().labels(LABEL)).await?;
        let versions: BTreeMap<String, String> = leases
            .iter()
            .filter_map(|lease| {
                let holder = lease.name_any().strip_prefix(PREFIX)?.to_owned();
                Some((holder, lease.resource_version().unwrap_or_default()))
            })
            .collect();
        let (me, mut holders) = self.desk.read(|ledger| (Arc::clone(ledger.me()), ledger.holders()));
        holders.extend(versions.keys().map(|holder| Arc::from(holder.as_str())));
        holders.remove(&me);
        self.seen.retain(|holder, _| holders.contains(holder));
        for holder in holders {
            let version = versions.get(holder.as_ref()).cloned().unwrap_or_default();
            let seen = self.seen.entry(holder).or_insert_with(|| Holder {
                version: version.clone(),
                since: now,
                last: None,
            });
            if seen.version != version {
                *seen = Holder { version, since: now, last: None };
            }
        }
        self.bury(now).await?;
        for (holder, seen) in &self.seen {
            if seen.since.elapsed() > KEEP && versions.contains_key(holder.as_ref()) {
                // Another replica may have done it.
                let _absent = api.delete(&format!("{PREFIX}{holder}"), &DeleteParams::default()).await;
            }
        }
        Ok(())
    }

    async fn bury(&mut self, now: Instant) -> kube::Result<()> {
        let still = |holder: &Holder| now.saturating_duration_since(holder.since) > GONE;
        if self.seen.values().any(|holder| still(holder) && holder.last.is_none()) {
            let kinds = self.desk.read(Ledger::counted);
            let last = newest(&self.client, &kinds).await?;
            for holder in self.seen.values_mut().filter(|holder| still(holder) && holder.last.is_none()) {
                holder.last = Some(last.clone());
            }
        }
        let gone: BTreeSet<Arc<str>> = self.desk.read(|ledger| {
            let reached = |last: &BTreeMap<Arc<Kind>, u64>| {
                last.iter().all(|(kind, version)| ledger.version(kind).is_some_and(|known| known >= *version))
            };
            let buried = self.seen.iter().filter(|(_, holder)| holder.last.as_ref().is_some_and(reached));
            buried.map(|(name, _)| Arc::clone(name)).collect()
        });
        if gone != **self.gone.borrow() {
            self.gone.send_replace(Arc::new(gone));
            self.desk.nudge();
        }
        Ok(())
    }
}

/// A time as Kubernetes writes MicroTime.
fn micro_time(time: OffsetDateTime) -> String {
    let text = time.format(&Rfc3339).unwrap_or_default();
    let (seconds, fraction) =
        text.trim_end_matches('Z').split_once('.').unwrap_or((text.trim_end_matches('Z'), ""));
    format!("{seconds}.{fraction:0<6}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_micro_time_has_six_digits() {
        let time = OffsetDateTime::from_unix_timestamp(0).unwrap();
        assert_eq!(micro_time(time), "1970-01-01T00:00:00.000000Z");
        assert_eq!(micro_time(time.replace_microsecond(120_000).unwrap()), "1970-01-01T00:00:00.120000Z");
    }
}
