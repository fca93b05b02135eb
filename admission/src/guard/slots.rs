//! Namespaces that were let in and are not in the snapshot yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::{Request, TenantIndex};

/// How long a namespace that was let in counts without having been seen. The API server stores or refuses
/// it within its request's time, and the watch follows within seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was let in, by tenant, name and review.
///
/// Guarantee: among the creates that one process judges, no more than the limit are let in, in whatever
/// order they and the watch arrive. A create that the API server refuses afterwards holds its slot until
/// [`PATIENCE`] is over; one that a policy refuses gives it back. Each review has a place of its own, so that
/// giving one back frees no name that another review was let in for.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<BTreeMap<Place, Instant>>);

/// A tenant, a namespace, and the uid of the review.
type Place = (String, String, String);

impl Slots {
    /// Takes a slot for a namespace of a tenant; `limits` are those of the tenant and of all above it.
    ///
    /// # Errors
    /// The tenant that has reached its limit, the number of namespaces and the limit.
    pub(super) fn take(
        &self,
        tenants: &TenantIndex,
        tenant: &str,
        request: &Request,
        limits: &[(&str, usize)],
        now: Instant,
    ) -> Result<(), (String, usize, usize)> {
        let namespace = request.name.as_str();
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|(_, name, _), until| *until > now && tenants.name_for(name).is_none());
        for (upper, limit) in limits {
            let waiting =
                slots.keys().filter(|(owner, name, _)| tenants.holds(upper, owner) && name != namespace);
            let waiting = waiting.map(|(_, name, _)| name).collect::<BTreeSet<_>>().len();
            let stored = tenants.namespaces_under(upper).filter(|name| *name != namespace).count();
            let used = stored.saturating_add(waiting);
            if used >= *limit {
                return Err(((*upper).to_owned(), used, *limit));
            }
        }
        if !request.dry_run {
            let until = now.checked_add(PATIENCE).unwrap_or(now);
            slots.insert((tenant.to_owned(), namespace.to_owned(), request.uid.clone()), until);
        }
        Ok(())
    }

    /// Frees the slots of namespaces that the snapshot has: those count there. To be called while one that is deleted
    /// is still known, for afterwards it would seem not to have come yet.
    pub(super) fn free_known(&self, tenants: &TenantIndex) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|(_, name, _), _| tenants.name_for(name).is_none());
    }

    /// Gives back what a review took.
    pub(super) fn give_back(&self, request: &Request) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|(_, name, uid), _| !(*name == request.name && *uid == request.uid));
    }
}
