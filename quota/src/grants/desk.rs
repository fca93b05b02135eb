//! Where requests wait until the namespace that they write into is granted what they need.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::{Enforced, TenantIndex};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::book::{Book, Counts, UnderWay, charged};
use super::{CountGuard, Counted, Pool, Quota, Record, Situation, Step, Verdict, plan};
use crate::ledger::{Ask, Place};

/// How often a request that waits looks again where it hears nothing.
const LOOK: Duration = Duration::from_millis(20);

/// What this replica knows of all pools, and who waits for grants.
///
/// What it keeps of requests under way only decides who waits: that grants fit the budget does not depend on it.
#[derive(Debug)]
pub struct GrantDesk {
    state: Mutex<State>,
    work: Notify,
    news: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    books: BTreeMap<Arc<str>, Book>,
    /// The pools of each namespace.
    homes: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    counts: Counts,
    guard: CountGuard,
    last: u64,
    /// The pools for which something may have to be done.
    due: BTreeSet<Arc<str>>,
    /// Whether quotas, records and pools are known: until then nothing is planned.
    known: bool,
}

/// The namespace was not granted what a request needs in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// The pool.
    pub pool: Arc<str>,
    /// The resource.
    pub resource: Arc<str>,
}

impl Default for GrantDesk {
    fn default() -> Self {
        Self { state: Mutex::default(), work: Notify::new(), news: watch::Sender::new(0) }
    }
}

impl GrantDesk {
    /// Waits until the quotas of a namespace have room for what a request needs, until the deadline at most.
    ///
    /// # Errors
    /// [`Late`] where they have not by then.
    pub async fn wait(&self, ask: &Ask, dry_run: bool, deadline: Instant) -> Result<(), Late> {
        let mut news = self.news.subscribe();
        let mut waits: Option<Waits<'_>> = None;
        loop {
            let short = {
                let mut state = self.lock();
                match state.admit(ask, dry_run, Instant::now()) {
                    Ok(false) => return Ok(()),
                    Ok(true) => {
                        let counts = &mut state.counts;
                        let counter = if waits.is_some() { &mut counts.waited } else { &mut counts.at_once };
                        *counter = counter.saturating_add(1);
                        return Ok(());
                    }
                    Err(short) => {
                        if waits.is_none() {
                            waits = Some(Waits { desk: self, id: state.queue(ask) });
                        }
                        short
                    }
                }
            };
            self.work.notify_one();
            // Without news, time alone may have ended what is under way.
            let _quiet = tokio::time::timeout_at(deadline.into(), timeout(LOOK, news.changed())).await;
            if Instant::now() >= deadline {
                let mut state = self.lock();
                state.counts.late = state.counts.late.saturating_add(1);
                return Err(short);
            }
        }
    }

    /// Takes in which pools there are.
    pub fn set_pools(&self, pools: BTreeMap<Arc<str>, Pool>) {
        self.change(|state| {
            for (name, book) in &mut state.books {
                if !pools.contains_key(name) {
                    book.pool = None;
                }
            }
            state.homes.clear();
            for (name, pool) in pools {
                for namespace in pool.members.keys() {
                    state.homes.entry(Arc::clone(namespace)).or_default().push(Arc::clone(&name));
                }
                state.books.entry(name).or_default().pool = Some(pool);
            }
            state.books.retain(|_, book| !book.is_empty());
            state.due = state.books.keys().cloned().collect();
        });
    }

    /// Takes in that quotas, records and pools are listed: what is not known is not there.
    pub fn set_known(&self) {
        self.change(|state| {
            state.known = true;
            state.due = state.books.keys().cloned().collect();
        });
    }

    /// Takes in a quota of a pool, new or changed. What is older than what is known is not heard.
    /// `watched` says that the watch told it, and not the answer to a write.
    pub fn observe_quota(&self, pool: &str, namespace: &str, quota: Quota, watched: bool) {
        self.change(|state| {
            state.due.insert(pool.into());
            let book = state.books.entry(pool.into()).or_default();
            if book.gone.contains(&quota.uid) {
                return;
            }
            if watched {
                book.usable.entry(namespace.into()).or_default().watched(&quota.status, Instant::now());
            }
            let before = book.quotas.get(namespace);
            if before.is_some_and(|known| known.version >= quota.version) {
                return;
            }
            if let Some(known) = before.filter(|known| known.uid != quota.uid) {
                let uid = Arc::clone(&known.uid);
                book.note_gone(uid);
            }
            if let Some(known) = book.quotas.get(namespace) {
                let charged = charged(&known.used, &quota.used);
                book.charge(namespace, charged);
            }
            book.quotas.insert(namespace.into(), quota);
        });
    }

