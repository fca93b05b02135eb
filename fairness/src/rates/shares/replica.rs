//! One replica's steps: what it writes next, and what it may use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Holding, Key, Ledger, MOST_PARTS, Member, Part, Terms, WHOLE, based, split};
use crate::rates::{Limit, Nanos, Rate};

/// One replica of those that share limits.
#[derive(Debug, Clone)]
pub struct Replica {
    me: Arc<str>,
    terms: Terms,
    /// What may be used, and until when.
    held: Holding,
    until: Nanos,
    renewals: u64,
    /// Of the others, how often they had written, and when that was seen first.
    seen: BTreeMap<Arc<str>, (u64, Nanos)>,
    /// What was drafted last.
    drafted: Option<Member>,
}

/// What a replica wants to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The whole value, to replace the one it was made from, and only that.
    pub ledger: Ledger,
    /// Whether it says more than that the replica is alive.
    pub changed: bool,
    /// Whether nobody had anything before.
    pub first: bool,
    mine: Member,
    until: Nanos,
}

impl Replica {
    /// A replica of this name, which differs from all others, also from those before a restart.
    pub fn new(me: &str, terms: Terms) -> Self {
        Self {
            me: me.into(),
            terms,
            held: Holding::none(),
            until: 0,
            renewals: 0,
            seen: BTreeMap::new(),
            drafted: None,
        }
    }

    /// Its name.
    pub const fn name(&self) -> &Arc<str> {
        &self.me
    }

    /// What may be used before [`Replica::until`].
    pub const fn held(&self) -> &Holding {
        &self.held
    }

    /// When it runs out, if nothing is written before.
    pub const fn until(&self) -> Nanos {
        self.until
    }

    /// Whether a third of the lease is over, so that a draft is to be written that changes nothing else.
    pub const fn is_due(&self, now: Nanos) -> bool {
        self.until.saturating_sub(now) < (self.terms.lease / 3).saturating_mul(2)
    }

    /// Drafts the next value from the one that is persisted, which was read before `now`, with what this replica is asked
    /// for and the limits as it knows them. What may be used is lowered at once where the draft lowers it; so use
    /// [`Replica::held`] again before the draft is written.
    pub fn draft(
        &mut self,
        now: Nanos,
        persisted: &Ledger,
        demands: &BTreeMap<Key, Rate>,
        limit: impl Fn(&Key) -> Option<Limit>,
    ) -> Draft {
        self.observe(now, persisted);
        let mut ledger = persisted.clone();
        ledger.retain(|name, _| *name == self.me || !self.is_gone(now, name));
        let before = ledger.remove(&self.me);
        self.renewals = self.renewals.saturating_add(1);
        let others: Vec<(&Arc<str>, &Member)> = ledger.iter().collect();
        let step = Step { me: &self.me, others: &others, demands, limit: &limit };
        let mut mine = step.next(before.as_ref().unwrap_or(&Member::default()));
        mine.renewals = self.renewals;
        let others_gone = ledger.len().saturating_add(usize::from(before.is_some())) < persisted.len();
        let changed = others_gone
            || before.is_none_or(|before| (before.base, &before.parts) != (mine.base, &mine.parts));
        self.held = self.held.least(&mine.holding(), &limit);
        self.drafted = Some(mine.clone());
        ledger.insert(Arc::clone(&self.me), mine.clone());
        let until = now.saturating_add(self.terms.lease);
        Draft { ledger, changed, first: persisted.is_empty(), mine, until }
    }

    /// Takes in that a draft was written. Where that is not known, or it was not, nothing is to be said: draft again.
    /// Then what was drafted before is void.
    pub fn wrote(&mut self, draft: &Draft) {
        if self.drafted.take_if(|drafted| *drafted == draft.mine).is_some() {
            self.held = draft.mine.holding();
            self.until = draft.until;
        }
    }

    /// The value without this replica, which uses nothing from now on.
    pub fn leave(&mut self, persisted: &Ledger) -> Ledger {
        (self.held, self.until, self.drafted) = (Holding::none(), 0, None);
        let mut ledger = persisted.clone();
        ledger.remove(&self.me);
        ledger
    }

    fn observe(&mut self, now: Nanos, persisted: &Ledger) {
        self.seen.retain(|name, _| persisted.contains_key(name));
        for (name, member) in persisted {
            let seen = self.seen.entry(Arc::clone(name)).or_insert((member.renewals, now));
            if seen.0 != member.renewals {
                *seen = (member.renewals, now);
            }
        }
    }

    fn is_gone(&self, now: Nanos, name: &Arc<str>) -> bool {
        self.seen.get(name).is_some_and(|(_, since)| now.saturating_sub(*since) >= self.terms.gone)
    }
}

