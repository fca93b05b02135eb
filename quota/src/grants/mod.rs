//! Budgets that Kubernetes' own ResourceQuota enforces: each namespace has a grant, and grants move between them.
//!
//! A *pool* is one budget of one tenant, in all or of a band. Each of its namespaces has one ResourceQuota whose `hard`
//! is its *grant*; all grants are written down in one [`Record`], which changes by compare-and-swap.
//!
//! **Guarantee.** At every moment, for every resource, the `status.hard` of the pool's quotas add up to no more than the
//! record's grants, and those are only raised where they and everything used fit the budget. The API server charges a
//! quota's `used` under compare-and-swap with its `status.hard`, so what it lets in fits the budget too, whether Bailey
//! runs or not, and whoever of its replicas moves grants at once, however old what it knows. Why:
//! 1. A quota's *claim* is the largest of `spec.hard`, `status.hard` and `used`. Charges and the quota controller's copy
//!    of `spec.hard` leave it as it is: it is raised by a write of `spec.hard` alone.
//! 2. The record counts its writes ([`Record::turn`]). A quota is raised only up to what a record says that names its uid
//!    and whose turn is past the one that the quota's annotation names ([`Quota::turn`]).
//! 3. A grant is lowered in the record only to the claim of a quota that was annotated with the record's turn. Whoever
//!    would raise that quota afterwards needs a newer record, and the write of the record fails where there is one
//!    already. So what is known of the quota, however old, bounds its claim.
//! 4. A grant is taken out of the record only when the quota that it names is gone for good: a uid never comes back.
//!
//! What this does not hold: what an administrator does to budgets and whose namespaces are, a `used` that was written
//! below what is stored (see the guard on that), and quotas edited while the webhooks are taken away. Where more is used
//! than granted, no grant is raised until it fits.
//!
//! **Liveness.** Whoever needs more than its grant gets it from what is granted to nobody, then from namespaces with the
//! most to spare, down to what they use ([`plan`]).
//!
//! Source: O'Neil's escrow method (1986); the demarcation protocol of Barbara and Garcia-Molina (1994), whose limits are
//! `status.hard` here. Cost: a plan takes time in the number of namespaces times resources; a move is two writes of the
//! donor, one of the record, two of the recipient.

mod book;
mod desk;
mod guard;
mod plan;
mod pools;
mod share;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use book::Counts;
pub use desk::{GrantDesk, Late};
pub use guard::{CountGuard, LONGEST, Verdict};
pub use plan::{Step, plan};
pub use pools::{Counted, Pool, QUOTA_PREFIX, pools};

/// The most namespaces that have grants of one pool; the quotas of others allow nothing.
pub const NAMESPACES_OF_A_POOL: usize = 5_000;
/// No turn comes so far: one that says so was written by hand.
const LAST_TURN: u64 = 1 << 53;

/// Amounts by canonical resource name, in billionths.
pub type Hard = BTreeMap<Arc<str>, i128>;

/// What is granted of a pool, as it is persisted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// How often it was written.
    pub turn: u64,
    /// The grants by namespace.
    pub grants: BTreeMap<Arc<str>, Grant>,
}

/// What one namespace is granted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grant {
    /// The uid of the ResourceQuota that may have it; empty while there is none.
    pub uid: Arc<str>,
    /// How much.
    pub hard: Hard,
}

/// The ResourceQuota of a namespace, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quota {
    /// Its uid.
    pub uid: Arc<str>,
    /// Its resource version.
    pub version: u64,
    /// The turn of the record at which it was last lowered.
    pub turn: u64,
    /// What it counts, which cannot be changed.
    pub counted: Counted,
    /// What it is to allow.
    pub spec: Hard,
    /// What it allows.
    pub status: Hard,
    /// What is charged to it.
    pub used: Hard,
}

/// A pool and everything known of it, for a plan.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The budget; `None` where there is to be no pool any more.
    pub budget: Option<&'a Hard>,
    /// What its quotas count.
    pub counted: &'a Counted,
    /// The turn of the first record, greater than that of any before it: the time in milliseconds.
    pub first: u64,
    /// The namespaces of the pool; `true` for those that are being deleted.
    pub members: &'a BTreeMap<Arc<str>, bool>,
    /// The record; `None` where there is none.
    pub record: Option<&'a Record>,
    /// The quotas by namespace.
    pub quotas: &'a BTreeMap<Arc<str>, Quota>,
    /// The uids of quotas that are gone for good.
    pub gone: &'a BTreeSet<Arc<str>>,
    /// What namespaces need beside what is charged, for requests under way and those that wait.
    pub needs: &'a BTreeMap<Arc<str>, Hard>,
    /// Whether what is idle is evened out, beside what has to be done.
    pub tidy: bool,
}

impl Quota {
    /// The most that may ever be charged of a resource, until it is raised; `None` where it is not bounded yet.
    fn claim(&self, resource: &str) -> Option<i128> {
        let (spec, status) = (self.spec.get(resource)?, self.status.get(resource)?);
        Some(self.used.get(resource).copied().unwrap_or_default().max(*spec).max(*status))
    }

    /// Whether it counts what it should, and an annotation that can be gone on from.
    fn fits(&self, counted: &Counted) -> bool {
        self.counted == *counted && self.turn < LAST_TURN
    }

    /// Whether the API server enforces it for all these resources.
    pub fn stands(&self, budget: &Hard) -> bool {
        budget.keys().all(|resource| {
            let has = |hard: &Hard| hard.contains_key(resource);
            has(&self.spec) && has(&self.status) && has(&self.used)
        })
    }

    /// How much more the API server would charge of a resource; none where it is not known.
    pub fn room(&self, resource: &str) -> i128 {
        let of = |hard: &Hard| hard.get(resource).copied();
        let hard = of(&self.status).min(of(&self.spec));
        hard.zip(of(&self.used)).map_or(0, |(hard, used)| hard.saturating_sub(used))
    }
}

impl Record {
    fn hard(&self, namespace: &str, resource: &str) -> i128 {
        let grant = self.grants.get(namespace);
        grant.and_then(|grant| grant.hard.get(resource)).copied().unwrap_or_default()
    }
}