    /// Takes in that a quota is gone for good.
    pub fn quota_gone(&self, pool: &str, namespace: &str, uid: &str) {
        self.change(|state| {
            state.due.insert(pool.into());
            let book = state.books.entry(pool.into()).or_default();
            if book.quotas.get(namespace).is_some_and(|known| known.uid.as_ref() == uid) {
                book.quotas.remove(namespace);
                book.usable.remove(namespace);
            }
            book.note_gone(uid.into());
            state.books.retain(|_, book| !book.is_empty());
        });
    }

    /// Takes in every quota there was at a version, by pool and namespace: others that are not newer are gone.
    pub fn replace_quotas(&self, version: u64, all: Vec<(Arc<str>, Arc<str>, Quota)>) {
        let listed: BTreeSet<Arc<str>> = all.iter().map(|(_, _, quota)| Arc::clone(&quota.uid)).collect();
        for (pool, namespace, quota) in all {
            self.observe_quota(&pool, &namespace, quota, true);
        }
        let mut absent = Vec::new();
        for (pool, book) in &self.lock().books {
            for (namespace, quota) in &book.quotas {
                if quota.version <= version && !listed.contains(&quota.uid) {
                    absent.push((Arc::clone(pool), Arc::clone(namespace), Arc::clone(&quota.uid)));
                }
            }
        }
        for (pool, namespace, uid) in absent {
            self.quota_gone(&pool, &namespace, &uid);
        }
    }

    /// Takes in a pool's record at a version; `None` where there is none. `exact` says that it was just read or written:
    /// an older version counts then too.
    pub fn observe_record(&self, pool: &str, record: Option<(Record, u64)>, exact: bool) {
        self.change(|state| {
            state.due.insert(pool.into());
            let book = state.books.entry(pool.into()).or_default();
            let known = book.record.as_ref().map_or(0, |(_, version)| *version);
            if exact || record.as_ref().is_none_or(|(_, version)| *version > known) {
                book.record = record;
            }
            state.books.retain(|_, book| !book.is_empty());
        });
    }

    /// The pools of which a record is known.
    pub fn records(&self) -> BTreeSet<Arc<str>> {
        let state = self.lock();
        let known = state.books.iter().filter(|(_, book)| book.record.is_some());
        known.map(|(name, _)| Arc::clone(name)).collect()
    }

    /// What can be done for a pool now, with the version of the record that it was made from.
    pub fn plan(&self, pool: &str, tidy: bool) -> (Vec<Step>, Option<u64>) {
        let mut state = self.lock();
        let known = state.known;
        let Some(book) = state.books.get_mut(pool).filter(|_| known) else { return (Vec::new(), None) };
        let needs = book.needs(Instant::now());
        let none = BTreeMap::new();
        let situation = Situation {
            budget: book.pool.as_ref().map(|pool| &pool.budget).filter(|budget| !budget.is_empty()),
            counted: book.pool.as_ref().map_or(&Counted::All, |pool| &pool.counted),
            first: first_turn(),
            members: book.pool.as_ref().map_or(&none, |pool| &pool.members),
            record: book.record.as_ref().map(|(record, _)| record),
            quotas: &book.quotas,
            gone: &book.gone,
            needs: &needs,
            tidy,
        };
        (plan(&situation), book.record.as_ref().map(|(_, version)| *version))
    }

