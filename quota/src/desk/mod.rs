//! Where requests get what they need: from the share at once, or by waiting until it has grown.

mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::ledger::{
    Answer, Ask, Consumer, Demand, Draft, Ledger, Line, Mark, Millis, Shares, Short, Ticket,
};
use waiting::State;

/// The ledger of this replica, and the requests that wait for its share to grow.
///
/// A request that the share covers takes what it needs under one lock and waits for nothing. Others queue by domain;
/// whoever writes the shares ([`Desk::work`], [`Desk::settle`]) answers all that fit with one write.
#[derive(Debug)]
pub struct Desk {
    state: Mutex<State>,
    work: Notify,
    news: watch::Sender<u64>,
    suspicions: AtomicU64,
    distrusted: OnceLock<&'static str>,
    renewal: Notify,
    clock: Clock,
    waits: OnceLock<Waits>,
}

/// Who is told how long requests waited.
struct Waits(Box<dyn Fn(Waited, Duration) + Send + Sync>);

impl std::fmt::Debug for Waits {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Waits")
    }
}

/// What came of a request that waited for its replica's share to grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// It got what it needs.
    Taken,
    /// It did not fit, or nobody decides here any more.
    Refused,
    /// It ran out of time.
    Late,
}

/// What has happened at the desk, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Requests that the share covered.
    pub at_once: u64,
    /// Requests that had to wait for the share to grow.
    pub waited: u64,
    /// Requests that did not fit.
    pub refused: u64,
    /// Requests that ran out of time.
    pub late: u64,
    /// How often what is known of a kind was held against a list.
    pub checks: u64,
    /// Objects that were not known as they are.
    pub drift: u64,
    /// Writes of shares.
    pub written: u64,
    /// Writes of shares before which another one came.
    pub lost: u64,
}

/// Why a request got nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A limit would be passed.
    Full(Box<Full>),
    /// The shares could not be written, or the caches could not catch up, in time.
    Late,
    /// This replica has not renewed its lease: others may have taken what it held.
    Fenced,
}

/// A limit that would be passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// What did not fit.
    pub short: Short,
    /// How the limit stands.
    pub line: Line,
    /// What takes the most of it in the tenant that asks.
    pub consumers: Vec<Consumer>,
}

impl Desk {
    /// A desk over an empty ledger.
    pub fn new(ledger: Ledger) -> Self {
        let state = State { ledger, waiting: BTreeMap::new(), last: 0, counts: Counts::default() };
        Self {
            state: Mutex::new(state),
            work: Notify::new(),
            news: watch::Sender::new(0),
            suspicions: AtomicU64::new(0),
            distrusted: OnceLock::new(),
            renewal: Notify::new(),
            clock: Clock::new(),
            waits: OnceLock::new(),
        }
    }

    /// Has every wait told, once it is over; the first who asks for that is told.
    pub fn observe_waits(&self, observe: impl Fn(Waited, Duration) + Send + Sync + 'static) {
        let _first = self.waits.set(Waits(Box::new(observe)));
    }

    /// The ledger's clock, which goes on while the machine sleeps.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// When so much time has passed on the ledger's clock.
    pub fn after(&self, time: Duration) -> Millis {
        self.now().saturating_add(millis(time))
    }

