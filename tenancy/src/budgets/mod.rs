//! Budgets in the cluster: what counts is watched, shares are persisted, replicas that are gone are found.
//!
//! [`start`] gives a [`Desk`] at which requests get what they need. What happens behind it:
//! - `usage` follows tenants and every kind that some budget is about;
//! - `shares` follows the QuotaLedger objects, and writes them by compare-and-swap;
//! - `leases` keeps this replica's lease, and says which others are gone;
//! - `grants` follows what ResourceQuotas hold of budgets, and `mover` moves it between namespaces;
//! - `status` says in the tenants how their budgets stand;
//! - `expiry` looks at what was let in and never came.

mod expiry;
mod grants;
mod identity;
mod leases;
mod mover;
mod shares;
mod source;
mod status;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use model::TenantIndex;
use quota::desk::Desk;
use quota::grants::GrantDesk;
use quota::ledger::Ledger;
use tokio::sync::watch;
use uuid::Uuid;

use crate::api::tenant::Tenant;
use crate::tasks::{Task, Tasks};
use mover::Mover;
use shares::Writer;
pub(crate) use source::served;

/// Budgets, kept while this lives.
pub struct Budgets {
    /// Where requests get what they need.
    pub desk: Arc<Desk>,
    /// Where requests wait for grants, where ResourceQuotas hold a budget.
    pub grants: Arc<GrantDesk>,
    /// Whether the shares are listed and the lease is held.
    pub synced: watch::Receiver<bool>,
    writer: Writer,
    _tasks: Vec<Task>,
}

/// Starts following tenants and shares, and holds what is counted against a list every `check`; with the objects of
/// tenants, says in them how their budgets stand.
pub(crate) fn start(
    client: Client,
    tenants: watch::Receiver<Arc<TenantIndex>>,
    tenants_listed: watch::Receiver<bool>,
    objects: Option<watch::Receiver<Arc<BTreeMap<String, Tenant>>>>,
    check: Duration,
    tasks: &Tasks,
) -> Budgets {
    // A process that starts again is another one: what the former let in is not known to it.
    let me = Uuid::now_v7().simple().to_string();
    let desk = Arc::new(Desk::new(Ledger::new(&me)));
    let (gone, is_gone) = watch::channel(shares::Gone::default());
    let (listed, renewed, synced) =
        (watch::Sender::new(false), watch::Sender::new(false), watch::Sender::new(false));
    let writer = Writer::new(client.clone(), Arc::clone(&desk), is_gone);
    let usage = usage::Usage::new(client.clone(), Arc::clone(&desk), check, tasks.clone());
    let leases = leases::Leases::new(client.clone(), Arc::clone(&desk), gone, renewed.clone());
    let shares_listed = listed.subscribe();
    let (quotas, records, pools) =
        (watch::Sender::new(false), watch::Sender::new(false), watch::Sender::new(false));
    let all = all([listed.subscribe(), renewed.subscribe(), pools.subscribe()], synced.clone());
    let grants = Arc::new(GrantDesk::default());
    let mover = Mover::new(client.clone(), Arc::clone(&grants), objects.is_some());
    let listings = [tenants_listed, quotas.subscribe(), records.subscribe()];
    let follow = grants::follow_pools(client.clone(), Arc::clone(&grants), tenants.clone(), listings, pools);
    let says = objects.map(|objects| {
        let status =
            status::run(client.clone(), Arc::clone(&desk), Arc::clone(&grants), tenants.clone(), objects);
        tasks.spawn("statuses of budgets", status)
    });
    let quotas_task = grants::follow_quotas(client.clone(), Arc::clone(&grants), quotas);
    let records_task = grants::follow_records(client.clone(), Arc::clone(&grants), records);
    let mut running = vec![
        tasks.spawn("use of budgets", usage.run(tenants, shares_listed)),
        tasks.spawn("shares of budgets", shares::follow(client.clone(), Arc::clone(&desk), listed)),
        tasks.spawn("writes of shares", writer.clone().run()),
        tasks.spawn("lease of budgets", leases.run()),
        tasks.spawn("requests that ended", expiry::run(client, Arc::clone(&desk))),
        tasks.spawn("readiness of budgets", all),
        tasks.spawn("quotas of grants", quotas_task),
        tasks.spawn("records of grants", records_task),
        tasks.spawn("pools of grants", follow),
        tasks.spawn("moves of grants", mover.run()),
    ];
    running.extend(says);
    Budgets { desk, grants, synced: synced.subscribe(), writer, _tasks: running }
}

async fn all(parts: [watch::Receiver<bool>; 3], synced: watch::Sender<bool>) {
    for mut part in parts {
        // The senders live as long as the tasks that have them.
        let _done = part.wait_for(|done| *done).await.is_ok();
    }
    synced.send_replace(true);
    std::future::pending().await
}

impl Budgets {
    /// Gives back what this replica holds and does not need. It decides nothing any more.
    pub async fn give_back(&self) {
        self.writer.give_back().await;
    }
}
