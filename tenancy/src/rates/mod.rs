//! The rates of tenants over all replicas: what this one may let pass, kept in a RateLedger.
//!
//! Every [`ROUND`] a replica reads the ledger, and writes where its part or what it is asked for changes, or a third of its
//! lease is over. What it writes, and why the parts never sum to more than a rate, is in [`fairness::rates::shares`].

mod busiest;
mod told;
mod uses;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fairness::rates::shares::{Demands, Draft, Key, Replica, Terms, WHOLE};
use fairness::rates::{Class, Limit, Nanos, Rate, Rates, Start, Timed};
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use quota::clock::Clock;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use uuid::Uuid;

use crate::api::rate_ledger::{RateLedger, RateLedgerSpec};
use crate::cluster::api_message;
use crate::tasks::{Task, Tasks};
pub(crate) use busiest::MOST as MOST_BUSY;
use busiest::Since;
pub use busiest::{Load, Loads};
pub use told::{Busiest, Rest, TenantUse, Top};
pub use uses::UseReader;

/// How often the ledger is looked at.
const ROUND: Duration = Duration::from_secs(2);
/// How often a write is tried in a round that another one forestalled.
const ATTEMPTS: usize = 8;
/// How long a replica that has nothing yet is not ready: others give it its part within two rounds, or are gone.
const PATIENCE: Nanos = 5_000_000_000;
/// How long parts last.
const TERMS: Terms = Terms { lease: 15_000_000_000, gone: 20_000_000_000 };

/// The rate of a tenant for a class of requests, over all replicas.
pub type LimitOf = Arc<dyn Fn(&str, Class) -> Option<Limit> + Send + Sync>;

/// How this replica stands among those that share rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// How many replicas there are.
    pub replicas: usize,
    /// This one's part of what is not named, in millionths.
    pub share: u64,
    /// How many rates are named.
    pub named: usize,
    /// Until when it may use its part, on the clock of [`Timed`].
    pub until: Nanos,
    /// How many writes took place.
    pub written: u64,
    /// How many another replica forestalled.
    pub lost: u64,
    /// How many rounds failed.
    pub failed: u64,
}

/// The rates of this replica, kept while this lives.
pub struct RateShares {
    /// What may pass.
    pub rates: Timed,
    /// Whether this replica has its part, or did not get one for long enough.
    pub ready: watch::Receiver<bool>,
    /// How it stands.
    pub standing: watch::Receiver<Standing>,
    loads: Arc<OnceLock<Loads>>,
    leave: watch::Sender<bool>,
    left: watch::Receiver<bool>,
    _task: Task,
}

impl fmt::Debug for RateShares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateShares").field("standing", &*self.standing.borrow()).finish_non_exhaustive()
    }
}

impl RateShares {
    /// Says what tenants do beside their rates, for whoever reads the ledger. Only the first call counts.
    pub fn tell(&self, loads: Loads) {
        let _first = self.loads.set(loads).is_ok();
    }

    /// Gives this replica's part to the others: nothing that has a rate passes here any more.
    pub async fn leave(&self) {
        self.leave.send_replace(true);
        let mut left = self.left.clone();
        let _left = left.wait_for(|left| *left).await.is_ok();
    }
}

/// Starts sharing rates with all who name the same ledger.
pub(crate) fn start(client: Client, ledger: &str, limit: LimitOf, tasks: &Tasks) -> RateShares {
    let clock = Clock::new();
    let rates = Timed::new(Rates::shared(), move || clock.nanos());
    let (ready, standing) = (watch::Sender::new(false), watch::Sender::default());
    let (leave, left) = (watch::Sender::new(false), watch::Sender::new(false));
    let loads = Arc::new(OnceLock::new());
    let sharing = Sharing {
        api: Api::all(client),
        ledger: ledger.to_owned(),
        // A process that starts again is another one: what the former let pass is not known to it.
        replica: Replica::new(&Uuid::now_v7().simple().to_string(), TERMS),
        measured: rates.now(),
        rates: rates.clone(),
        demands: Demands::default(),
        since: Since::default(),
        loads: Arc::clone(&loads),
        limit,
        joined: None,
        newest: 0,
        restored: false,
        ready: ready.clone(),
        standing: standing.clone(),
    };
    let all = (leave.subscribe(), left.subscribe());
    let task = tasks.spawn("shares of rates", sharing.run(all.0, left));
    RateShares {
        rates,
        ready: ready.subscribe(),
        standing: standing.subscribe(),
        loads,
        leave,
        left: all.1,
        _task: task,
    }
}

struct Sharing {
    api: Api<RateLedger>,
    ledger: String,
    replica: Replica,
    rates: Timed,
    /// Until when what is asked for was measured.
    measured: Nanos,
    demands: Demands,
    since: Since,
    loads: Arc<OnceLock<Loads>>,
    limit: LimitOf,
    /// When this replica was first among those of the ledger.
    joined: Option<Nanos>,
    /// The newest version of the ledger that was read or written.
    newest: u64,
    /// Whether an older one was read after that: the cluster's store was restored from a backup.
    restored: bool,
    ready: watch::Sender<bool>,
    standing: watch::Sender<Standing>,
}

/// The ledger as it was read.
#[derive(Default)]
struct Read {
    /// Its version; `None` where it is not there.
    version: Option<String>,
    spec: RateLedgerSpec,
}

/// What came of a write.
enum Outcome {
    Written,
    /// Another write came first.
    Lost,
    Unknown(String),
}

