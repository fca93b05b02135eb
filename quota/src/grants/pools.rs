//! Which pools there are: one for each budget that ResourceQuotas are to enforce, and one for each of its bands.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Enforced, Tenant, TenantIndex};

use super::Hard;
use crate::ledger::{NAMESPACES, ONE};
use crate::measure::is_of_kubernetes;

/// What the names of the ResourceQuotas begin with; the pool's name follows.
pub const QUOTA_PREFIX: &str = "bailey-grant.";

/// One budget that ResourceQuotas enforce.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pool {
    /// The tenant.
    pub tenant: Arc<str>,
    /// The band; `None` for the whole budget.
    pub band: Option<Arc<str>>,
    /// What counts.
    pub counted: Counted,
    /// The most of each resource that a ResourceQuota can count, rounded down to what it can be told.
    pub budget: Hard,
    /// The namespaces of the tenant and of those below it; `true` for those that are being deleted.
    pub members: BTreeMap<Arc<str>, bool>,
}

/// What a ResourceQuota counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Counted {
    /// Everything.
    #[default]
    All,
    /// Pods of these PriorityClasses.
    In(Vec<String>),
    /// Pods of all others, and those without one.
    NotIn(Vec<String>),
    /// Something that no pool counts.
    Otherwise,
}

impl Counted {
    /// Whether an object counts, by the PriorityClass of a Pod.
    pub fn has(&self, class: Option<&str>) -> bool {
        match (self, class) {
            (Self::All, _) => true,
            (Self::In(classes), Some(class)) => classes.iter().any(|known| known == class),
            (Self::NotIn(classes), Some(class)) => classes.iter().all(|known| known != class),
            _ => false,
        }
    }
}

/// The pools of all tenants, by name. `counts` says which resources a ResourceQuota can count: nothing that is not in a
/// namespace. A pool without such resources has no quotas.
pub fn pools(index: &TenantIndex, counts: impl Fn(&str) -> bool) -> BTreeMap<Arc<str>, Pool> {
    let mut all = BTreeMap::new();
    for tenant in index.tenants().filter(|tenant| tenant.budget.enforced == Enforced::Native) {
        let members: BTreeMap<Arc<str>, bool> = index
            .namespaces_under(&tenant.name)
            .map(|name| (name.into(), index.namespace(name).is_none_or(|state| state.terminating)))
            .collect();
        let name: Arc<str> = tenant.name.as_str().into();
        let pool = |band: Option<Arc<str>>, counted, hard: &Hard| Pool {
            tenant: Arc::clone(&name),
            band,
            counted,
            budget: countable(hard, &counts),
            members: members.clone(),
        };
        let bands = tenant.budget.bands.iter().map(|band| {
            let pool = pool(Some(band.name.as_str().into()), classes(tenant, band), &band.hard);
            (format!("{name}.{}", band.name).into(), pool)
        });
        let whole = (Arc::clone(&name), pool(None, Counted::All, &tenant.budget.hard));
        all.extend(std::iter::once(whole).chain(bands));
    }
    all
}

fn classes(tenant: &Tenant, band: &model::Band) -> Counted {
    if !band.priority_classes.is_empty() {
        return Counted::In(band.priority_classes.clone());
    }
    let others: Vec<_> =
        tenant.budget.bands.iter().flat_map(|band| &band.priority_classes).cloned().collect();
    if others.is_empty() { Counted::All } else { Counted::NotIn(others) }
}

fn countable(hard: &Hard, counts: impl Fn(&str) -> bool) -> Hard {
    let known =
        hard.iter().filter(|(name, _)| name.as_ref() != NAMESPACES && is_of_kubernetes(name) && counts(name));
    known.map(|(name, amount)| (Arc::clone(name), whole_units(name, *amount))).collect()
}

/// An amount in parts that a ResourceQuota takes of the resource, rounded down.
pub(super) fn whole_units(resource: &str, amount: i128) -> i128 {
    let unit = if resource.ends_with("cpu") { ONE.checked_div(1_000).unwrap_or(ONE) } else { ONE };
    amount.checked_div(unit).unwrap_or_default().saturating_mul(unit)
}
