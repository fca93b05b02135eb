//! What is known of one pool: its quotas, its record, who waits and what is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Hard, Pool, Quota, Record};
use crate::ledger::{Ask, Place};

/// How long a request that was let in may take to be charged; what is not by then was refused, or the watch is late.
const CHARGED: Duration = Duration::from_secs(2);
/// How long after this replica's watch the API server's own may see that a quota allows more.
const USABLE: Duration = Duration::from_millis(50);
/// The most uids of quotas that are gone that are remembered of one pool.
const GONE: usize = 4_096;
/// What is known of one pool.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) pool: Option<Pool>,
    /// With its resource version.
    pub(super) record: Option<(Record, u64)>,
    pub(super) quotas: BTreeMap<Arc<str>, Quota>,
    pub(super) usable: BTreeMap<Arc<str>, Usable>,
    pub(super) gone: BTreeSet<Arc<str>>,
    pub(super) under_way: Vec<UnderWay>,
    pub(super) waiting: BTreeMap<u64, (Place, Hard)>,
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
    /// Counts of the quota controller that were refused, for they were below what is known to be there.
    pub counts_refused: u64,
    /// Those that were believed in the end.
    pub counts_believed: u64,
}

/// What the API server knows that a quota allows, for all this replica can tell.
#[derive(Debug, Default)]
pub(super) struct Usable {
    hard: Hard,
    /// What it allows since, once the API server has heard of it.
    next: Option<(Hard, Instant)>,
}

/// A request that was let in and may not be charged yet.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) namespace: Arc<str>,
    pub(super) since: Instant,
    pub(super) amounts: Hard,
}

impl Usable {
    /// Takes in what a quota allows now; less counts at once.
    pub(super) fn watched(&mut self, status: &Hard, now: Instant) {
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

    pub(super) fn at(&mut self, now: Instant) -> &Hard {
        let heard = |since: &Instant| now.saturating_duration_since(*since) >= USABLE;
        if let Some((next, _)) = self.next.take_if(|(_, since)| heard(since)) {
            self.hard = next;
        }
        &self.hard
    }
}

impl Book {
    pub(super) fn is_empty(&self) -> bool {
        self.pool.is_none() && self.record.is_none() && self.quotas.is_empty()
    }

    /// What a request needs of this pool; `None` where it needs nothing.
    pub(super) fn growth(&self, ask: &Ask) -> Option<Hard> {
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
    pub(super) fn open(&self, namespace: &str) -> Option<&Quota> {
        let (record, _) = self.record.as_ref()?;
        let grant = record.grants.get(namespace)?;
        self.quotas.get(namespace).filter(|quota| quota.uid == grant.uid)
    }

    /// How much more the API server would charge to a namespace.
    pub(super) fn room(&mut self, namespace: &str, resource: &str, now: Instant) -> i128 {
        let usable = self.usable.get_mut(namespace).and_then(|usable| usable.at(now).get(resource).copied());
        let Some((quota, usable)) = self.open(namespace).zip(usable) else { return 0 };
        let used = quota.used.get(resource).copied().unwrap_or(i128::MAX);
        quota.room(resource).min(usable.saturating_sub(used))
    }

    pub(super) fn stands(&self, namespace: &str) -> bool {
        let Some(pool) = self.pool.as_ref().filter(|pool| !pool.budget.is_empty()) else { return true };
        self.open(namespace).is_some_and(|quota| quota.stands(&pool.budget))
    }

    pub(super) fn under_way(&mut self, namespace: &str, now: Instant) -> Hard {
        self.under_way.retain(|one| now.saturating_duration_since(one.since) < CHARGED);
        let mut sum = Hard::new();
        for one in self.under_way.iter().filter(|one| one.namespace.as_ref() == namespace) {
            gather(&mut sum, &one.amounts);
        }
        sum
    }

    /// What namespaces need beside what is charged.
    pub(super) fn needs(&mut self, now: Instant) -> BTreeMap<Arc<str>, Hard> {
        self.under_way.retain(|one| now.saturating_duration_since(one.since) < CHARGED);
        let mut needs: BTreeMap<Arc<str>, Hard> = BTreeMap::new();
        let under_way = self.under_way.iter().map(|one| (&one.namespace, &one.amounts));
        let waiting = self.waiting.values().map(|(place, amounts)| (&place.namespace, amounts));
        for (namespace, amounts) in under_way.chain(waiting) {
            gather(needs.entry(Arc::clone(namespace)).or_default(), amounts);
        }
        needs
    }

    /// Forgets the oldest requests of a namespace that were charged.
    pub(super) fn charge(&mut self, namespace: &str, mut charged: Hard) {
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

    pub(super) fn note_gone(&mut self, uid: Arc<str>) {
        // Those that a record names have to be known; others may be forgotten.
        if self.gone.len() >= GONE {
            let grants = self.record.iter().flat_map(|(record, _)| record.grants.values());
            let named: BTreeSet<_> = grants.map(|grant| Arc::clone(&grant.uid)).collect();
            self.gone.retain(|uid| named.contains(uid));
        }
        self.gone.insert(uid);
    }
}

fn gather(sum: &mut Hard, more: &Hard) {
    for (resource, amount) in more {
        let known = sum.entry(Arc::clone(resource)).or_default();
        *known = known.saturating_add(*amount);
    }
}

/// How much more is used than before.
pub(super) fn charged(before: &Hard, after: &Hard) -> Hard {
    let more = after.iter().map(|(resource, amount)| {
        let known = before.get(resource).copied().unwrap_or_default();
        (Arc::clone(resource), amount.saturating_sub(known))
    });
    more.filter(|(_, more)| *more > 0).collect()
}
