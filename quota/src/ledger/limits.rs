//! Which sums of accounts must not pass which bounds.
//!
//! Every limit is a function of the accounts' amounts that only grows with them. So where amounts that are at
//! least the true ones fit, the true ones fit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Tenant, TenantIndex};

use super::account::{Account, Amounts, of};

/// The resource name of a tenant's namespaces.
pub const NAMESPACES: &str = "count/namespaces";

/// A bound that the accounts of a domain are held to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The tenant whose budget it is; the cohort for one that its tenants share.
    pub owner: Owner,
    /// The resource name.
    pub resource: Arc<str>,
    /// The most, in billionths.
    pub bound: i128,
    /// What is added up.
    parts: Vec<Part>,
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
struct Part {
    tenants: BTreeSet<Arc<str>>,
    classes: Classes,
    free: i128,
    own: i128,
}

/// Which Pods a band has.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Classes {
    /// All, and everything that is no Pod.
    Every,
    /// Those of these classes.
    Only(BTreeSet<Arc<str>>),
    /// Those of no other band.
    Except(BTreeSet<Arc<str>>),
}

impl Classes {
    fn have(&self, class: Option<&Arc<str>>) -> bool {
        match (self, class) {
            (Self::Every, _) => true,
            (_, None) => false,
            (Self::Only(classes), Some(class)) => classes.contains(class),
            (Self::Except(classes), Some(class)) => !classes.contains(class),
        }
    }
}

impl Part {
    fn has(&self, account: &Account) -> bool {
        self.tenants.contains(&account.tenant) && self.classes.have(account.class.as_ref())
    }

    fn sum(&self, resource: &Arc<str>, amounts: &Amounts) -> i128 {
        let mut sum = 0_i128;
        let mut add = |account: &Account, amount: i128| {
            if self.has(account) {
                sum = sum.saturating_add(amount);
            }
        };
        // Of a few tenants among many each is looked up, of many all accounts are gone through.
        if self.tenants.len() < amounts.len().checked_div(16).unwrap_or_default() {
            for tenant in &self.tenants {
                let from =
                    Account { resource: Arc::clone(resource), tenant: Arc::clone(tenant), class: None };
                let is_its = |account: &Account| account.resource == *resource && account.tenant == *tenant;
                let its = amounts.range(from..).take_while(|(account, _)| is_its(account));
                its.for_each(|(account, amount)| add(account, *amount));
            }
        } else {
            let all =
                amounts.range(first(resource)..).take_while(|(account, _)| account.resource == *resource);
            all.for_each(|(account, amount)| add(account, *amount));
        }
        sum
    }
}

/// Before every account of a resource.
fn first(resource: &Arc<str>) -> Account {
    Account { resource: Arc::clone(resource), tenant: "".into(), class: None }
}

impl Limit {
    /// What of the bound these amounts take.
    pub fn taken(&self, amounts: &Amounts) -> i128 {
        let over =
            self.parts.iter().map(|part| part.sum(&self.resource, amounts).saturating_sub(part.free).max(0));
        over.fold(0, i128::saturating_add)
    }

    /// How much more an account could have; negative where the bound is passed already.
    fn room(&self, account: &Account, amounts: &Amounts) -> i128 {
        let mut room = self.bound;
        for part in &self.parts {
            let over = part.sum(&self.resource, amounts).saturating_sub(part.free);
            room = room.saturating_sub(if part.has(account) { over } else { over.max(0) });
        }
        room
    }

    fn concerns(&self, account: &Account) -> bool {
        self.part_of(account).is_some()
    }

    /// Which sum of the limit an account is in, by its place.
    pub(super) fn part_of(&self, account: &Account) -> Option<usize> {
        let same = self.resource == account.resource;
        self.parts.iter().position(|part| same && part.has(account))
    }

