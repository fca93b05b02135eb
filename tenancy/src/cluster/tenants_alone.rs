//! Tenants and namespaces without all the rest, for a process that decides on nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use ::fairness::rates::ByTenant;
use kube::Client;
use model::TenantIndex;
use tokio::sync::watch;

use super::lookups::Lookups;
use super::tenants::Tenants;
use crate::rates::{self, LimitOf, RateShares};
use crate::tasks::{Task, Tasks};

/// The most objects of one list request.
const PAGE: u32 = 500;

/// A running watch of tenants and namespaces; dropping it ends the watch.
pub struct TenantsAlone {
    /// All tenants and whose each namespace is; empty until both are listed.
    pub tenants: watch::Receiver<Arc<TenantIndex>>,
    /// How often each tenant may do what, by its class.
    pub rates: watch::Receiver<Arc<ByTenant>>,
    /// Whether they are listed.
    pub synced: watch::Receiver<bool>,
    client: Client,
    tasks: Tasks,
    _lookups: Lookups,
    _watch: Task,
}

/// Starts watching tenants and namespaces, and nothing else. Needs a Tokio runtime.
pub fn follow_tenants(client: Client) -> TenantsAlone {
    let tasks = Tasks::new();
    let lookups = Lookups::new(client.clone(), PAGE, tasks.clone());
    lookups.set_kinds(&BTreeSet::new());
    let (tenants, handles) = Tenants::new(client.clone(), &lookups);
    let watch = tasks.spawn("tenants", tenants.run());
    TenantsAlone {
        tenants: handles.index,
        rates: handles.rates,
        synced: handles.synced,
        client,
        tasks,
        _lookups: lookups,
        _watch: watch,
    }
}

impl TenantsAlone {
    /// Shares rates with all who name the same ledger.
    pub fn share_rates(&self, ledger: &str, limit: LimitOf) -> RateShares {
        rates::start(self.client.clone(), ledger, limit, &self.tasks)
    }

    /// Waits until a task has ended by itself, and says which; the process should end then.
    pub async fn failed(&self) -> String {
        self.tasks.failed().await
    }
}
