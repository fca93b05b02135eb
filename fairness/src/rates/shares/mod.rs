//! One limit over several replicas: each has a part of it, and the parts never sum to more.
//!
//! What each replica has is persisted in one value, [`Grants`], that changes by compare-and-swap. Every replica writes
//! its own part only, again and again: a part lasts for a lease.
//!
//! **Guarantee.** At every moment the parts in use sum to at most the limit, in rate and in burst, whichever replicas
//! crash, stop for a while or start, and whichever writes fail, take place unnoticed, or take place late. Why:
//! 1. The parts in a persisted value that have not run out sum to at most the limit: a replica raises its part only by
//!    what all others leave, in a value that is written only where none of them has changed ([`Share::draft`]).
//! 2. A replica uses no more than is persisted as its part: a lower part is used before it is written, a higher one
//!    once it is known to be written ([`Share::wrote`]).
//! 3. A part runs out for its holder at its end, and for others a *skew* later. Clocks differ by less.
//!
//! With [`Rates`](super::Rates), which starts a raised burst empty, it follows that the requests that pass everywhere
//! together in any time `t` are at most `burst + rate x t`: no replica's bucket holds more than its part, and what is
//! moved to another one arrives empty.
//!
//! An administrator who lowers a limit is obeyed as the replicas write the next time, within a lease.
//!
//! *Split.* Every replica computes the same parts from the persisted demands: an eighth of the limit is spread evenly,
//! so that nobody has nothing; then everyone gets what it asks for, the smallest demands first (max-min fairness); the
//! rest is spread evenly. A burst is whole requests, in proportion to the rate: of a burst smaller than the number of
//! replicas some have none.
//!
//! Source: O'Neil's escrow method (1986); leases of Gray and Cheriton (1989). Cost: O(n log n) in the replicas, for a
//! write every fraction of a lease.

mod split;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use split::split;

use super::{Limit, Nanos, Rate};

/// What one replica has of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Its part.
    pub part: Limit,
    /// What it was asked for.
    pub demand: Rate,
    /// When it runs out.
    pub until: Nanos,
}

/// What all replicas have of a limit, by their names.
pub type Grants = BTreeMap<Arc<str>, Grant>;

/// How long parts last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// From when it is written, on the clock that replicas share.
    pub lease: Nanos,
    /// By how much the clocks of two replicas differ at most.
    pub skew: Nanos,
}

/// One replica's part of a limit.
#[derive(Debug, Clone)]
pub struct Share {
    me: Arc<str>,
    terms: Terms,
    /// What may be used, and until when.
    held: Limit,
    until: Nanos,
    /// What was drafted last.
    drafted: Option<Grant>,
}

/// What a replica wants to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The whole value, to replace the one it was made from, and only that.
    pub grants: Grants,
    mine: Grant,
}

impl Share {
    /// The share of the replica of this name, which differs from all others, also from those before a restart.
    pub fn new(me: &str, terms: Terms) -> Self {
        Self { me: me.into(), terms, held: Limit::NONE, until: 0, drafted: None }
    }

    /// What may be used now.
    pub fn held(&self, now: Nanos) -> Limit {
        if now < self.until { self.held } else { Limit::NONE }
    }

    /// Drafts the next value from the one that is persisted. What may be used is lowered at once where the draft
    /// lowers it; so use [`Share::held`] again before the draft is written.
    pub fn draft(&mut self, now: Nanos, limit: Limit, seen: &Grants, demand: Rate) -> Draft {
        let mut grants = seen.clone();
        grants.retain(|name, grant| {
            // Others' clocks may be behind.
            *name == self.me || now < grant.until.saturating_add(self.terms.skew)
        });
        let before =
            grants.remove(&self.me).filter(|grant| now < grant.until).map_or(Limit::NONE, |grant| grant.part);
        let sum = |part: fn(&Grant) -> u64| -> u64 {
            grants.values().fold(0, |sum, grant| sum.saturating_add(part(grant)))
        };
        let free_rate =
            limit.rate.as_thousandths().saturating_sub(sum(|grant| grant.part.rate.as_thousandths()));
        let free_burst = u64::from(limit.burst).saturating_sub(sum(|grant| u64::from(grant.part.burst)));
        let demands: Vec<(&str, Rate)> =
            grants.iter().map(|(name, grant)| (&**name, grant.demand)).chain([(&*self.me, demand)]).collect();
        let fair = split(limit, &demands).last().copied().unwrap_or(Limit::NONE);
        // INVARIANT: lower than before, or within what the others leave.
        let rate = next(before.rate.as_thousandths(), fair.rate.as_thousandths(), free_rate);
        let burst = next(u64::from(before.burst), u64::from(fair.burst), free_burst);
        let part = Limit { rate: Rate::thousandths(rate), burst: u32::try_from(burst).unwrap_or(u32::MAX) };
        let mine = Grant { part, demand, until: now.saturating_add(self.terms.lease) };
        self.held.rate = self.held.rate.min(part.rate);
        self.held.burst = self.held.burst.min(part.burst);
        self.drafted = Some(mine);
        grants.insert(Arc::clone(&self.me), mine);
        Draft { grants, mine }
    }

    /// Takes in that a draft was written. Where that is not known, or it was not, nothing is to be said: draft again.
    /// Then what was drafted before is void.
    pub fn wrote(&mut self, draft: &Draft) {
        if self.drafted.take_if(|drafted| *drafted == draft.mine).is_some() {
            self.held = draft.mine.part;
            self.until = draft.mine.until;
        }
    }
}

/// The next amount: down to the fair one, or up to it as far as there is room.
fn next(before: u64, fair: u64, free: u64) -> u64 {
    if fair <= before { fair } else { fair.min(free).max(before) }
}