    /// How much more of its own budget the tenant of an account could have beside these amounts, where this is what a
    /// cohort lends; negative where it borrows.
    pub(super) fn own_room(&self, account: &Account, amounts: &Amounts) -> Option<i128> {
        let place = self.part_of(account).filter(|_| matches!(self.owner, Owner::Cohort(_)))?;
        let part = self.parts.get(place)?;
        Some(part.own.saturating_sub(part.sum(&self.resource, amounts)))
    }
}

/// Tenants whose budgets depend on each other, and their limits: a tree of tenants, or the trees of a cohort.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Domain {
    /// The limits, those of the uppermost tenants first.
    pub limits: Vec<Limit>,
    resources: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    banded: BTreeSet<Arc<str>>,
}

impl Domain {
    /// The account of a resource of a tenant; `None` where no limit of the tenant concerns it.
    pub fn account(&self, tenant: &str, resource: &Arc<str>, class: Option<&Arc<str>>) -> Option<Account> {
        let (tenant, resources) = self.resources.get_key_value(tenant)?;
        if !resources.contains(resource) {
            return None;
        }
        let class = class.filter(|_| self.banded.contains(tenant)).map(Arc::clone);
        Some(Account { resource: Arc::clone(resource), tenant: Arc::clone(tenant), class })
    }

    /// The resource names that a tenant is limited in.
    pub fn resources(&self, tenant: &str) -> impl Iterator<Item = &Arc<str>> {
        self.resources.get(tenant).into_iter().flatten()
    }

    /// How much more an account could have beside these amounts, and which limit says so; `None` without a limit.
    pub fn room(&self, account: &Account, amounts: &Amounts) -> Option<(i128, &Limit)> {
        let limits = self.limits.iter().filter(|limit| limit.concerns(account));
        limits.map(|limit| (limit.room(account, amounts), limit)).min_by_key(|(room, _)| *room)
    }

    /// Adds amounts where all of them fit.
    ///
    /// # Errors
    /// The first account that does not, how much it asked, what it could have, and which limit says so; nothing is
    /// added then.
    pub fn add(&self, amounts: &mut Amounts, asked: &Amounts) -> Result<(), Box<Short>> {
        let mut sum = amounts.clone();
        for (account, asked) in asked.iter().filter(|(_, asked)| **asked > 0) {
            let room = self.room(account, &sum);
            if let Some((room, limit)) = room.filter(|(room, _)| room < asked) {
                let (account, limit) = (account.clone(), limit.clone());
                return Err(Box::new(Short { account, asked: *asked, room, wanted_back: 0, limit }));
            }
            let next = of(&sum, account).saturating_add(*asked);
            sum.insert(account.clone(), next);
        }
        *amounts = sum;
        Ok(())
    }
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
    pub limit: Limit,
}

/// The domains of all tenants that have budgets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Domains {
    /// The domains by name.
    pub by_name: BTreeMap<Arc<str>, Domain>,
    of_tenant: BTreeMap<Arc<str>, Arc<str>>,
}

impl Domains {
    /// The domains of these tenants.
    pub fn of(index: &TenantIndex) -> Self {
        let mut domains = Self::default();
        for tenant in index.tenants() {
            let root = tenant.parents.last().and_then(|root| index.tenant(root)).unwrap_or(tenant);
            let name = match &root.budget.cohort {
                Some(cohort) => format!("cohort.{cohort}"),
                None => format!("tenant.{}", root.name),
            };
            let (name, member): (Arc<str>, Arc<str>) = (name.into(), tenant.name.as_str().into());
            let domain = domains.by_name.entry(Arc::clone(&name)).or_default();
            let chain =
                || std::iter::once(&tenant.name).chain(&tenant.parents).filter_map(|name| index.tenant(name));
            let resources: BTreeSet<_> = chain().flat_map(|tenant| resources(tenant)).collect();
            if chain().any(|tenant| !tenant.budget.bands.is_empty()) {
                domain.banded.insert(Arc::clone(&member));
            }
            domain.resources.insert(Arc::clone(&member), resources);
            domains.of_tenant.insert(member, name);
        }
        let mut by_depth: Vec<_> = index.tenants().collect();
        by_depth.sort_by_key(|tenant| tenant.parents.len());
        for tenant in &by_depth {
            let limits = limits(tenant, index);
            if let Some(domain) = domains.of_tenant.get(tenant.name.as_str()).cloned() {
                domains.by_name.entry(domain).or_default().limits.extend(limits);
            }
        }
        domains.add_cohorts(&by_depth, index);
        domains.by_name.retain(|_, domain| !domain.limits.is_empty());
        domains
    }

