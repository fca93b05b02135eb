//! Where requests wait until the namespace that they write into is granted what they need.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::{Counted, Hard, Pool, Quota, Record, Situation, Step, plan};
use crate::ledger::Ask;

/// How long a request that was let in may take to be charged; what is not by then was refused, or the watch is late.
const CHARGED: Duration = Duration::from_secs(2);
/// How often a request that waits looks again where it hears nothing.
const LOOK: Duration = Duration::from_millis(20);
/// How long after this replica's watch the API server's own may see that a quota allows more.
const USABLE: Duration = Duration::from_millis(20);
/// The most uids of quotas that are gone that are remembered of one pool.
const GONE: usize = 4_096;

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
    last: u64,
    /// The pools for which something may have to be done.
    due: BTreeSet<Arc<str>>,
    /// Whether quotas, records and pools are known: until then nothing is planned.
    known: bool,
}

/// What is known of one pool.
#[derive(Debug, Default)]
struct Book {
    pool: Option<Pool>,
    /// With its resource version.
    record: Option<(Record, u64)>,
    quotas: BTreeMap<Arc<str>, Quota>,
    usable: BTreeMap<Arc<str>, Usable>,
    gone: BTreeSet<Arc<str>>,
    under_way: Vec<UnderWay>,
    waiting: BTreeMap<u64, (Arc<str>, Hard)>,
}

/// What the API server knows that a quota allows, for all this replica can tell.
#[derive(Debug, Default)]
struct Usable {
    hard: Hard,
    /// What it allows since, once the API server has heard of it.
    next: Option<(Hard, Instant)>,
}

/// A request that was let in and may not be charged yet.
#[derive(Debug)]
struct UnderWay {
    namespace: Arc<str>,
    since: Instant,
    amounts: Hard,
}

/// What has happened, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Requests whose namespace had enough.
    pub at_once: u64,
    /// Requests that waited until a grant was raised.
    pub waited: u64,
    /// Requests that ran out of time.
    pub late: u64,
    /// Records written: grants moved.
    pub moves: u64,
    /// Writes that came too late, for another had changed the object.
    pub conflicts: u64,
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
            budget: book.pool.as_ref().map(|pool| &pool.budget),
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
        let pools = state.books.values().filter_map(|book| Some((book.pool.as_ref()?, book)));
        let mut its = pools.filter(|(pool, _)| pool.tenant.as_ref() == tenant).peekable();
        its.peek()?;
        let counts = its.map(|(pool, book)| {
            let living = pool.members.iter().filter(|(_, goes)| !**goes);
            let (all, missing): (Vec<_>, Vec<_>) = living.map(|(name, _)| ((), !book.stands(name))).unzip();
            (missing.into_iter().filter(|missing| *missing).count(), all.len())
        });
        Some(counts.fold((0, 0), |sum, one| (sum.0.max(one.0), sum.1.max(one.1))))
    }

    /// The namespaces of pools in which some quota does not stand yet.
    pub fn unsettled(&self) -> BTreeSet<Arc<str>> {
        let state = self.lock();
        let pools = state.books.values().filter_map(|book| Some((book.pool.as_ref()?, book)));
        let names = pools.flat_map(|(pool, book)| pool.members.keys().filter(|name| !book.stands(name)));
        names.cloned().collect()
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
                book.waiting.insert(self.last, (Arc::clone(&ask.place.namespace), amounts));
                self.due.insert(Arc::clone(name));
            }
        }
        self.last
    }
}

impl Usable {
    /// Takes in what a quota allows now; less counts at once.
    fn watched(&mut self, status: &Hard, now: Instant) {
        if self.next.as_ref().is_some_and(|(next, _)| next == status) {
            return;
        }
        self.at(now);
        let less = status.iter().filter_map(|(resource, amount)| {
            let known = self.hard.get(resource)?;
            Some((Arc::clone(resource), *known.min(amount)))
        });
        self.hard = less.collect();
        self.next = (self.hard != *status).then(|| (status.clone(), now));
    }

    fn at(&mut self, now: Instant) -> &Hard {
        let heard = |since: &Instant| now.saturating_duration_since(*since) >= USABLE;
        if let Some((next, _)) = self.next.take_if(|(_, since)| heard(since)) {
            self.hard = next;
        }
        &self.hard
    }
}

impl Book {
    fn is_empty(&self) -> bool {
        self.pool.is_none() && self.record.is_none() && self.quotas.is_empty()
    }

