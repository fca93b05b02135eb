//! How often each tenant may do what.
//!
//! A token bucket for each tenant and class of request, and one for each user within, by the generic cell rate
//! algorithm: what is kept of a bucket is the one moment when it is full again.
//!
//! **Guarantee.**
//! 1. In any time `t` at most `burst + rate x t` requests of a tenant pass, and of each of its users, whatever its
//!    users are. That holds while limits change too: a higher burst begins empty, a lower one spills what is above it.
//! 2. A request takes from the tenant's bucket and the user's, or from none; both under one lock.
//! 3. What a refusal says to wait is exact: a nanosecond less is too short, and just that is enough if nobody else came.
//! 4. A user who is forgotten had a full bucket and gets one again. Where limits change, that is what a user holds who
//!    never came: it is kept as a bucket of its own.
//! 5. A clock that goes back makes nothing pass. By less than a bucket takes to fill it only delays; by more, the bucket
//!    is empty when it is next looked at, and fills from then on.
//!
//! Over several replicas each has a part of the limit ([`shares`]), and 1 holds for the sum.
//!
//! Source: ITU-T I.371, annex A. Rates are rounded down to whole nanoseconds for a request: 0.1% at a million a second.
//!
//! Cost: a lookup under the lock of one shard; setting a limit takes time in the number of the tenant's users.
//! Memory: an entry for each limit; users who owe nothing are forgotten when there are twice as many as after the last
//! time. Only what passes makes a user known, so there are at most as many as pass in the time a user's bucket fills.

mod bucket;
mod entry;
mod held;
mod limit;
mod refusal;
pub mod shares;
#[cfg(test)]
mod tests;
mod timed;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use limit::{Class, Limit, Nanos, Rate};
pub use refusal::{LONGEST_WAIT, Refusal, Whose};
pub use timed::Timed;

use entry::Entry;
use held::Held;
use shares::{Holding, Key};

/// What a tenant may do in one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All of it together.
    pub tenant: Limit,
    /// Each of its users; `None` without a limit of their own.
    pub user: Option<Limit>,
}

impl Limits {
    /// The limits of a replica that has a part of the tenant's: each user has the same part of its own.
    ///
    /// A user's burst is rounded up, so that no replica refuses it for ever: over `n` replicas up to `n - 1` more
    /// requests of a user can pass at once than its burst. The tenant's limit holds as it is.
    #[must_use]
    pub fn within(self, part: Limit) -> Self {
        if part == self.tenant {
            return self;
        }
        let user = self.user.map(|user| {
            let of = |amount: u64, part: u64, whole: u64| -> (u64, bool) {
                let product = u128::from(amount).saturating_mul(u128::from(part));
                let rest = product.checked_rem(u128::from(whole)).unwrap_or_default();
                let amount = product.checked_div(u128::from(whole)).unwrap_or_default();
                (u64::try_from(amount).unwrap_or(u64::MAX), rest > 0)
            };
            let whole = self.tenant.rate.as_thousandths();
            let (rate, _) = of(user.rate.as_thousandths(), part.rate.as_thousandths(), whole);
            let (burst, more) = of(user.burst.into(), part.burst.into(), self.tenant.burst.into());
            let burst = burst.saturating_add(u64::from(more));
            Limit { rate: Rate::thousandths(rate), burst: u32::try_from(burst).unwrap_or(u32::MAX) }
        });
        Self { tenant: part, user }
    }
}

/// The limits of all tenants that have some.
pub type ByTenant = BTreeMap<String, Arc<BTreeMap<Class, Limits>>>;

/// With what a limit starts that was not there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the whole burst: nobody else can have used it.
    Full,
    /// With nothing: it may be used elsewhere until now.
    Empty,
}

/// What a tenant asked of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Use {
    /// How many requests.
    pub asked: u64,
    /// How many of them did not pass.
    pub refused: u64,
    /// Whether the tenant's own limit refused some, and not only those of its users.
    pub short: bool,
}

/// How long it takes at most, mostly, until a part that is too small is larger.
const SOON: Nanos = 2_000_000_000;

/// How a limit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The limits.
    pub limits: Limits,
    /// How many requests would pass at once.
    pub left: u32,
    /// How many users owe something.
    pub users: usize,
}

/// The limits of all tenants, and how they stand. To be shared between threads.
#[derive(Debug)]
pub struct Rates {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    /// What this replica has of every limit, and until when.
    held: Mutex<Held>,
    until: AtomicU64,
}

/// Enough that two threads seldom meet.
const SHARDS: usize = 64;

type Shard = HashMap<Arc<str>, [Option<Entry>; Class::ALL.len()]>;

impl Default for Rates {
    fn default() -> Self {
        Self::new()
    }
}

impl Rates {
    /// Without any limits; each that is set is all of this replica's.
    pub fn new() -> Self {
        Self::with(Holding::whole(), Nanos::MAX)
    }

    /// The same, but this replica has nothing of any limit before [`Rates::hold`] says so.
    pub fn shared() -> Self {
        Self::with(Holding::none(), 0)
    }

    fn with(held: Holding, until: Nanos) -> Self {
        Self {
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
            held: Mutex::new(Held::of(held)),
            until: AtomicU64::new(until),
        }
    }

