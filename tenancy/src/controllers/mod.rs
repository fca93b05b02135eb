//! Keeps what tenants have in the cluster as it should be: a pure plan, then server-side apply.
//!
//! Only objects with the label `bailey.dev/managed-by` are looked at; each is written when it differs, so
//! an unchanged cluster gets no writes. Several replicas do the same work at once without harm: an apply of
//! what is already there changes nothing. A plan holds a bounded number of writes, so that what changes while
//! many are due does not wait for all of them.

mod apply;
mod content;
mod deletion;
pub(crate) mod exceptions;
mod network;
mod plan;
#[cfg(test)]
mod plan_tests;
pub(crate) mod requests;
mod status;
mod wanted;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use model::{TenantIndex, WALLS_LABEL, WALLS_STANDING};
use quota::grants::GrantDesk;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};

use crate::api::tenant::Tenant;
use crate::cluster::api_message;
use plan::{Plan, Situation, Wishes};
use watch::Observed;

/// How long changes are gathered before a plan is made.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// How long a namespace is left alone after a write to it failed.
const AGAIN: Duration = Duration::from_secs(2);
/// About how many writes one plan holds.
const WRITES: usize = 400;

/// What the controller follows.
pub(crate) struct Follow {
    /// All tenants and namespaces.
    pub(crate) index: Receiver<Arc<TenantIndex>>,
    /// The objects of tenants.
    pub(crate) observed: Receiver<Arc<BTreeMap<String, Tenant>>>,
    /// Whether both are listed.
    pub(crate) synced: Receiver<bool>,
    /// Where ResourceQuotas hold budgets.
    pub(crate) grants: Arc<GrantDesk>,
}

/// What could not be written: why, and until when it is left alone. By namespace.
#[derive(Default)]
struct Failures(BTreeMap<String, (String, Instant)>);

/// The controller between two plans.
struct Controller {
    client: Client,
    follow: Follow,
    observed: Observed,
    wishes: Wishes,
    failures: Failures,
    /// The namespaces in which no ResourceQuota holds a budget yet that is to.
    unsettled: BTreeSet<String>,
}

/// Runs the controller for ever.
pub(crate) async fn run(client: Client, mut follow: Follow) {
    // An error means that the watch has ended, and with it the process.
    drop(follow.synced.wait_for(|synced| *synced).await);
    let mut seen = watch::watches(&client);
    let observed = Observed::default();
    let (wishes, failures) = (Wishes::default(), Failures::default());
    let mut news = follow.grants.news();
    let unsettled = BTreeSet::new();
    let mut controller = Controller { client, follow, observed, wishes, failures, unsettled };
    let mut due = Some(Instant::now());
    loop {
        let listed = controller.observed.is_listed();
        tokio::select! {
            Some(seen) = seen.next() => if controller.observed.take(seen) {
                due = sooner(due, after(DEBOUNCE));
            },
            Ok(()) = controller.follow.index.changed() => due = sooner(due, after(DEBOUNCE)),
            Ok(()) = controller.follow.observed.changed() => due = sooner(due, after(DEBOUNCE)),
            Ok(()) = news.changed(), if !controller.unsettled.is_empty() => due = sooner(due, after(DEBOUNCE)),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && listed => {
                due = controller.pass().await;
            }
        }
    }
}

impl Controller {
    /// Plans and writes once; when to do so again if nothing changes.
    async fn pass(&mut self) -> Option<Instant> {
        let index = Arc::clone(&self.follow.index.borrow_and_update());
        let tenants = Arc::clone(&self.follow.observed.borrow_and_update());
        let resting = self.failures.resting();
        self.unsettled = self.follow.grants.unsettled(&index);
        let now = Situation {
            index: &index,
            found: &self.observed.found,
            secrets: &self.observed.secrets,
            resting: &resting,
            unsettled: &self.unsettled,
        };
        let plan = plan::plan(&now, &mut self.wishes, WRITES);
        let (more, unfinished) = (plan.more, plan.unfinished.clone());
        self.write(plan).await;
        let departures = deletion::advance(&self.client, &index, &tenants).await;
        let faults = status::Faults { failed: self.failures.messages(), kept: departures.kept, unfinished };
        if !status::report(&self.client, &index, &tenants, &faults).await {
            return after(AGAIN);
        }
        let later = departures.next.and_then(after);
        if more { after(DEBOUNCE) } else { sooner(self.failures.next(), later) }
    }

    async fn write(&mut self, plan: Plan) {
        for (step, result) in apply::take(&self.client, plan.steps).await {
            let key = step.key();
            match result {
                Ok(true) => self.observed.note(step),
                Ok(false) => {}
                Err(error) => {
                    let (kind, namespace, name) = (format!("{:?}", key.kind), &key.namespace, &key.name);
                    tracing::warn!(
                        kind,
                        namespace,
                        name,
                        error,
                        "an object could not be written, it is tried again"
                    );
                    self.failures.add(key.namespace, error);
                }
            }
        }
        let label = BTreeMap::from([(WALLS_LABEL.to_owned(), WALLS_STANDING.to_owned())]);
        let raised = futures::stream::iter(plan.standing).map(|name| {
            let (client, label) = (self.client.clone(), label.clone());
            async move {
                let result = apply::label(&client, &name, &label).await;
                (name, result)
            }
        });
        let raised: Vec<_> = raised.buffer_unordered(8).collect().await;
        for (name, error) in raised.into_iter().filter_map(|(name, result)| Some((name, result.err()?))) {
            let error = api_message(&error);
            tracing::warn!(namespace = name, error, "a namespace could not be opened, it is tried again");
            self.failures.add(name, error);
        }
    }
}

impl Failures {
    fn add(&mut self, namespace: String, error: String) {
        let now = Instant::now();
        self.0.insert(namespace, (error, now.checked_add(AGAIN).unwrap_or(now)));
    }

    /// The namespaces that are left alone. A failure whose time is over is forgotten.
    fn resting(&mut self) -> BTreeSet<String> {
        let now = Instant::now();
        self.0.retain(|_, (_, until)| *until > now);
        self.0.keys().cloned().collect()
    }

    fn messages(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(namespace, (error, _))| (namespace.clone(), error.clone())).collect()
    }

    fn next(&self) -> Option<Instant> {
        self.0.values().map(|(_, until)| *until).min()
    }
}

fn after(wait: Duration) -> Option<Instant> {
    Instant::now().checked_add(wait)
}

fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
