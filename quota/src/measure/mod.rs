//! What one object counts as: the resource names and amounts of Kubernetes' ResourceQuota.
//!
//! The amounts are those that the API server's own quota controller finds in Kubernetes 1.36, with its feature
//! gates as they are by default. Objects are taken as the API server sends them, with its defaults filled in: a
//! container's limits are not taken for requests that are missing.
//!
//! Every amount has one name. `cpu` is written `requests.cpu`, and `count/secrets` is `secrets`: [`canonical`]
//! says the one name of each. [`kinds_of`] says which kinds of object have to be seen to know how much there is
//! of a name.
//!
//! These requests can change amounts, so that they have to be measured, old object and new:
//!
//! | kind | requests | what they change |
//! | --- | --- | --- |
//! | all | `CREATE`, `DELETE` | all |
//! | Pods | `UPDATE` of `pods/resize` | `requests.*`, `limits.*` |
//! | | `UPDATE` of `pods/status` | all but `count/pods`: it may end, or have been given other resources |
//! | | `UPDATE` | whether it is `Terminating`: `activeDeadlineSeconds` may be set |
//! | Services | `UPDATE` | `services.nodeports`, `services.loadbalancers` |
//! | PersistentVolumeClaims | `UPDATE`, `UPDATE` of `…/status` | `requests.storage`, its attributes classes |
//! | ResourceClaims | `UPDATE` | devices |
//! | any with a [`Sum`] | `UPDATE`, and of `…/scale` where it reads the replicas | the sum |
//!
//! Kubernetes refuses a change by its quota only for those without `/status` and for that of
//! PersistentVolumeClaims: others are reports of what is so already.

mod devices;
mod json;
mod names;
mod number;
mod pods;
mod scopes;
mod services;
mod sums;
mod volumes;

use std::borrow::Cow;
use std::collections::BTreeMap;

use thiserror::Error;
use time::OffsetDateTime;

pub use devices::ExtendedNames;
pub use names::{GroupResource, UnknownResource, canonical, is_of_kubernetes, kinds_of};
pub use pods::unspecified;
pub use scopes::{Operator, PodScopes, Scope, Scopes};
pub use sums::{Sum, SumError, add_up, add_up_scale};

/// Amounts by canonical resource name, in billionths, as `model::quantity` has them. Never negative.
pub type Amounts = BTreeMap<Cow<'static, str>, i128>;

/// What one object counts as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    /// Its amounts; none for kinds that are never counted.
    pub amounts: Amounts,
    /// What the scopes of budgets ask of it.
    pub scopes: Scopes,
    /// A Pod that is still there after this time, the end of its grace, counts no more than `count/pods`.
    pub until: Option<OffsetDateTime>,
    /// Whether this is a ResourceClaim that Kubernetes made for the extended resources of a Pod.
    pub of_pod: bool,
}

impl Measured {
    /// The amounts at a time.
    pub fn amounts_at(&self, now: OffsetDateTime) -> Cow<'_, Amounts> {
        if self.until.is_none_or(|until| now <= until) {
            return Cow::Borrowed(&self.amounts);
        }
        let mut left = self.amounts.clone();
        left.retain(|name, _| name == "count/pods");
        Cow::Owned(left)
    }

    /// The priority class of a Pod that has one.
    pub fn priority_class(&self) -> Option<&str> {
        match &self.scopes {
            Scopes::Pod(pod) => pod.priority_class.as_deref(),
            _ => None,
        }
    }

    fn of(amounts: Amounts) -> Self {
        Self { amounts, ..Self::default() }
    }
}

/// Why an object cannot be measured.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MeasureError {
    /// It is no JSON, or nested too deeply.
    #[error("the object is not JSON: {0}")]
    Json(String),
    /// A field that counts is of the wrong type, no quantity, or negative.
    #[error("`{path}`: {reason}")]
    Field {
        /// Where it is.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What a sum adds up is no amount.
    #[error("`{sum}`: {reason}")]
    Sum {
        /// The resource name of the sum.
        sum: String,
        /// What is wrong with the value.
        reason: String,
    },
}

/// What an object counts as, given as the JSON of any version of its group.
///
/// # Errors
///
/// If a field that counts cannot be read. Of kinds that are only counted, nothing is read.
pub fn measure(group: &str, resource: &str, object: &[u8]) -> Result<Measured, MeasureError> {
    match (group, resource) {
        ("", "pods") => pods::measure(object),
        ("", "services") => services::measure(object),
        ("", "persistentvolumeclaims") => volumes::measure(object),
        ("resource.k8s.io", "resourceclaims") => devices::measure(object),
        _ if names::is_ignored(group, resource) => Ok(Measured::default()),
        _ => Ok(Measured::of(Amounts::from([(names::count(group, resource), number::ONE)]))),
    }
}

#[cfg(test)]
mod tests;
