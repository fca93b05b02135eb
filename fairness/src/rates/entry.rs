//! The buckets of one tenant and class.

use std::collections::HashMap;

use super::bucket::Bucket;
use super::{Limit, Limits, Nanos, Refusal, SOON, Start, Use, Whose};

/// A tenant's buckets for one class.
#[derive(Debug)]
pub(super) struct Entry {
    /// What all replicas have together.
    contract: Limits,
    /// What this one has of it.
    pub(super) limits: Limits,
    pub(super) tenant: Bucket,
    /// The bucket of a user who never came.
    idle: Bucket,
    pub(super) users: HashMap<Box<str>, Bucket>,
    /// Of how many users those are to be forgotten who owe nothing.
    crowded: usize,
    /// What was asked since it was last taken note of.
    pub(super) used: Use,
}

/// Below so many users nobody is forgotten.
const FEW: usize = 64;

impl Entry {
    pub(super) fn new(now: Nanos, contract: Limits, part: Limit, start: Start) -> Self {
        let limits = contract.within(part);
        let bucket = |limit| match start {
            Start::Full => Bucket::full(),
            Start::Empty => Bucket::empty(now, limit),
        };
        Self {
            contract,
            limits,
            tenant: bucket(limits.tenant),
            idle: limits.user.map_or(Bucket::full(), bucket),
            users: HashMap::new(),
            crowded: FEW,
            used: Use::default(),
        }
    }

    /// Gives it another part of the same limit; with full buckets only where it had none.
    pub(super) fn hold(&mut self, now: Nanos, part: Limit, start: Start) {
        if start == Start::Full && self.limits.tenant == Limit::NONE {
            *self = Self { used: self.used, ..Self::new(now, self.contract, part, start) };
        } else {
            self.set(now, self.contract, part);
        }
    }

    /// All of its limit.
    pub(super) fn contract(&self) -> Limit {
        self.contract.tenant
    }

    pub(super) fn set(&mut self, now: Nanos, contract: Limits, part: Limit) {
        let limits = contract.within(part);
        self.contract = contract;
        if limits == self.limits {
            return;
        }
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

    pub(super) fn check(&mut self, now: Nanos, user: Option<&str>, cost: u32) -> Result<(), Refusal> {
        self.used.asked = self.used.asked.saturating_add(1);
        let result = self.take(now, user, cost);
        if let Err(refusal) = &result {
            self.note(refusal);
        }
        result
    }

    /// Nothing passes, while this replica has no part.
    pub(super) fn refuse(&mut self) -> Refusal {
        self.used.asked = self.used.asked.saturating_add(1);
        let limit = self.contract.tenant;
        let refusal = Refusal { whose: Whose::Tenant, limit, part: Limit::NONE, retry_after: Some(SOON) };
        self.note(&refusal);
        refusal
    }

    fn note(&mut self, refusal: &Refusal) {
        self.used.refused = self.used.refused.saturating_add(1);
        self.used.short |= refusal.whose == Whose::Tenant;
    }

    fn refusal(&self, whose: Whose, wait: Option<Nanos>, cost: u32) -> Refusal {
        let (limits, contract) = (self.limits, self.contract);
        let (part, limit) = match whose {
            Whose::Tenant => (limits.tenant, contract.tenant),
            Whose::User => (limits.user.unwrap_or(limits.tenant), contract.user.unwrap_or(contract.tenant)),
        };
        // A part that is too small may grow.
        let may_grow = part != limit && limit.interval().is_some() && cost <= limit.burst;
        Refusal { whose, limit, part, retry_after: wait.or(may_grow.then_some(SOON)) }
    }

    fn take(&mut self, now: Nanos, user: Option<&str>, cost: u32) -> Result<(), Refusal> {
        self.tenant = self.tenant.settled(now, self.limits.tenant);
        let tenant = self.tenant.after(now, self.limits.tenant, cost);
        let tenant = tenant.map_err(|wait| self.refusal(Whose::Tenant, wait, cost));
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
        let of_user = bucket.after(now, limit, cost);
        let of_user = of_user.map_err(|wait| self.refusal(Whose::User, wait, cost));
        let (tenant, of_user) = match (tenant, of_user) {
            (Ok(tenant), Ok(of_user)) => (tenant, of_user),
            (Err(one), Err(other)) => return Err(longer(one, other)),
            (Err(refusal), _) | (_, Err(refusal)) => return Err(refusal),
        };
        self.tenant = tenant;
        self.keep(now, user, of_user);
        Ok(())
    }

    fn keep(&mut self, now: Nanos, user: &str, bucket: Bucket) {
        if let Some(place) = self.users.get_mut(user) {
            *place = bucket;
            return;
        }
        if self.users.len() >= self.crowded {
            self.prune(now);
        }
        self.users.insert(user.into(), bucket);
    }

    /// Whether a user's bucket is as that of one who never came.
    pub(super) fn is_idle(&self, now: Nanos, bucket: Bucket) -> bool {
        bucket.is_full(now) || bucket <= self.idle
    }

    pub(super) fn prune(&mut self, now: Nanos) {
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