    /// What a request needs of this pool; `None` where it needs nothing.
    fn growth(&self, ask: &Ask) -> Option<Hard> {
        let pool = self.pool.as_ref()?;
        if !pool.members.contains_key(&ask.place.namespace) || !pool.counted.has(ask.class.as_deref()) {
            return None;
        }
        let mut amounts = Hard::new();
        for (resource, after) in ask.after.iter().filter(|(name, _)| pool.budget.contains_key(name)) {
            let before =
                ask.before.iter().find(|(name, _)| name == resource).map_or(0, |(_, before)| *before);
            let more = after.saturating_sub(before);
            amounts.extend((more > 0).then(|| (Arc::clone(resource), more)));
        }
        (!amounts.is_empty()).then_some(amounts)
    }

    /// The quota of a namespace, once it has a grant.
    fn open(&self, namespace: &str) -> Option<&Quota> {
        let (record, _) = self.record.as_ref()?;
        let grant = record.grants.get(namespace)?;
        self.quotas.get(namespace).filter(|quota| quota.uid == grant.uid)
    }

    /// How much more the API server would charge to a namespace.
    fn room(&mut self, namespace: &str, resource: &str, now: Instant) -> i128 {
        let usable = self.usable.get_mut(namespace).and_then(|usable| usable.at(now).get(resource).copied());
        let Some((quota, usable)) = self.open(namespace).zip(usable) else { return 0 };
        let used = quota.used.get(resource).copied().unwrap_or(i128::MAX);
        quota.room(resource).min(usable.saturating_sub(used))
    }

    fn stands(&self, namespace: &str) -> bool {
        let Some(pool) = &self.pool else { return true };
        self.open(namespace).is_some_and(|quota| quota.stands(&pool.budget))
    }

    fn under_way(&mut self, namespace: &str, now: Instant) -> Hard {
        self.under_way.retain(|one| now.saturating_duration_since(one.since) < CHARGED);
        let mut sum = Hard::new();
        for one in self.under_way.iter().filter(|one| one.namespace.as_ref() == namespace) {
            gather(&mut sum, &one.amounts);
        }
        sum
    }

    /// What namespaces need beside what is charged.
    fn needs(&mut self, now: Instant) -> BTreeMap<Arc<str>, Hard> {
        self.under_way.retain(|one| now.saturating_duration_since(one.since) < CHARGED);
        let mut needs: BTreeMap<Arc<str>, Hard> = BTreeMap::new();
        let under_way = self.under_way.iter().map(|one| (&one.namespace, &one.amounts));
        let waiting = self.waiting.values().map(|(namespace, amounts)| (namespace, amounts));
        for (namespace, amounts) in under_way.chain(waiting) {
            gather(needs.entry(Arc::clone(namespace)).or_default(), amounts);
        }
        needs
    }

    /// Forgets the oldest requests of a namespace that were charged.
    fn charge(&mut self, namespace: &str, mut charged: Hard) {
        self.under_way.retain_mut(|one| {
            if one.namespace.as_ref() != namespace {
                return true;
            }
            one.amounts.retain(|resource, amount| {
                let Some(left) = charged.get_mut(resource) else { return true };
                let part = (*left).min(*amount).max(0);
                *left = left.saturating_sub(part);
                *amount = amount.saturating_sub(part);
                *amount > 0
            });
            !one.amounts.is_empty()
        });
    }

    fn note_gone(&mut self, uid: Arc<str>) {
        // Those that a record names have to be known; others may be forgotten.
        if self.gone.len() >= GONE {
            let grants = self.record.iter().flat_map(|(record, _)| record.grants.values());
            let named: BTreeSet<_> = grants.map(|grant| Arc::clone(&grant.uid)).collect();
            self.gone.retain(|uid| named.contains(uid));
        }
        self.gone.insert(uid);
    }
}

/// The time in milliseconds: a record that is written anew goes on past the turns of one that was deleted.
fn first_turn() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(1)
}

fn gather(sum: &mut Hard, more: &Hard) {
    for (resource, amount) in more {
        let known = sum.entry(Arc::clone(resource)).or_default();
        *known = known.saturating_add(*amount);
    }
}

/// How much more is used than before.
fn charged(before: &Hard, after: &Hard) -> Hard {
    let more = after.iter().map(|(resource, amount)| {
        let known = before.get(resource).copied().unwrap_or_default();
        (Arc::clone(resource), amount.saturating_sub(known))
    });
    more.filter(|(_, more)| *more > 0).collect()
}
