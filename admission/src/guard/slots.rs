//! Namespaces that were let in and are not in the snapshot yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::{Request, TenantIndex};
use tokio::sync::watch;

/// How long a namespace that was let in counts without having been seen. The API server stores or refuses
/// it within its request's time, and the watch follows within seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was let in, by tenant, name and review.
///
/// Guarantee: among the creates that one process judges, no more than the limit are let in, in whatever
/// order they and the watch arrive. A create that the API server refuses afterwards holds its slot until
/// [`PATIENCE`] is over; one that a policy refuses gives it back. Each review has a place of its own, so that
/// giving one back frees no name that another review was let in for. The snapshot is read under the lock: with an
/// older one a request would not count what another has just freed as seen.
#[derive(Debug)]
pub(super) struct Slots {
    tenants: watch::Receiver<Arc<TenantIndex>>,
    places: Mutex<BTreeMap<Place, Instant>>,
}

/// A tenant, a namespace, and the uid of the review.
type Place = (String, String, String);

impl Slots {
    /// Slots beside the newest of these snapshots.
    pub(super) fn new(tenants: watch::Receiver<Arc<TenantIndex>>) -> Self {
        Self { tenants, places: Mutex::default() }
    }

    /// Takes a slot for a namespace of a tenant; `limits` are those of the tenant and of all above it.
    ///
    /// # Errors
    /// The tenant that has reached its limit, the number of namespaces and the limit.
    pub(super) fn take(
        &self,
        tenant: &str,
        request: &Request,
        limits: &[(&str, usize)],
        now: Instant,
    ) -> Result<(), (String, usize, usize)> {
        let namespace = request.name.as_str();
        let mut slots = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let tenants = Arc::clone(&self.tenants.borrow());
        slots.retain(|(_, name, _), until| *until > now && !has_come(&tenants, name));
        for (upper, limit) in limits {
            let waiting = slots.keys().filter(|(owner, name, _)| {
                tenants.holds(upper, owner) && name != namespace && tenants.name_for(name).is_none()
            });
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
    pub(super) fn free_known(&self) {
        let mut slots = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let tenants = Arc::clone(&self.tenants.borrow());
        slots.retain(|(_, name, _), _| !has_come(&tenants, name));
    }

    /// Gives back what a review took.
    pub(super) fn give_back(&self, request: &Request) {
        let mut slots = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|(_, name, uid), _| !(*name == request.name && *uid == request.uid));
    }
}

/// Whether the namespace that was let in is there. One of its name that is being deleted is the one before it.
fn has_come(tenants: &TenantIndex, name: &str) -> bool {
    tenants.namespace(name).is_some_and(|state| state.tenant.is_some() && !state.terminating)
}
