//! Tenants whose budgets depend on each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Tenant, TenantIndex};

use super::account::{Account, Amounts, of_tenant};
use super::limits::{Limit, PartOf, cohort_limit, limits, resources};

/// Tenants whose budgets depend on each other, and their limits: a tree of tenants, or the trees of a cohort.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Domain {
    /// The limits, those of the uppermost tenants first.
    pub limits: Vec<Arc<Limit>>,
    /// For each resource that a tenant is limited in, where it counts, in the order of the limits.
    parts: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Vec<PartOf>>>,
    banded: BTreeSet<Arc<str>>,
}

impl Domain {
    /// The account of a resource of a tenant; `None` where no limit of the tenant concerns it.
    pub fn account(&self, tenant: &str, resource: &Arc<str>, class: Option<&Arc<str>>) -> Option<Account> {
        let (tenant, resources) = self.parts.get_key_value(tenant)?;
        if !resources.contains_key(resource) {
            return None;
        }
        let class = class.filter(|_| self.banded.contains(tenant)).map(Arc::clone);
        Some(Account { resource: Arc::clone(resource), tenant: Arc::clone(tenant), class })
    }

    /// The resource names that a tenant is limited in.
    pub fn resources(&self, tenant: &str) -> impl Iterator<Item = &Arc<str>> {
        self.parts.get(tenant).into_iter().flat_map(BTreeMap::keys)
    }

    /// The tenants.
    pub(super) fn tenants(&self) -> impl Iterator<Item = &Arc<str>> {
        self.parts.keys()
    }

    /// What these amounts have of the domain's tenants.
    ///
    /// Cost: O(n log m) in the smaller of both.
    pub(super) fn part_of(&self, amounts: &Amounts) -> Amounts {
        let copy = |(account, amount): (&Account, &i128)| (account.clone(), *amount);
        if amounts.len() < self.parts.len() {
            let inside = |(account, _): &(&Account, &i128)| self.parts.contains_key(&account.tenant);
            return amounts.iter().filter(inside).map(copy).collect();
        }
        self.parts.keys().flat_map(|tenant| of_tenant(amounts, tenant)).map(copy).collect()
    }

    /// Where an account counts, in the order of the limits.
    pub(super) fn parts_of(&self, account: &Account) -> impl Iterator<Item = PartOf> {
        let all = self.parts.get(&account.tenant).and_then(|resources| resources.get(&account.resource));
        all.into_iter().flatten().copied().filter(|part| self.has(*part, account))
    }

    fn has(&self, place: PartOf, account: &Account) -> bool {
        let part = self.limits.get(place.limit).and_then(|limit| limit.parts.get(place.part));
        part.is_some_and(|part| part.classes.have(account.class.as_ref()))
    }

    /// The limits are whole: notes where each account counts.
    fn index(&mut self) {
        for (number, limit) in self.limits.iter_mut().enumerate() {
            Arc::make_mut(limit).number = number;
            for (part, tenants) in limit.parts.iter().map(|part| &part.tenants).enumerate() {
                for tenant in tenants.iter() {
                    let resources = self.parts.get_mut(tenant);
                    if let Some(parts) = resources.and_then(|resources| resources.get_mut(&limit.resource)) {
                        parts.push(PartOf { limit: number, part });
                    }
                }
            }
        }
    }
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
            let parts = resources.into_iter().map(|resource| (resource, Vec::new())).collect();
            domain.parts.insert(Arc::clone(&member), parts);
            domains.of_tenant.insert(member, name);
        }
        let mut by_depth: Vec<_> = index.tenants().collect();
        by_depth.sort_by_key(|tenant| tenant.parents.len());
        let below = below(index);
        for tenant in &by_depth {
            let limits = below.get(tenant.name.as_str()).map(|below| limits(tenant, below));
            if let Some(domain) = domains.of_tenant.get(tenant.name.as_str()).cloned() {
                let limits = limits.into_iter().flatten().map(Arc::new);
                domains.by_name.entry(domain).or_default().limits.extend(limits);
            }
        }
        domains.add_cohorts(&by_depth, &below);
        domains.by_name.retain(|_, domain| !domain.limits.is_empty());
        domains.by_name.values_mut().for_each(Domain::index);
        domains
    }

    /// The domain of a tenant, and its name.
    pub fn of_tenant(&self, tenant: &str) -> Option<(&Arc<str>, &Domain)> {
        let name = self.of_tenant.get(tenant)?;
        self.by_name.get_key_value(name)
    }

    /// The domains that are not the same in both.
    pub(super) fn unlike(&self, other: &Self) -> BTreeSet<Arc<str>> {
        let all = self.by_name.keys().chain(other.by_name.keys());
        all.filter(|name| self.by_name.get(*name) != other.by_name.get(*name)).cloned().collect()
    }

    /// Every resource name that some limit is about.
    pub fn resources(&self) -> BTreeSet<Arc<str>> {
        let limits = self.by_name.values().flat_map(|domain| &domain.limits);
        limits.map(|limit| Arc::clone(&limit.resource)).collect()
    }

    /// The limits of what the tenants of a cohort lend each other: siblings, or uppermost ones.
    fn add_cohorts(&mut self, tenants: &[&Arc<Tenant>], below: &Below) {
        let mut cohorts: BTreeMap<(Option<&str>, &str), Vec<(&Tenant, _)>> = BTreeMap::new();
        for tenant in tenants {
            if let Some(cohort) = &tenant.budget.cohort {
                let parent = tenant.parents.first().map(String::as_str);
                let below = below.get(tenant.name.as_str()).cloned().unwrap_or_default();
                cohorts.entry((parent, cohort)).or_default().push((tenant, below));
            }
        }
        for ((_, cohort), members) in cohorts {
            let shared: BTreeSet<_> =
                members.iter().flat_map(|(tenant, _)| tenant.budget.hard.keys()).collect();
            let limits = shared.into_iter().map(|resource| cohort_limit(cohort, resource, &members));
            let domain =
                members.first().and_then(|(member, _)| self.of_tenant.get(member.name.as_str())).cloned();
            if let Some(domain) = domain {
                self.by_name
                    .entry(domain)
                    .or_default()
                    .limits
                    .extend(limits.map(Arc::new).collect::<Vec<_>>());
            }
        }
    }
}

/// Every tenant with all below it.
type Below<'a> = BTreeMap<&'a str, Arc<BTreeSet<Arc<str>>>>;

fn below(index: &TenantIndex) -> Below<'_> {
    let mut below: BTreeMap<&str, BTreeSet<Arc<str>>> = BTreeMap::new();
    for tenant in index.tenants() {
        let name: Arc<str> = tenant.name.as_str().into();
        for above in std::iter::once(&tenant.name).chain(&tenant.parents) {
            below.entry(above).or_default().insert(Arc::clone(&name));
        }
    }
    below.into_iter().map(|(name, below)| (name, Arc::new(below))).collect()
}
