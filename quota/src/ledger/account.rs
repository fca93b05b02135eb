use std::collections::BTreeMap;
use std::sync::Arc;

pub use crate::measure::GroupResource as Kind;
use crate::measure::{Amounts as Summed, ExtendedNames, Measured};

/// What amounts are added up by: the smallest part of a budget that a replica holds a share of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// The tenant whose namespace the objects are in. It is first, so that a tenant's accounts follow each other.
    pub tenant: Arc<str>,
    /// The canonical resource name, such as `requests.cpu` or `count/jobs.batch`.
    pub resource: Arc<str>,
    /// The PriorityClass of Pods, empty for those without one; `None` for everything else, and for Pods of
    /// tenants whose budgets know no bands.
    pub class: Option<Arc<str>>,
}

/// Amounts by account, in billionths; none of them negative.
pub type Amounts = BTreeMap<Account, i128>;

/// What one object counts as: resource names with amounts in billionths, in order.
pub type Charges = Arc<[(Arc<str>, i128)]>;

/// A place in the cluster, where there is at most one object at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The kind.
    pub kind: Arc<Kind>,
    /// The namespace; empty for cluster-scoped objects.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

/// An object as it was seen stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its uid.
    pub uid: Arc<str>,
    /// Its resource version.
    pub version: u64,
    /// The tenant that its own label names; of cluster-scoped objects only.
    pub tenant: Option<Arc<str>>,
    /// The PriorityClass of a Pod, empty without one; `None` for everything else.
    pub class: Option<Arc<str>>,
    /// What it counts as.
    pub charges: Charges,
}

/// What a measured object is to the ledger, with what sums and DeviceClasses say of it: its charges, and the
/// PriorityClass of a Pod.
/// Requests and stored objects have to be read alike.
pub fn counted_as(
    kind: &Kind,
    measured: &Measured,
    sums: &Summed,
    extended: &ExtendedNames,
) -> (Charges, Option<Arc<str>>) {
    let is_pod = kind.resource == "pods" && kind.group.is_empty();
    let class = measured.priority_class().or(is_pod.then_some("")).map(Arc::from);
    let whole;
    let amounts = match is_claim_for_devices(kind) {
        true => {
            whole = measured.with_extended(extended);
            &whole
        }
        false => &measured.amounts,
    };
    let all = amounts.iter().chain(sums);
    let charges = all.map(|(name, amount)| (Arc::from(name.as_ref()), *amount));
    (charges.collect(), class)
}

/// Whether objects of a kind count by what DeviceClasses say of their devices.
pub fn is_claim_for_devices(kind: &Kind) -> bool {
    kind.group == "resource.k8s.io" && kind.resource == "resourceclaims"
}

/// Adds to an account; what becomes nothing is left out.
pub(super) fn add(amounts: &mut Amounts, account: &Account, amount: i128) {
    if amount == 0 {
        return;
    }
    let sum = amounts.entry(account.clone()).or_default();
    *sum = sum.saturating_add(amount);
    if *sum == 0 {
        amounts.remove(account);
    }
}

/// What an account has.
pub(super) fn of(amounts: &Amounts, account: &Account) -> i128 {
    amounts.get(account).copied().unwrap_or_default()
}

/// Adds all amounts of another sum.
pub(super) fn gather(amounts: &mut Amounts, more: &Amounts) {
    more.iter().for_each(|(account, amount)| add(amounts, account, *amount));
}

/// What a tenant has.
pub(super) fn of_tenant<'a>(
    amounts: &'a Amounts,
    tenant: &Arc<str>,
) -> impl Iterator<Item = (&'a Account, &'a i128)> + use<'a> {
    let tenant = Arc::clone(tenant);
    let first = Account { tenant: Arc::clone(&tenant), resource: "".into(), class: None };
    amounts.range(first..).take_while(move |(account, _)| account.tenant == tenant)
}