    /// Takes what a request needs, waiting until the deadline at most; a dry run takes nothing.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn take(&self, ask: Ask, dry_run: bool, deadline: Instant) -> Result<Option<Ticket>, Refused> {
        let answered = {
            let mut state = self.lock();
            let now = self.now();
            match state.ledger.reserve(&ask, dry_run, now) {
                Answer::Free => return Ok(None),
                Answer::Taken(ticket) => {
                    state.counts.at_once = state.counts.at_once.saturating_add(1);
                    return Ok((!dry_run).then_some(ticket));
                }
                Answer::Fenced => return Err(Refused::Fenced),
                Answer::Short(domain, amounts) if dry_run => {
                    return state.would_fit(&domain, &ask, amounts, now);
                }
                Answer::Short(domain, amounts) => state.queue(&domain, ask, amounts),
            }
        };
        let began = Instant::now();
        self.work.notify_one();
        let (waited, answer) = match tokio::time::timeout_at(deadline.into(), answered).await {
            Ok(Ok(Ok(ticket))) => (Waited::Taken, Ok(ticket)),
            Ok(Ok(Err(refused))) => (Waited::Refused, Err(refused)),
            // The sender is gone only with the desk.
            Ok(Err(_)) | Err(_) => {
                let mut state = self.lock();
                state.counts.late = state.counts.late.saturating_add(1);
                (Waited::Late, Err(Refused::Late))
            }
        };
        if let Some(Waits(observe)) = self.waits.get() {
            observe(waited, began.elapsed());
        }
        answer
    }

    /// Gives back what a request took that was refused after all.
    pub fn give_back(&self, ticket: &Ticket) {
        self.change(|ledger| ledger.release(ticket));
    }

    /// Reads the ledger.
    pub fn read<T>(&self, read: impl FnOnce(&Ledger) -> T) -> T {
        read(&self.lock().ledger)
    }

    /// Changes the ledger, and has those that wait looked at again.
    pub fn change<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let (changed, wakes) = {
            let mut state = self.lock();
            let changed = change(&mut state.ledger);
            (changed, !state.waiting.is_empty())
        };
        if wakes {
            self.news.send_modify(|news| *news = news.wrapping_add(1));
        }
        changed
    }

    /// Has the shares looked at: one may owe something.
    pub fn nudge(&self) {
        self.work.notify_one();
        self.news.send_modify(|news| *news = news.wrapping_add(1));
    }

    /// Lets nothing more through until the replica's lease was renewed once again: the API server went away, and what is
    /// known here may be of another past than what it has when it is back.
    pub fn suspect(&self) {
        self.suspicions.fetch_add(1, Ordering::AcqRel);
        self.change(Ledger::doubt);
        self.nudge();
        self.renewal.notify_one();
    }

    /// Takes in how the shares of a domain are persisted; see [`Ledger::observe`].
    pub fn observe(&self, domain: &Arc<str>, persisted: Option<(Shares, u64)>, read: bool) {
        if self.change(|ledger| ledger.observe(domain, persisted, read)) {
            self.distrust("its shares are older than what this replica has written");
        }
    }

    /// The same for a read that began at this mark; see [`Ledger::mark`].
    pub fn observe_since(&self, domain: &Arc<str>, persisted: Option<(Shares, u64)>, since: Mark) {
        if self.change(|ledger| ledger.observe_since(domain, persisted, true, since)) {
            self.distrust("its shares are older than what this replica has written");
        }
    }

    /// Lets nothing more through, for good: the cluster's store was restored to a past that this replica does not know.
    pub fn distrust(&self, why: &'static str) {
        self.change(Ledger::distrust);
        // The first reason is kept.
        let _known = self.distrusted.set(why);
        self.renewal.notify_one();
    }

    /// By what that was seen, if it was.
    pub fn distrusted(&self) -> Option<&'static str> {
        self.distrusted.get().copied()
    }

    /// Waits for a suspicion.
    pub async fn suspected(&self) {
        self.renewal.notified().await;
    }

    /// How many suspicions there were.
    pub fn suspicions(&self) -> u64 {
        self.suspicions.load(Ordering::Acquire)
    }

    /// Lets the replica decide until then, by a renewal that began when there were so many suspicions; not where there
    /// are more now.
    pub fn renewed(&self, until: Millis, suspicions: u64) -> bool {
        let mut state = self.lock();
        let holds = self.suspicions() == suspicions && self.distrusted().is_none();
        if holds {
            state.ledger.set_fence(until);
        }
        holds
    }

    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Notes that what is known of a kind was held against a list, and how many objects were not known as they are.
    pub fn checked(&self, drift: usize) {
        let mut state = self.lock();
        state.counts.checks = state.counts.checks.saturating_add(1);
        state.counts.drift = state.counts.drift.saturating_add(u64::try_from(drift).unwrap_or(u64::MAX));
    }

    /// Waits until some domain's shares may have to be written.
    pub async fn work(&self) {
        self.work.notified().await;
    }

    /// Whenever the ledger changes while somebody waits.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// The domains for which requests wait.
    pub fn waited_for(&self) -> BTreeSet<Arc<str>> {
        self.lock().waiting.keys().cloned().collect()
    }

    /// The domains that this replica owes a write of; see [`Ledger::owing`].
    pub fn owing(&self, busy: &BTreeSet<Arc<str>>) -> BTreeSet<Arc<str>> {
        self.lock().ledger.owing(busy)
    }

    /// How the shares of a domain should be, for the requests that wait; `None` where it is not known how they are.
    pub fn draft(&self, domain: &Arc<str>, gone: &BTreeSet<Arc<str>>) -> Option<Draft> {
        let mut state = self.lock();
        let now = self.now();
        let waiting = state.waiting.get_mut(domain);
        let demands: Vec<Demand> = waiting
            .into_iter()
            .flat_map(|waiting| {
                // Whoever does not wait any more gets nothing.
                waiting.retain(|waiting| !waiting.answer.is_closed());
                waiting.iter().map(|waiting| waiting.demand.clone())
            })
            .collect();
        let draft = state.ledger.draft(domain, &demands, gone, now)?;
        if draft.changed {
            state.ledger.writing(&draft);
        }
        Some(draft)
    }

    /// Takes in that a draft is in force, at this version where it was written, and answers those that wait: what
    /// fits is taken, what does not is refused once nothing can change that soon.
    pub fn settle(&self, draft: &Draft, written: Option<u64>) {
        let mut state = self.lock();
        match written {
            Some(version) => {
                state.counts.written = state.counts.written.saturating_add(1);
                state.ledger.wrote(draft, version);
            }
            None => state.ledger.confirm(draft),
        }
        let now = self.now();
        state.answer(draft, now);
    }

    /// Takes in that a draft was not written, because another write came first.
    pub fn lost(&self, draft: &Draft) {
        let mut state = self.lock();
        state.counts.lost = state.counts.lost.saturating_add(1);
        state.ledger.lost(draft);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A time on the ledger's clock.
pub fn millis(time: Duration) -> Millis {
    u64::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}
