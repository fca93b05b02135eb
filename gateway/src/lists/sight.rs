//! What a user sees of the kinds of the cluster: what is their tenants', or what these were granted.
//!
//! | kind | what is seen |
//! | --- | --- |
//! | Namespace | those of their tenants |
//! | classes | those that objects of a tenant may name |
//! | Node | those with all labels of a tenant's `nodeSelector`; none, where it has no selector |
//! | PersistentVolume | those that a claim in a tenant's namespace has, or that are kept for one |
//! | CustomResourceDefinition | all: discovery tells everybody of them |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{ClassKind, Tenant, TenantIndex, UserInfo};

use super::cache::entry::Entry;
use super::membership::Membership;
use crate::refusal::Refusal;
use crate::target::Granted;

/// What a user sees of one kind.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    granted: Granted,
    user: UserInfo,
    /// The tenants in which the user may look around.
    tenants: Vec<Arc<Tenant>>,
    /// Of PersistentVolumes: the namespaces of those.
    namespaces: BTreeSet<String>,
}

impl Sight {
    /// What a user sees by a snapshot of tenants.
    ///
    /// # Errors
    /// For more than 1,000 tenants.
    pub(super) fn of(index: &TenantIndex, user: &UserInfo, granted: Granted) -> Result<Self, Refusal> {
        let membership = Membership::of(index, user)?;
        let tenants = membership.tenants.iter().filter_map(|tenant| index.tenant(tenant));
        let tenants: Vec<Arc<Tenant>> = tenants.map(Arc::clone).collect();
        let namespaces = match granted {
            Granted::Volume => tenants
                .iter()
                .flat_map(|tenant| index.namespaces_of(&tenant.name))
                .map(str::to_owned)
                .collect(),
            _ => BTreeSet::new(),
        };
        Ok(Self { granted, user: user.clone(), tenants, namespaces })
    }

    /// The same user's by another snapshot.
    ///
    /// # Errors
    /// As [`Sight::of`].
    pub(super) fn by(&self, index: &TenantIndex) -> Result<Self, Refusal> {
        Self::of(index, &self.user, self.granted)
    }

    /// Whether the user is a member of nothing.
    pub(super) const fn is_blind(&self) -> bool {
        self.tenants.is_empty()
    }

    /// Whether it is sure to be the same for every object.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let alike = |(one, two): (&Arc<Tenant>, &Arc<Tenant>)| {
            Arc::ptr_eq(one, two) || (one.name == two.name && one.isolation == two.isolation)
        };
        self.tenants.len() == other.tenants.len()
            && self.tenants.iter().zip(&other.tenants).all(alike)
            && self.namespaces == other.namespaces
    }

    /// Whether an object of this name may be seen, whatever else it is like; `None` where that depends.
    pub(super) fn sees_name(&self, name: &str) -> Option<bool> {
        match self.granted {
            Granted::Class(kind) => Some(self.tenants.iter().any(|tenant| may_name(tenant, kind, name))),
            Granted::Definition => Some(!self.is_blind()),
            Granted::Namespace | Granted::Node | Granted::Volume => None,
        }
    }

    /// Whether an object is seen.
    pub(super) fn sees(&self, entry: &Entry) -> bool {
        match self.granted {
            Granted::Namespace => entry
                .owner
                .as_ref()
                .is_some_and(|owner| self.tenants.iter().any(|tenant| tenant.name == *owner)),
            Granted::Node => self.tenants.iter().any(|tenant| runs_on(tenant, &entry.labels)),
            Granted::Volume => entry.owner.as_ref().is_some_and(|owner| self.namespaces.contains(owner)),
            Granted::Class(_) | Granted::Definition => self.sees_name(&entry.name) == Some(true),
        }
    }

    /// The owners of what is seen; `None` where that is no question of owners.
    pub(super) fn owners(&self) -> Option<Vec<&str>> {
        match self.granted {
            Granted::Namespace => Some(self.tenants.iter().map(|tenant| tenant.name.as_str()).collect()),
            Granted::Volume => Some(self.namespaces.iter().map(String::as_str).collect()),
            Granted::Class(_) | Granted::Definition | Granted::Node => None,
        }
    }
}

/// Whether objects of a tenant may name a class. A tenant whose walls are at fault may name none.
fn may_name(tenant: &Tenant, kind: ClassKind, name: &str) -> bool {
    let isolation = &tenant.isolation;
    isolation.fault.is_none() && isolation.rules.iter().all(|rules| rules.may_name(kind, name))
}

/// Whether a tenant's Pods are led to nodes with these labels, and to no others.
fn runs_on(tenant: &Tenant, labels: &BTreeMap<String, String>) -> bool {
    let isolation = &tenant.isolation;
    let selectors = || isolation.rules.iter().flat_map(|rules| &rules.scheduling.node_selector);
    isolation.fault.is_none()
        && selectors().next().is_some()
        && selectors().all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether what is seen of a kind may be another by another snapshot; `claimed` says of which namespaces there are volumes.
pub(super) fn unlike(
    granted: Granted,
    one: &TenantIndex,
    other: &TenantIndex,
    claimed: impl Fn(&str) -> bool,
) -> bool {
    let isolation = || {
        one.tenants().any(|tenant| {
            let known = other.tenant(&tenant.name);
            known.is_none_or(|known| !Arc::ptr_eq(known, tenant) && known.isolation != tenant.isolation)
        })
    };
    one.members_unlike(other)
        || match granted {
            Granted::Class(_) | Granted::Node => isolation(),
            Granted::Volume => one.namespaces_unlike(other).any(claimed),
            Granted::Namespace | Granted::Definition => false,
        }
}
