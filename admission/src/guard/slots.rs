//! Namespaces that were let in and are not in the snapshot yet.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::TenantIndex;

/// How long a namespace that was let in counts without having been seen. The API server stores or refuses
/// it within its request's time, and the watch follows within seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was let in, by tenant and name.
///
/// Guarantee: among the creates that one process judges, no more than the limit are let in, in whatever
/// order they and the watch arrive. A create that the API server refuses afterwards holds its slot until
/// [`PATIENCE`] is over.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<BTreeMap<(String, String), Instant>>);

impl Slots {
    /// Takes a slot for a namespace; the number that is used already where there is none.
    ///
    /// # Errors
    /// The number of namespaces when it has reached the limit.
    pub(super) fn take(
        &self,
        tenants: &TenantIndex,
        tenant: &str,
        namespace: &str,
        limit: usize,
        now: Instant,
        dry_run: bool,
    ) -> Result<(), usize> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|(_, name), until| *until > now && tenants.name_for(name).is_none());
        let waiting = slots.keys().filter(|(owner, name)| owner == tenant && name != namespace).count();
        let stored = tenants.namespaces_of(tenant).filter(|name| *name != namespace).count();
        let used = stored.saturating_add(waiting);
        if used >= limit {
            return Err(used);
        }
        if !dry_run {
            let until = now.checked_add(PATIENCE).unwrap_or(now);
            slots.insert((tenant.to_owned(), namespace.to_owned()), until);
        }
        Ok(())
    }
}