impl Sharing {
    async fn run(mut self, mut leave: watch::Receiver<bool>, left: watch::Sender<bool>) {
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = rounds.tick() => {}
                _ = leave.wait_for(|leave| *leave) => break,
            }
            let round = self.round().await;
            if self.restored {
                // What was decided and read meanwhile is of a past that is no more: the process ends with this task.
                tracing::error!(
                    ledger = self.ledger,
                    "the API server's store was set back to an older state"
                );
                return;
            }
            if let Err(error) = round {
                self.standing.send_modify(|standing| standing.failed = standing.failed.saturating_add(1));
                tracing::warn!(ledger = self.ledger, error, "the ledger of rates cannot be kept");
            }
        }
        if let Err(error) = self.leave().await {
            tracing::warn!(
                ledger = self.ledger,
                error,
                "this replica's part of the rates stays until its lease is over"
            );
        }
        left.send_replace(true);
        std::future::pending().await
    }

    async fn round(&mut self) -> Result<(), String> {
        let demands = self.measure();
        for _attempt in 0..ATTEMPTS {
            let read = self.read().await?;
            let (now, limit) = (self.rates.now(), Arc::clone(&self.limit));
            let draft = self
                .replica
                .draft(now, &read.spec.to_ledger(), &demands, |(tenant, class)| limit(tenant, *class));
            self.hold(Start::Empty);
            if !draft.changed && !self.replica.is_due(now) {
                self.stand(&draft, now);
                return Ok(());
            }
            let loads = self.loads.get().map(|loads| loads()).unwrap_or_default();
            let told = self.since.told(now, &loads);
            match self.write(read.version, read.spec.with(&draft.ledger, self.replica.name(), told)).await {
                Outcome::Written => {
                    self.since.restart(now, &loads);
                    self.replica.wrote(&draft);
                    self.hold(if draft.first { Start::Full } else { Start::Empty });
                    self.standing
                        .send_modify(|standing| standing.written = standing.written.saturating_add(1));
                    self.stand(&draft, now);
                    return Ok(());
                }
                Outcome::Lost => {
                    self.standing.send_modify(|standing| standing.lost = standing.lost.saturating_add(1));
                }
                Outcome::Unknown(why) => return Err(why),
            }
        }
        Err("others wrote it each time before this replica could, or it is not served".to_owned())
    }

    /// What was asked for since the last round.
    fn measure(&mut self) -> BTreeMap<Key, Rate> {
        let now = self.rates.now();
        let time = now.saturating_sub(self.measured);
        self.measured = now;
        let (uses, limit) = (self.rates.take_uses(), &self.limit);
        uses.iter().for_each(|(key, used)| self.since.add(key, *used));
        self.demands.update(time, uses.iter().map(|(key, used)| (key, *used)), |(tenant, class)| {
            limit(tenant, *class)
        })
    }

    fn hold(&self, start: Start) {
        self.rates.hold(self.rates.now(), self.replica.held(), self.replica.until(), start);
    }

    fn stand(&mut self, draft: &Draft, now: Nanos) {
        let base = self.replica.held().base();
        let joined = *self.joined.get_or_insert(now);
        self.standing.send_modify(|standing| {
            standing.replicas = draft.ledger.len();
            let millionths = u64::from(base).saturating_mul(1_000_000);
            standing.share = millionths.checked_div(WHOLE.into()).unwrap_or_default();
            standing.named = draft.ledger.get(self.replica.name()).map_or(0, |member| member.parts.len());
            standing.until = self.replica.until();
        });
        if base > 0 || now.saturating_sub(joined) >= PATIENCE {
            self.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
        }
    }

    async fn read(&mut self) -> Result<Read, String> {
        let object = timeout(ROUND, self.api.get_opt(&self.ledger)).await.map_err(|_| late())?;
        let object = object.map_err(|error| api_message(&error))?;
        let version = object.as_ref().and_then(version_of);
        self.restored |= version.is_some_and(|version| version < self.newest);
        self.newest = self.newest.max(version.unwrap_or_default());
        Ok(object.map_or_else(Read::default, |object| Read {
            version: object.resource_version(),
            spec: object.spec,
        }))
    }

    async fn write(&mut self, version: Option<String>, spec: RateLedgerSpec) -> Outcome {
        let mut object = RateLedger::new(&self.ledger, spec);
        object.metadata.resource_version = version;
        let parameters = PostParams::default();
        let written = async {
            if object.metadata.resource_version.is_some() {
                self.api.replace(&self.ledger, &parameters, &object).await
            } else {
                self.api.create(&parameters, &object).await
            }
        };
        match timeout(ROUND, written).await {
            Ok(Ok(written)) => {
                self.newest = self.newest.max(version_of(&written).unwrap_or_default());
                Outcome::Written
            }
            Ok(Err(kube::Error::Api(status))) if status.code == 409 || status.code == 404 => Outcome::Lost,
            Ok(Err(error)) => Outcome::Unknown(api_message(&error)),
            Err(_) => Outcome::Unknown(late()),
        }
    }

    /// Nothing passes here before others may use it.
    async fn leave(&mut self) -> Result<(), String> {
        for _attempt in 0..ATTEMPTS {
            let read = self.read().await?;
            let ledger = self.replica.leave(&read.spec.to_ledger());
            self.hold(Start::Empty);
            let spec = read.spec.with(&ledger, self.replica.name(), (Vec::new(), None));
            match self.write(read.version, spec).await {
                Outcome::Written => return Ok(()),
                Outcome::Lost => {}
                Outcome::Unknown(why) => return Err(why),
            }
        }
        Err("others wrote it each time before this replica could".to_owned())
    }
}

fn version_of(ledger: &RateLedger) -> Option<u64> {
    ledger.resource_version()?.parse().ok()
}

fn late() -> String {
    "the API server did not answer in time".to_owned()
}
