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
mod limit;
pub mod shares;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use limit::{Class, Limit, Nanos, Rate};

use bucket::Bucket;

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

/// Whose limit refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The tenant's.
    Tenant,
    /// The user's within it.
    User,
}

/// Why a request does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Whose limit it is, of two the one that lasts longer.
    pub whose: Whose,
    /// The limit.
    pub limit: Limit,
    /// How long it lasts, if nothing else passes; `None` where it lasts until the limit changes.
    pub retry_after: Option<Nanos>,
}

impl Refusal {
    /// The limit, for the person who is refused.
    pub fn told(&self, tenant: &str, user: &str, class: Class) -> String {
        let whose = match self.whose {
            Whose::Tenant => format!("tenant {tenant}"),
            Whose::User => format!("user {user} of tenant {tenant}"),
        };
        format!(
            "{whose} may send {} requests of class `{}` per second, and {} at once",
            self.limit.rate,
            class.as_str(),
            self.limit.burst
        )
    }
}

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
}

/// Enough that two threads seldom meet.
const SHARDS: usize = 64;

type Shard = HashMap<Arc<str>, [Option<Entry>; Class::ALL.len()]>;

/// A tenant's buckets for one class.
#[derive(Debug)]
struct Entry {
    limits: Limits,
    tenant: Bucket,
    /// The bucket of a user who never came.
    idle: Bucket,
    users: HashMap<Box<str>, Bucket>,
    /// Of how many users those are to be forgotten who owe nothing.
    crowded: usize,
}

/// Below so many users nobody is forgotten.
const FEW: usize = 64;

impl Default for Rates {
    fn default() -> Self {
        Self::new()
    }
}

impl Rates {
    /// Without any limits.
    pub fn new() -> Self {
        Self { hasher: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) }
    }

    /// Sets a limit, or changes it: nobody gains requests by that.
    pub fn set(&self, now: Nanos, tenant: &str, class: Class, limits: Limits, start: Start) {
        let mut shard = self.shard(tenant);
        if !shard.contains_key(tenant) {
            shard.insert(tenant.into(), std::array::from_fn(|_| None));
        }
        let Some(place) = shard.get_mut(tenant).and_then(|classes| classes.get_mut(class as usize)) else {
            return;
        };
        match place {
            Some(entry) => entry.set(now, limits),
            None => *place = Some(Entry::new(now, limits, start)),
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
            Some(entry) => entry.check(now, user, cost),
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

// --- one tenant and class ---

impl Entry {
    fn new(now: Nanos, limits: Limits, start: Start) -> Self {
        let bucket = |limit| match start {
            Start::Full => Bucket::full(),
            Start::Empty => Bucket::empty(now, limit),
        };
        Self {
            limits,
            tenant: bucket(limits.tenant),
            idle: limits.user.map_or(Bucket::full(), bucket),
            users: HashMap::new(),
            crowded: FEW,
        }
    }

    fn set(&mut self, now: Nanos, limits: Limits) {
        self.tenant = self.tenant.under(now, self.limits.tenant, limits.tenant);
        match (self.limits.user, limits.user) {
            (Some(old), Some(new)) => {
                self.idle = self.idle.under(now, old, new);
                for bucket in self.users.values_mut() {
                    *bucket = bucket.under(now, old, new);
                }
            }
            // Nobody's use was counted: there is no limit to keep to before now.
            (None, Some(_)) => self.idle = Bucket::full(),
            (_, None) => self.users.clear(),
        }
        self.limits = limits;
    }

    fn check(&mut self, now: Nanos, user: Option<&str>, cost: u32) -> Result<(), Refusal> {
        let refusal = |whose, limit| move |retry_after: Option<Nanos>| Refusal { whose, limit, retry_after };
        self.tenant = self.tenant.settled(now, self.limits.tenant);
        let tenant = self.tenant.after(now, self.limits.tenant, cost);
        let tenant = tenant.map_err(refusal(Whose::Tenant, self.limits.tenant));
        let Some((user, limit)) = user.zip(self.limits.user) else {
            self.tenant = tenant?;
            return Ok(());
        };
        self.idle = self.idle.settled(now, limit);
        let idle = self.idle;
        let bucket = self.users.get_mut(user).map_or(idle, |bucket| {
            *bucket = bucket.settled(now, limit);
            *bucket
        });
        let of_user = bucket.after(now, limit, cost).map_err(refusal(Whose::User, limit));
        let (tenant, of_user) = match (tenant, of_user) {
            (Ok(tenant), Ok(of_user)) => (tenant, of_user),
            (Err(one), Err(other)) => return Err(longer(one, other)),
            (Err(refusal), _) | (_, Err(refusal)) => return Err(refusal),
        };
        self.tenant = tenant;
        match self.users.get_mut(user) {
            Some(place) => *place = of_user,
            None => {
                if self.users.len() >= self.crowded {
                    self.prune(now);
                }
                self.users.insert(user.into(), of_user);
            }
        }
        Ok(())
    }

    /// Whether a user's bucket is as that of one who never came.
    fn is_idle(&self, now: Nanos, bucket: Bucket) -> bool {
        bucket.is_full(now) || bucket <= self.idle
    }

    fn prune(&mut self, now: Nanos) {
        let idle = self.idle;
        self.users.retain(|_, bucket| !bucket.is_full(now) && *bucket > idle);
        self.crowded = self.users.len().saturating_mul(2).max(FEW);
        self.users.shrink_to(self.crowded);
    }
}

/// The refusal that lasts longer.
fn longer(one: Refusal, other: Refusal) -> Refusal {
    let lasts = |refusal: &Refusal| refusal.retry_after.unwrap_or(Nanos::MAX);
    if lasts(&other) > lasts(&one) { other } else { one }
}
