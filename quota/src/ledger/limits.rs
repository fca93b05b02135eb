//! Which sums of accounts must not pass which bounds.
//!
//! Every limit is a function of the accounts' amounts that only grows with them. So where amounts that are at
//! least the true ones fit, the true ones fit.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Tenant;

use super::account::Account;

/// The resource name of a tenant's namespaces.
pub const NAMESPACES: &str = "count/namespaces";

/// A bound that the accounts of a domain are held to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Its place among those of its domain.
    pub(super) number: usize,
    /// The tenant whose budget it is; the cohort for one that its tenants share.
    pub owner: Owner,
    /// The resource name.
    pub resource: Arc<str>,
    /// The most, in billionths.
    pub bound: i128,
    /// What is added up.
    pub(super) parts: Vec<Part>,
}

/// Whose budget a limit is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// A tenant's, over all bands.
    Tenant(Arc<str>),
    /// A tenant's, of one band.
    Band(Arc<str>, Arc<str>),
    /// What the tenants of a cohort lend each other.
    Cohort(Arc<str>),
}

/// A sum of accounts, of which this much is free of charge, and this much in all their tenant's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) tenants: Arc<BTreeSet<Arc<str>>>,
    pub(super) classes: Classes,
    free: i128,
    own: i128,
}

/// Which Pods a band has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Classes {
    /// All, and everything that is no Pod.
    Every,
    /// Those of these classes.
    Only(BTreeSet<Arc<str>>),
    /// Those of no other band.
    Except(BTreeSet<Arc<str>>),
}

impl Classes {
    pub(super) fn have(&self, class: Option<&Arc<str>>) -> bool {
        match (self, class) {
            (Self::Every, _) => true,
            (_, None) => false,
            (Self::Only(classes), Some(class)) => classes.contains(class),
            (Self::Except(classes), Some(class)) => !classes.contains(class),
        }
    }
}

impl Limit {
    /// How much of its own budget the tenant of a part has, where this is what a cohort lends.
    pub(super) fn own(&self, part: usize) -> Option<i128> {
        let part = self.parts.get(part).filter(|_| matches!(self.owner, Owner::Cohort(_)))?;
        Some(part.own)
    }

    /// What a part of so much takes of the bound.
    pub(super) fn over(&self, part: usize, sum: i128) -> i128 {
        self.parts.get(part).map_or(0, |part| sum.saturating_sub(part.free).max(0))
    }

    /// How much more a part of so much could have before it takes of the bound.
    pub(super) fn free(&self, part: usize, sum: i128) -> i128 {
        self.parts.get(part).map_or(0, |part| part.free.saturating_sub(sum).max(0))
    }

    /// What of the bound these amounts take, added up.
    #[cfg(test)]
    pub(super) fn taken(&self, amounts: &super::Amounts) -> i128 {
        let sum = |part: &Part| {
            let its = amounts.iter().filter(|(account, _)| {
                account.resource == self.resource
                    && part.tenants.contains(&account.tenant)
                    && part.classes.have(account.class.as_ref())
            });
            its.map(|(_, amount)| amount).sum::<i128>()
        };
        self.parts.iter().map(|part| sum(part).saturating_sub(part.free).max(0)).sum()
    }
}

/// A part of a limit, by its places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartOf {
    pub(super) limit: usize,
    pub(super) part: usize,
}

/// An account that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Short {
    /// The account.
    pub account: Account,
    /// What was asked.
    pub asked: i128,
    /// What would have fit; negative where the bound is passed already.
    pub room: i128,
    /// What others want back that they lend.
    pub wanted_back: i128,
    /// The limit.
    pub limit: Arc<Limit>,
}

/// The resources that a tenant's own budget limits.
pub(super) fn resources(tenant: &Tenant) -> impl Iterator<Item = Arc<str>> {
    let budget = &tenant.budget;
    let hard = budget.hard.keys().chain(budget.bands.iter().flat_map(|band| band.hard.keys()));
    let namespaces = tenant.namespaces.limit.map(|_| Arc::from(NAMESPACES));
    hard.map(Arc::clone).chain(namespaces)
}

/// The limits of a tenant's own budget, on what it and all below it have.
pub(super) fn limits(tenant: &Tenant, below: &Arc<BTreeSet<Arc<str>>>) -> Vec<Limit> {
    let name: Arc<str> = tenant.name.as_str().into();
    let limit = |owner, resource: &Arc<str>, bound, classes| Limit {
        number: 0,
        owner,
        resource: Arc::clone(resource),
        bound,
        parts: vec![Part { tenants: Arc::clone(below), classes, free: 0, own: bound }],
    };
    let budget = &tenant.budget;
    let mut limits = Vec::new();
    if let Some(most) = tenant.namespaces.limit {
        let bound = i128::from(most).saturating_mul(ONE);
        limits.push(limit(Owner::Tenant(Arc::clone(&name)), &NAMESPACES.into(), bound, Classes::Every));
    }
    for (resource, hard) in &budget.hard {
        let most = match (&budget.cohort, budget.borrow.get(resource)) {
            (None, _) => *hard,
            (Some(_), Some(borrowed)) => hard.saturating_add(*borrowed),
            // What the others lend is the bound.
            (Some(_), None) => continue,
        };
        limits.push(limit(Owner::Tenant(Arc::clone(&name)), resource, most, Classes::Every));
    }
    for band in &budget.bands {
        let others =
            budget.bands.iter().flat_map(|band| &band.priority_classes).map(|class| class.as_str().into());
        let own = band.priority_classes.iter().map(|class| Arc::from(class.as_str()));
        let classes = match band.priority_classes.is_empty() {
            true => Classes::Except(others.collect()),
            false => Classes::Only(own.collect()),
        };
        for (resource, bound) in &band.hard {
            let owner = Owner::Band(Arc::clone(&name), band.name.as_str().into());
            limits.push(limit(owner, resource, *bound, classes.clone()));
        }
    }
    limits
}

/// One of something, in billionths.
pub const ONE: i128 = 1_000_000_000;

/// Each tenant has what it does not lend for itself, and all of them share what they lend.
pub(super) fn cohort_limit(
    cohort: &str,
    resource: &Arc<str>,
    members: &[(&Tenant, Arc<BTreeSet<Arc<str>>>)],
) -> Limit {
    let (mut bound, mut parts) = (0_i128, Vec::new());
    for (tenant, below) in members {
        let Some(hard) = tenant.budget.hard.get(resource) else { continue };
        let lent = tenant.budget.lend.get(resource).map_or(*hard, |lent| (*lent).min(*hard));
        bound = bound.saturating_add(lent);
        let free = hard.saturating_sub(lent);
        parts.push(Part { tenants: Arc::clone(below), classes: Classes::Every, free, own: *hard });
    }
    let (owner, resource) = (Owner::Cohort(cohort.into()), Arc::clone(resource));
    Limit { number: 0, owner, resource, bound, parts }
}