    /// The domain of a tenant, and its name.
    pub fn of_tenant(&self, tenant: &str) -> Option<(&Arc<str>, &Domain)> {
        let name = self.of_tenant.get(tenant)?;
        self.by_name.get_key_value(name)
    }

    /// Every resource name that some limit is about.
    pub fn resources(&self) -> BTreeSet<Arc<str>> {
        let limits = self.by_name.values().flat_map(|domain| &domain.limits);
        limits.map(|limit| Arc::clone(&limit.resource)).collect()
    }

    /// The limits of what the tenants of a cohort lend each other: siblings, or uppermost ones.
    fn add_cohorts(&mut self, tenants: &[&Arc<Tenant>], index: &TenantIndex) {
        let mut cohorts: BTreeMap<(Option<&str>, &str), Vec<&Tenant>> = BTreeMap::new();
        for tenant in tenants {
            if let Some(cohort) = &tenant.budget.cohort {
                let parent = tenant.parents.first().map(String::as_str);
                cohorts.entry((parent, cohort)).or_default().push(tenant);
            }
        }
        for ((_, cohort), members) in cohorts {
            let shared: BTreeSet<_> = members.iter().flat_map(|tenant| tenant.budget.hard.keys()).collect();
            let limits = shared.into_iter().map(|resource| cohort_limit(cohort, resource, &members, index));
            let domain = members.first().and_then(|member| self.of_tenant.get(member.name.as_str())).cloned();
            if let Some(domain) = domain {
                self.by_name.entry(domain).or_default().limits.extend(limits.collect::<Vec<_>>());
            }
        }
    }
}

/// The resources that a tenant's own budget limits.
fn resources(tenant: &Tenant) -> impl Iterator<Item = Arc<str>> {
    let budget = &tenant.budget;
    let hard = budget.hard.keys().chain(budget.bands.iter().flat_map(|band| band.hard.keys()));
    let namespaces = tenant.namespaces.limit.map(|_| Arc::from(NAMESPACES));
    hard.map(Arc::clone).chain(namespaces)
}

/// A tenant and all below it.
fn below(tenant: &Tenant, index: &TenantIndex) -> BTreeSet<Arc<str>> {
    let holds = index.tenants().filter(|other| index.holds(&tenant.name, &other.name));
    holds.map(|tenant| tenant.name.as_str().into()).collect()
}

fn limits(tenant: &Tenant, index: &TenantIndex) -> Vec<Limit> {
    let (name, tenants): (Arc<str>, _) = (tenant.name.as_str().into(), below(tenant, index));
    let limit = |owner, resource: &Arc<str>, bound, classes| Limit {
        owner,
        resource: Arc::clone(resource),
        bound,
        parts: vec![Part { tenants: tenants.clone(), classes, free: 0, own: bound }],
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
fn cohort_limit(cohort: &str, resource: &Arc<str>, members: &[&Tenant], index: &TenantIndex) -> Limit {
    let (mut bound, mut parts) = (0_i128, Vec::new());
    for tenant in members {
        let Some(hard) = tenant.budget.hard.get(resource) else { continue };
        let lent = tenant.budget.lend.get(resource).map_or(*hard, |lent| (*lent).min(*hard));
        bound = bound.saturating_add(lent);
        let free = hard.saturating_sub(lent);
        parts.push(Part { tenants: below(tenant, index), classes: Classes::Every, free, own: *hard });
    }
    Limit { owner: Owner::Cohort(cohort.into()), resource: Arc::clone(resource), bound, parts }
}