    /// Says what this replica has of the limits from now on, and until when: then it is nothing. With [`Start::Full`]
    /// limits begin with the whole burst of which it had nothing before.
    pub fn hold(&self, now: Nanos, held: &Holding, until: Nanos, start: Start) {
        let before = self.held().replace(now, held, start);
        if before.base() != held.base() || start == Start::Full {
            for shard in &self.shards {
                // INVARIANT: who sets a limit looks at what is held while it has the shard, so none is left out.
                let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
                for (tenant, classes) in &mut *shard {
                    for (entry, class) in classes.iter_mut().zip(Class::ALL) {
                        let Some(entry) = entry else { continue };
                        entry.hold(now, held.part(&(Arc::clone(tenant), class), entry.contract()), start);
                    }
                }
            }
        }
        for key in before.named().chain(held.named()) {
            let mut shard = self.shard(&key.0);
            match shard.get_mut(&key.0).and_then(|classes| classes.get_mut(key.1 as usize)?.as_mut()) {
                Some(entry) => entry.hold(now, held.part(key, entry.contract()), start),
                None => self.held().note(now, key, &before),
            }
        }
        self.until.store(until, Ordering::Release);
    }

    /// What was asked since the last time, by tenant and class.
    pub fn take_uses(&self) -> Vec<(Key, Use)> {
        let mut uses = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for (tenant, classes) in shard.iter_mut() {
                for (entry, class) in classes.iter_mut().zip(Class::ALL) {
                    let Some(entry) = entry.as_mut().filter(|entry| entry.used.asked > 0) else { continue };
                    uses.push(((Arc::clone(tenant), class), std::mem::take(&mut entry.used)));
                }
            }
        }
        uses
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a limit, or changes it: nobody gains requests by that. `limits` is what all replicas have together. One that
    /// was not there before begins with no more than what filled up since this replica's part of all grew.
    pub fn set(&self, now: Nanos, tenant: &str, class: Class, limits: Limits, start: Start) {
        let mut shard = self.shard(tenant);
        if !shard.contains_key(tenant) {
            shard.insert(tenant.into(), std::array::from_fn(|_| None));
        }
        let key = (Arc::from(tenant), class);
        let Some(place) = shard.get_mut(tenant).and_then(|classes| classes.get_mut(class as usize)) else {
            return;
        };
        match place {
            Some(entry) => entry.set(now, limits, self.held().part(&key, limits.tenant)),
            None => *place = Some(self.held().entry(now, &key, limits, start)),
        }
    }

    /// Takes a limit away: everything passes then.
    pub fn remove(&self, tenant: &str, class: Class) {
        let mut shard = self.shard(tenant);
        let Some(classes) = shard.get_mut(tenant) else { return };
        if let Some(place) = classes.get_mut(class as usize) {
            *place = None;
        }
        if classes.iter().all(Option::is_none) {
            shard.remove(tenant);
        }
    }

    /// Takes all limits away but some.
    pub fn retain(&self, keep: impl Fn(&str, Class) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|tenant, classes| {
                for (place, class) in classes.iter_mut().zip(Class::ALL) {
                    *place = place.take().filter(|_| keep(tenant, class));
                }
                classes.iter().any(Option::is_some)
            });
        }
    }

    /// Lets a request pass that counts as so many, or says why not. Without a limit everything passes.
    ///
    /// # Errors
    /// Where the tenant's limit or the user's does not allow it now.
    pub fn check(
        &self,
        now: Nanos,
        tenant: &str,
        class: Class,
        user: Option<&str>,
        cost: u32,
    ) -> Result<(), Refusal> {
        let mut shard = self.shard(tenant);
        let entry = shard.get_mut(tenant).and_then(|classes| classes.get_mut(class as usize));
        match entry.and_then(Option::as_mut) {
            Some(entry) if now < self.until.load(Ordering::Acquire) => entry.check(now, user, cost),
            Some(entry) => Err(entry.refuse()),
            None => Ok(()),
        }
    }

    /// How a limit stands; `None` where there is none.
    pub fn standing(&self, now: Nanos, tenant: &str, class: Class) -> Option<Standing> {
        let shard = self.shard(tenant);
        let entry = shard.get(tenant)?.get(class as usize)?.as_ref()?;
        Some(Standing {
            limits: entry.limits,
            left: entry.tenant.left(now, entry.limits.tenant),
            users: entry.users.values().filter(|bucket| !entry.is_idle(now, **bucket)).count(),
        })
    }

    /// Forgets all users who owe nothing. It happens by itself where there are many.
    pub fn prune(&self, now: Nanos) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.values_mut().flatten().flatten().for_each(|entry| entry.prune(now));
        }
    }

    /// How many users are known.
    pub fn users(&self) -> usize {
        let known = |shard: &Mutex<Shard>| -> usize {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.values().flatten().flatten().map(|entry| entry.users.len()).sum()
        };
        self.shards.iter().map(known).sum()
    }

    fn shard(&self, tenant: &str) -> MutexGuard<'_, Shard> {
        let [first, ..] = &self.shards;
        let at = self.hasher.hash_one(tenant) as usize % SHARDS;
        // A bucket is written whole, so what a panicking thread leaves is sound.
        self.shards.get(at).unwrap_or(first).lock().unwrap_or_else(PoisonError::into_inner)
    }
}
