//! Budgets in the cluster: what counts is watched, shares are persisted, replicas that are gone are found.
//!
//! [`start`] gives a [`Desk`] at which requests get what they need. What happens behind it:
//! - `usage` follows tenants and every kind that some budget is about;
//! - `shares` follows the QuotaLedger objects, and writes them by compare-and-swap;
//! - `leases` keeps this replica's lease, and says which others are gone;
//! - `status` says in the tenants how their budgets stand;
//! - `expiry` looks at what was let in and never came.

mod expiry;
mod identity;
mod leases;
mod shares;
mod source;
mod status;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::Client;
use model::TenantIndex;
use quota::desk::Desk;
use quota::ledger::Ledger;
use tokio::sync::watch;
use uuid::Uuid;

use crate::api::tenant::Tenant;
use crate::tasks::{Task, Tasks};
use shares::Writer;

/// Budgets, kept while this lives.
pub struct Budgets {
    /// Where requests get what they need.
    pub desk: Arc<Desk>,
    /// Whether the shares are listed and the lease is held.
    pub synced: watch::Receiver<bool>,
    writer: Writer,
    _tasks: Vec<Task>,
}

/// Starts following tenants and shares; with the objects of tenants, says in them how their budgets stand.
pub(crate) fn start(
    client: Client,
    tenants: watch::Receiver<Arc<TenantIndex>>,
    objects: Option<watch::Receiver<Arc<BTreeMap<String, Tenant>>>>,
    tasks: &Tasks,
) -> Budgets {
    // A process that starts again is another one: what the former let in is not known to it.
    let me = Uuid::now_v7().simple().to_string();
    let desk = Arc::new(Desk::new(Ledger::new(&me)));
    let (gone, is_gone) = watch::channel(shares::Gone::default());
    let (listed, renewed, synced) =
        (watch::Sender::new(false), watch::Sender::new(false), watch::Sender::new(false));
    let writer = Writer::new(client.clone(), Arc::clone(&desk), is_gone);
    let usage = usage::Usage::new(client.clone(), Arc::clone(&desk), tasks.clone());
    let leases = leases::Leases::new(client.clone(), Arc::clone(&desk), gone, renewed.clone());
    let shares_listed = listed.subscribe();
    let both = both(listed.subscribe(), renewed.subscribe(), synced.clone());
    let says = objects.map(|objects| {
        let status = status::run(client.clone(), Arc::clone(&desk), tenants.clone(), objects);
        tasks.spawn("statuses of budgets", status)
    });
    let mut running = vec![
        tasks.spawn("use of budgets", usage.run(tenants, shares_listed)),
        tasks.spawn("shares of budgets", shares::follow(client.clone(), Arc::clone(&desk), listed)),
        tasks.spawn("writes of shares", writer.clone().run()),
        tasks.spawn("lease of budgets", leases.run()),
        tasks.spawn("requests that ended", expiry::run(client, Arc::clone(&desk))),
        tasks.spawn("readiness of budgets", both),
    ];
    running.extend(says);
    Budgets { desk, synced: synced.subscribe(), writer, _tasks: running }
}

async fn both(
    mut listed: watch::Receiver<bool>,
    mut renewed: watch::Receiver<bool>,
    synced: watch::Sender<bool>,
) {
    // The senders live as long as the tasks that have them.
    let _listed = listed.wait_for(|listed| *listed).await.is_ok();
    let _renewed = renewed.wait_for(|renewed| *renewed).await.is_ok();
    synced.send_replace(true);
    std::future::pending().await
}

impl Budgets {
    /// Gives back what this replica holds and does not need. It decides nothing any more.
    pub async fn give_back(&self) {
        self.writer.give_back().await;
    }
}
