//! The limits of tenants over several replicas: each has a part of every one, and the parts never sum to more.
//!
//! What each replica has is persisted in one value, the [`Ledger`], that changes by compare-and-swap. A replica has the
//! same part of every limit, its *base*, but for those that are named, where demand decides. So what is persisted grows
//! with the limits that are asked for more than evenly, and not with tenants.
//!
//! **Guarantee.** At every moment the parts in use of each limit sum to at most the limit, in rate and in burst, whichever
//! replicas crash, stop for a while or start, and whichever writes fail, take place unnoticed, or take place late. Why:
//! 1. The parts in a persisted value sum to at most the limit: a replica raises its part only by what all others leave, in
//!    a value that is written only where none of them has changed ([`Replica::draft`]). When it raises its base, it looks
//!    at each limit that others name.
//! 2. A replica uses no more than is persisted as its part: a lower part is used before it is written, a higher one
//!    once it is known to be written ([`Replica::wrote`]).
//! 3. A replica uses its part for a *lease* from before its last write, on its own clock. Others drop it from the value
//!    when they saw no new write of it for longer than that, on theirs ([`Terms`]). So what calendars say plays no part:
//!    it is enough that no clock goes a third faster than another.
//!
//! With [`Rates`](super::Rates), which starts a raised burst empty, it follows that the requests that pass everywhere
//! together in any time `t` are at most `burst + rate x t`: no replica's bucket holds more than its part, and what is
//! moved to another one arrives empty. Only who finds a ledger in which nobody has anything begins with full buckets: the
//! last replica stopped in order, or there was none. So each end of *all* replicas gives a tenant its burst again.
//!
//! While a changed limit is not known to all replicas, some keep to the old one; of a lower one, named parts are lowered
//! with the next write.
//!
//! *Split.* Every replica computes the same parts of a named limit from the persisted demands ([`split`]): an eighth is
//! spread evenly, so that nobody has nothing; then everyone gets what it asks for, the smallest demands first (max-min
//! fairness); the rest is spread evenly. A burst is whole requests, in proportion to the rate: of a burst smaller than the
//! number of replicas some have none, until they ask.
//!
//! Source: O'Neil's escrow method (1986); leases of Gray and Cheriton (1989). Cost: a draft takes time in the named limits
//! and the replicas; a write each part of a lease, and when a demand changes by a sixteenth.

mod demand;
mod replica;
mod split;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use demand::Demands;
pub use replica::{Draft, Replica};
pub use split::split;

use super::{Class, Limit, Nanos, Rate};

/// Which limit: a tenant's for a class of requests.
pub type Key = (Arc<str>, Class);

/// A base of everything. All numbers of replicas up to 16 divide it.
pub const WHOLE: u32 = 720_720;

/// How many limits are named at most by all replicas together: what is asked for more than evenly beyond that stays split
/// evenly.
pub const MOST_PARTS: usize = 5_000;

/// What a replica has of a named limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its part.
    pub limit: Limit,
    /// What it was asked for, in sixteenths of the limit.
    pub demand: Rate,
}

/// What one replica has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Member {
    /// How often it has written: others see by this that it is alive.
    pub renewals: u64,
    /// Its part of every limit that it does not name, of [`WHOLE`].
    pub base: u32,
    /// Its parts of those that it names.
    pub parts: BTreeMap<Key, Part>,
}

impl Member {
    /// What it has of a limit.
    fn part(&self, key: &Key, limit: Limit) -> Limit {
        self.parts.get(key).map_or_else(|| based(limit, self.base), |part| part.limit)
    }

    fn holding(&self) -> Holding {
        let parts = self.parts.iter().map(|(key, part)| (key.clone(), part.limit)).collect();
        Holding { base: self.base, parts }
    }
}

/// What all replicas have, by their names.
pub type Ledger = BTreeMap<Arc<str>, Member>;

/// How long parts last, on the clock of whoever looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// For how long a replica uses what it has, from before its last write.
    pub lease: Nanos,
    /// After how long without a write others take it: a third longer, so that clocks may go differently.
    pub gone: Nanos,
}

/// What a replica may use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holding {
    base: u32,
    parts: BTreeMap<Key, Limit>,
}

impl Holding {
    /// All of every limit.
    pub const fn whole() -> Self {
        Self { base: WHOLE, parts: BTreeMap::new() }
    }

    /// Nothing.
    pub const fn none() -> Self {
        Self { base: 0, parts: BTreeMap::new() }
    }

    /// Of this limit. It is at most the limit.
    pub fn part(&self, key: &Key, limit: Limit) -> Limit {
        match self.parts.get(key) {
            Some(part) => part.least(limit),
            None => based(limit, self.base),
        }
    }

    /// The part of every limit that is not named, of [`WHOLE`].
    pub const fn base(&self) -> u32 {
        self.base
    }

    /// Its part of a limit, where it names it.
    pub fn named_part(&self, key: &Key) -> Option<Limit> {
        self.parts.get(key).copied()
    }

    /// The limits of which it has another part than the base.
    pub fn named(&self) -> impl Iterator<Item = &Key> {
        self.parts.keys()
    }

    /// What is in both: of a limit that is not known nothing, where one of them names it.
    fn least(&self, other: &Self, limit: impl Fn(&Key) -> Option<Limit>) -> Self {
        let of = |key: &Key| {
            let part = limit(key).map(|limit| self.part(key, limit).least(other.part(key, limit)));
            (key.clone(), part.unwrap_or(Limit::NONE))
        };
        let parts = self.parts.keys().chain(other.parts.keys()).map(of).collect();
        Self { base: self.base.min(other.base), parts }
    }
}

/// So much of a limit, of [`WHOLE`].
fn based(limit: Limit, base: u32) -> Limit {
    let of = |amount: u64| -> u64 {
        let part = u128::from(amount).saturating_mul(u128::from(base.min(WHOLE)));
        u64::try_from(part.checked_div(u128::from(WHOLE)).unwrap_or_default()).unwrap_or(u64::MAX)
    };
    let burst = u32::try_from(of(limit.burst.into())).unwrap_or(u32::MAX);
    Limit { rate: Rate::thousandths(of(limit.rate.as_thousandths())), burst }
}
