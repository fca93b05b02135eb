//! What the replicas hold of the free budget, as it is persisted: one value for a domain, changed by compare-and-swap.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::account::{Account, Amounts, Kind, gather, of};

/// What all replicas hold of one domain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shares {
    /// The holders by name.
    pub holders: BTreeMap<Arc<str>, Holder>,
    /// For each kind the version that a cache must have reached: some holder lowered its share for an object that it
    /// saw stored at that version. Who knows less must not take of the free budget.
    pub horizons: BTreeMap<Arc<Kind>, u64>,
}

/// What one replica holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holder {
    /// The amounts.
    pub amounts: Amounts,
    /// Whether it holds no more than requests under way need.
    pub exact: bool,
    /// Whether another asks it to give back what it does not need.
    pub recalled: bool,
    /// What tenants asked it for that is their own and that others of their cohort use: before it is theirs again nobody
    /// borrows more.
    pub reclaims: Amounts,
}

impl Shares {
    /// What a replica holds of an account.
    pub(super) fn held(&self, holder: &str, account: &Account) -> i128 {
        self.holders.get(holder).map_or(0, |holder| of(&holder.amounts, account))
    }

    /// What is wanted back at other replicas.
    pub(super) fn reclaims_of_others(&self, me: &str) -> Amounts {
        let mut all = Amounts::new();
        self.others(me).for_each(|(_, holder)| gather(&mut all, &holder.reclaims));
        all
    }

    /// The other holders.
    pub(super) fn others<'a>(&'a self, me: &'a str) -> impl Iterator<Item = (&'a Arc<str>, &'a Holder)> {
        self.holders.iter().filter(move |(name, _)| name.as_ref() != me)
    }
}