    /// The pools for which something may have to be done since the last call.
    pub fn due(&self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut self.lock().due)
    }

    /// Whether requests wait for grants of a pool.
    pub fn is_waited_for(&self, pool: &str) -> bool {
        self.lock().books.get(pool).is_some_and(|book| !book.waiting.is_empty())
    }

    /// The places for which requests wait for grants of a pool: nothing was charged for them yet.
    pub fn waiting(&self, pool: &str) -> BTreeSet<Place> {
        let state = self.lock();
        let book = state.books.get(pool);
        book.into_iter().flat_map(|book| book.waiting.values()).map(|(place, _)| place.clone()).collect()
    }

    /// A pool; `None` where it is not known, or to be dissolved.
    pub fn pool(&self, name: &str) -> Option<Pool> {
        self.lock().books.get(name)?.pool.clone()
    }

    /// The names of all pools, those that are to be dissolved among them.
    pub fn names(&self) -> BTreeSet<Arc<str>> {
        self.lock().books.keys().cloned().collect()
    }

    /// The quota of a namespace, as it is known.
    pub fn quota(&self, pool: &str, namespace: &str) -> Option<Quota> {
        self.lock().books.get(pool)?.quotas.get(namespace).cloned()
    }

    /// The pools that a tenant has, with how many of their namespaces have no quota that stands, and how many there are.
    pub fn standing(&self, tenant: &str) -> Option<(usize, usize)> {
        let state = self.lock();
        // The names of its bands begin with its own.
        let from = state.books.range(Arc::from(tenant)..);
        let books = from.take_while(|(name, _)| name.starts_with(tenant)).map(|(_, book)| book);
        let pools = books.filter_map(|book| Some((book.pool.as_ref()?, book)));
        let mut its = pools.filter(|(pool, _)| pool.tenant.as_ref() == tenant).peekable();
        its.peek()?;
        let counts = its.map(|(pool, book)| {
            let living = pool.members.iter().filter(|(_, goes)| !**goes);
            let (all, missing): (Vec<_>, Vec<_>) = living.map(|(name, _)| ((), !book.stands(name))).unzip();
            (missing.into_iter().filter(|missing| *missing).count(), all.len())
        });
        Some(counts.fold((0, 0), |sum, one| (sum.0.max(one.0), sum.1.max(one.1))))
    }

    /// The namespaces of these tenants in which a quota is to hold a budget and does not yet.
    pub fn unsettled(&self, index: &TenantIndex) -> BTreeSet<String> {
        let state = self.lock();
        let native = index.tenants().filter(|tenant| tenant.budget.enforced == Enforced::Native);
        let namespaces = native.flat_map(|tenant| {
            let state = &state;
            let names = index.namespaces_under(&tenant.name);
            names.filter(move |name| !state.holds(&tenant.name, name))
        });
        namespaces.map(str::to_owned).collect()
    }

    /// Judges a count that was written to a pool's quota in a namespace, and keeps what came of it.
    pub fn judge(&self, pool: &str, namespace: &str, is_below: bool) -> Verdict {
        let mut state = self.lock();
        let verdict = state.guard.judge(pool, namespace, is_below, Instant::now());
        let counts = &mut state.counts;
        match verdict {
            Verdict::Right => {}
            Verdict::Refused => counts.counts_refused = counts.counts_refused.saturating_add(1),
            Verdict::Believed => counts.counts_believed = counts.counts_believed.saturating_add(1),
        }
        verdict
    }

    /// Counts a record that was written, or a write that came too late.
    pub fn count(&self, written: bool) {
        let counts = &mut self.lock().counts;
        let counter = if written { &mut counts.moves } else { &mut counts.conflicts };
        *counter = counter.saturating_add(1);
    }

    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Waits until something may have to be done.
    pub async fn work(&self) {
        self.work.notified().await;
    }

    /// Whenever something changes.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.news.send_modify(|news| *news = news.wrapping_add(1));
        self.work.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits, until this is dropped.
struct Waits<'a> {
    desk: &'a GrantDesk,
    id: u64,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let mut state = self.desk.lock();
        state.books.values_mut().for_each(|book| _ = book.waiting.remove(&self.id));
    }
}

impl State {
    /// Whether the quotas of a tenant's pools stand in a namespace.
    fn holds(&self, tenant: &str, namespace: &str) -> bool {
        let homes = self.homes.get(namespace).into_iter().flatten();
        let books = homes.filter_map(|name| self.books.get(name));
        let its = |book: &&Book| book.pool.as_ref().is_some_and(|pool| pool.tenant.as_ref() == tenant);
        let mut its = books.filter(its).peekable();
        its.peek().is_some() && its.all(|book| book.stands(namespace))
    }

    /// Lets a request in where every quota of its namespace has room; whether there is any. It is under way then.
    fn admit(&mut self, ask: &Ask, dry_run: bool, now: Instant) -> Result<bool, Late> {
        let mut taken = Vec::new();
        for name in self.homes.get(&ask.place.namespace).into_iter().flatten() {
            let Some(book) = self.books.get_mut(name) else { continue };
            let Some(amounts) = book.growth(ask) else { continue };
            let needs = book.under_way(&ask.place.namespace, now);
            for (resource, more) in &amounts {
                let held = needs.get(resource).copied().unwrap_or_default();
                let room = book.room(&ask.place.namespace, resource, now).saturating_sub(held);
                if room < *more {
                    return Err(Late { pool: Arc::clone(name), resource: Arc::clone(resource) });
                }
            }
            taken.push((Arc::clone(name), amounts));
        }
        let concerned = !taken.is_empty();
        for (name, amounts) in taken.into_iter().filter(|_| !dry_run) {
            if let Some(book) = self.books.get_mut(&name) {
                let namespace = Arc::clone(&ask.place.namespace);
                book.under_way.push(UnderWay { namespace, since: now, amounts });
            }
        }
        Ok(concerned)
    }

    fn queue(&mut self, ask: &Ask) -> u64 {
        self.last = self.last.wrapping_add(1);
        for name in self.homes.get(&ask.place.namespace).into_iter().flatten() {
            let book = self.books.get_mut(name);
            if let Some((book, amounts)) = book.and_then(|book| book.growth(ask).map(|more| (book, more))) {
                book.waiting.insert(self.last, (ask.place.clone(), amounts));
                self.due.insert(Arc::clone(name));
            }
        }
        self.last
    }
}

/// The time in milliseconds: a record that is written anew goes on past the turns of one that was deleted.
fn first_turn() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(1)
}