/// One step of a replica among others.
struct Step<'a, F> {
    me: &'a Arc<str>,
    others: &'a [(&'a Arc<str>, &'a Member)],
    demands: &'a BTreeMap<Key, Rate>,
    limit: &'a F,
}

impl<F: Fn(&Key) -> Option<Limit>> Step<'_, F> {
    fn next(&self, before: &Member) -> Member {
        let fair = WHOLE.checked_div(self.count()).unwrap_or(WHOLE);
        let taken = self.others.iter().fold(0_u32, |sum, (_, other)| sum.saturating_add(other.base));
        let free = WHOLE.saturating_sub(taken);
        // INVARIANT: lower than before, or within what the others leave.
        let base = next(before.base.into(), fair.into(), free.into());
        let base = u32::try_from(base).unwrap_or(WHOLE);
        let part = |key: Key| self.part(&key, before, base).map(|part| (key, part));
        Member { renewals: 0, base, parts: self.keys(before).into_iter().filter_map(part).collect() }
    }

    /// The limits to be looked at: those that somebody names, and those that this replica wants more of than evenly.
    fn keys(&self, before: &Member) -> BTreeSet<Key> {
        let named = self.others.iter().flat_map(|(_, other)| other.parts.keys()).chain(before.parts.keys());
        let mut keys: BTreeSet<Key> = named.cloned().collect();
        let share = |key: &Key, demand: Rate| {
            let limit = (self.limit)(key).filter(|limit| self.is_more(demand, *limit))?;
            demand.as_thousandths().saturating_mul(16).checked_div(limit.rate.as_thousandths())
        };
        let mut more: Vec<(u64, &Key)> = self
            .demands
            .iter()
            .filter(|(key, _)| !keys.contains(*key))
            .filter_map(|(key, demand)| share(key, *demand).map(|share| (share, key)))
            .collect();
        more.sort_by(|one, other| other.cmp(one));
        let most = MOST_PARTS.checked_div(usize::try_from(self.count()).unwrap_or(1)).unwrap_or(1);
        let room = most.saturating_sub(keys.len());
        keys.extend(more.into_iter().take(room).map(|(_, key)| key.clone()));
        keys
    }

    /// This replica's part of a limit that somebody names, where it has to name it too.
    fn part(&self, key: &Key, before: &Member, base: u32) -> Option<Part> {
        let Some(limit) = (self.limit)(key) else {
            // What is not known is somebody else's, as long as one of them has something of it by name.
            let nothing = Part { limit: Limit::NONE, demand: Rate::default() };
            let has = |other: &Member| other.parts.get(key).is_some_and(|part| *part != nothing);
            return self.others.iter().any(|(_, other)| has(other)).then_some(nothing);
        };
        let taken = |of: fn(Limit) -> u64| -> u64 {
            self.others.iter().fold(0, |sum, (_, other)| sum.saturating_add(of(other.part(key, limit))))
        };
        let rate = |limit: Limit| limit.rate.as_thousandths();
        let burst = |limit: Limit| u64::from(limit.burst);
        let demand = self.demands.get(key).copied().unwrap_or_default().min(limit.rate);
        let demand_of = |other: &Member| other.parts.get(key).map_or(Rate::default(), |part| part.demand);
        let demands: Vec<(&str, Rate)> = self
            .others
            .iter()
            .map(|(name, other)| (&***name, demand_of(other)))
            .chain([(&**self.me, demand)])
            .collect();
        let even = based(limit, base);
        let uneven = demands.iter().any(|(_, demand)| self.is_more(*demand, limit));
        let fair = if uneven { split(limit, &demands).last().copied().unwrap_or(even) } else { even };
        let had = before.part(key, limit);
        // INVARIANT: lower than before, or within what the others leave.
        let amount = |of: fn(Limit) -> u64| next(of(had), of(fair), of(limit).saturating_sub(taken(of)));
        let burst = u32::try_from(amount(burst)).unwrap_or(u32::MAX);
        let part = Limit { rate: Rate::thousandths(amount(rate)), burst };
        (uneven || part != even).then_some(Part { limit: part, demand })
    }

    /// Whether this is more than an even part of a limit.
    fn is_more(&self, demand: Rate, limit: Limit) -> bool {
        let even = limit.rate.as_thousandths().checked_div(self.count().into()).unwrap_or_default();
        demand.as_thousandths() > even
    }

    /// How many replicas there are.
    fn count(&self) -> u32 {
        u32::try_from(self.others.len()).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// The next amount: down to the fair one, or up to it as far as there is room.
fn next(before: u64, fair: u64, free: u64) -> u64 {
    if fair <= before { fair } else { fair.min(free).max(before) }
}
