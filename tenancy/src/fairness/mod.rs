//! What tenants get of the API server: priority levels and FlowSchemas, kept as their classes say.
//!
//! [`propose`] says what should be there and what has to be changed for it, and is pure; `bailey fairness plan` prints
//! it, and the controller here writes it: so many changes a second, each at the version that was read. Only objects with
//! Bailey's label are changed; one of somebody else that has the name of a wanted one is left alone and told of. What is
//! changed or deleted by hand is put right. Several replicas do the same work at once without harm: of two equal changes
//! one comes too late.

mod classes;
mod configuration;
mod observed;
mod own;
mod proposal;
mod standing;
mod status;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fairness::apf::objects::Subject;
use fairness::apf::plan::{Change, Object, Plan};
use fairness::apf::{DEFAULT_SERVER_SEATS, ServerVersion};
use futures::StreamExt;
use kube::Client;
use model::TenantIndex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::api::fairness_class::FairnessClass;
use crate::api::tenant::Tenant;
use crate::cluster::api_message;
pub use classes::{Classes, Membership};
pub use configuration::{Configuration, read_files};
use observed::{Kind, Observed, place};
pub(crate) use own::version as server_version;
pub use proposal::{Live, Proposal, Server, Tenants, propose};
pub use standing::Standing;
use write::Outcome;

/// How long changes are gathered before a plan is made.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// The most writes of one plan. An API server digests all of its configuration again at each.
const WRITES: usize = 50;
/// How long after a plan that wrote something the next one is made.
const PAUSE: Duration = Duration::from_secs(1);
/// How long an object is left alone after a write to it failed.
const AGAIN: Duration = Duration::from_secs(5);

/// What the controller follows.
pub(crate) struct Follow {
    /// All tenants and namespaces.
    pub(crate) index: watch::Receiver<Arc<TenantIndex>>,
    /// The objects of tenants.
    pub(crate) tenants: watch::Receiver<Arc<BTreeMap<String, Tenant>>>,
    /// The classes.
    pub(crate) classes: watch::Receiver<Arc<BTreeMap<String, FairnessClass>>>,
    /// Whether all of that is listed.
    pub(crate) synced: watch::Receiver<bool>,
    /// Where it is said how it stands.
    pub(crate) standing: watch::Sender<Standing>,
}

/// What could not be written: why, and until when it is left alone.
type Failures = BTreeMap<(Kind, String), (String, Instant)>;

/// The controller between two plans.
struct Controller {
    client: Client,
    follow: Follow,
    observed: Observed,
    own: Vec<Subject>,
    version: ServerVersion,
    failures: Failures,
    /// The last plan that was there whole: who differs from it was changed by somebody else.
    settled: Plan,
}

/// Runs the controller for ever.
pub(crate) async fn run(client: Client, mut follow: Follow) {
    // An error means that the watch has ended, and with it the process.
    drop(follow.synced.wait_for(|synced| *synced).await);
    let (own, version) = introduce(&client).await;
    let mut seen = observed::watches(&client);
    let (observed, failures) = (Observed::default(), Failures::default());
    let mut controller =
        Controller { client, follow, observed, own, version, failures, settled: Plan::default() };
    let mut due = Some(Instant::now());
    let mut not_before = Instant::now();
    loop {
        let listed = controller.observed.is_listed();
        tokio::select! {
            Some(seen) = seen.next() => if controller.observed.take(seen) {
                due = sooner(due, after(DEBOUNCE));
            },
            Ok(()) = controller.follow.index.changed() => due = sooner(due, after(DEBOUNCE)),
            Ok(()) = controller.follow.tenants.changed() => due = sooner(due, after(DEBOUNCE)),
            Ok(()) = controller.follow.classes.changed() => due = sooner(due, after(DEBOUNCE)),
            () = sleep_until(due.unwrap_or(not_before).max(not_before)), if due.is_some() && listed => {
                due = None;
                let pass = controller.pass().await;
                if pass.wrote {
                    not_before = after(PAUSE).unwrap_or(not_before);
                    due = Some(not_before);
                }
                due = sooner(due, pass.again);
            }
        }
    }
}

/// Asks the API server who this is and how old it is, until it answers.
async fn introduce(client: &Client) -> (Vec<Subject>, ServerVersion) {
    loop {
        let error = match (own::subject(client).await, own::version(client).await) {
            (Ok(own), Ok(version)) => return (own.into_iter().collect(), version),
            (Err(error), _) | (_, Err(error)) => error,
        };
        let error = api_message(&error);
        tracing::warn!(error, "the API server does not say who Bailey is, it is asked again");
        tokio::time::sleep(AGAIN).await;
    }
}

/// What came of a plan.
struct Pass {
    /// Whether something was written or tried.
    wrote: bool,
    /// When to make the next one, if nothing changes.
    again: Option<Instant>,
}

impl Controller {
    /// Plans, writes and says how it stands, once.
    async fn pass(&mut self) -> Pass {
        let index = Arc::clone(&self.follow.index.borrow_and_update());
        let tenants = Arc::clone(&self.follow.tenants.borrow_and_update());
        let objects = Arc::clone(&self.follow.classes.borrow_and_update());
        let classes = Classes::of(&objects);
        let namespaces = namespaces(&index);
        let from = Tenants { classes: &classes, tenants: &tenants, namespaces: &namespaces };
        let server = Server { seats: DEFAULT_SERVER_SEATS, version: self.version };
        // It takes 75 ms with 10,000 tenants, which no request should wait for.
        let proposed =
            tokio::task::block_in_place(|| propose(&from, &self.own, &self.observed.live(), server));
        let proposal = match proposed {
            Ok(proposal) => proposal,
            Err(fault) => {
                tracing::error!(%fault, "no plan can be made for the API server's fairness");
                return Pass { wrote: false, again: after(AGAIN) };
            }
        };
        let mut standing = self.follow.standing.borrow().clone();
        let pending = self.write(&proposal, &mut standing).await;
        let wrote = pending.tried > 0;
        let failed: BTreeMap<_, _> =
            self.failures.iter().map(|(place, (why, _))| (place.clone(), why.clone())).collect();
        let situation = status::Situation {
            from,
            objects: &objects,
            proposal: &proposal,
            observed: &self.observed,
            pending: &pending.left,
            failed: &failed,
        };
        let reported = status::report(&self.client, &situation).await;
        standing.note(&proposal);
        (standing.levels, standing.schemas) = self.observed.ours();
        (standing.pending, standing.dangling) = (pending.left.len(), self.observed.dangling().count());
        let nothing_left = pending.left.is_empty();
        self.follow.standing.send_replace(standing);
        if nothing_left {
            self.settled = proposal.plan;
        }
        let retry = self.failures.values().map(|(_, until)| *until).min();
        let unreported = if reported { None } else { after(AGAIN.min(PAUSE)) };
        Pass { wrote, again: sooner(retry, unreported) }
    }

    /// Takes the next changes of a proposal.
    async fn write(&mut self, proposal: &Proposal, standing: &mut Standing) -> Pending {
        let now = Instant::now();
        self.failures.retain(|_, (_, until)| *until > now);
        let next = next(&proposal.diff.changes, &self.failures, WRITES);
        let mut left: Vec<Change> = Vec::new();
        for (change, chosen) in proposal.diff.changes.iter().zip(&next) {
            if !chosen {
                left.push(change.clone());
                continue;
            }
            let outcome = write::take(&self.client, change, &mut self.observed).await;
            standing.count(&outcome);
            match outcome {
                Outcome::Created | Outcome::Updated | Outcome::Deleted => {
                    let repaired = was_there(&self.settled, change);
                    standing.repaired = standing.repaired.saturating_add(u64::from(repaired));
                }
                Outcome::Raced => left.push(change.clone()),
                Outcome::Failed(error) => {
                    let (kind, name) = place(object(change));
                    tracing::warn!(
                        name,
                        error,
                        "an object of flow control could not be written, it is tried again"
                    );
                    let until = after(AGAIN).unwrap_or(now);
                    self.failures.insert((kind, name.to_owned()), (error, until));
                    left.push(change.clone());
                }
            }
        }
        Pending { left, tried: next.iter().filter(|chosen| **chosen).count() }
    }
}

/// What is left of a proposal.
struct Pending {
    left: Vec<Change>,
    /// How many changes were tried.
    tried: usize,
}

/// Which changes are taken now: the first ones, without those that failed lately. Nothing is deleted while something that
/// takes its place may not be there.
fn next(changes: &[Change], failures: &Failures, most: usize) -> Vec<bool> {
    let rests = |change: &Change| {
        let (kind, name) = place(object(change));
        failures.contains_key(&(kind, name.to_owned()))
    };
    let deletes = |change: &Change| matches!(change, Change::Delete(_));
    let incomplete = changes.iter().any(|change| !deletes(change) && rests(change));
    let mut room = most;
    let choose = |change: &Change| {
        let chosen = room > 0 && !rests(change) && !(incomplete && deletes(change));
        room = room.saturating_sub(usize::from(chosen));
        chosen
    };
    changes.iter().map(choose).collect()
}

/// Whether a change brings back what was there already.
fn was_there(settled: &Plan, change: &Change) -> bool {
    match change {
        Change::Create(Object::Level(level)) | Change::Update(Object::Level(level)) => {
            let mut levels = settled.levels.iter();
            levels.any(|known| known.metadata.name == level.metadata.name && known.spec == level.spec)
        }
        Change::Create(Object::Schema(schema)) | Change::Update(Object::Schema(schema)) => {
            let mut schemas = settled.schemas.iter();
            schemas.any(|known| known.metadata.name == schema.metadata.name && known.spec == schema.spec)
        }
        Change::Delete(_) => false,
    }
}

fn object(change: &Change) -> &Object {
    let (Change::Create(object) | Change::Update(object) | Change::Delete(object)) = change;
    object
}

/// The tenant of each namespace that is a tenant's.
fn namespaces(index: &TenantIndex) -> BTreeMap<String, String> {
    let of = |tenant: &Arc<model::Tenant>| {
        let name = tenant.name.clone();
        let namespaces: Vec<_> = index.namespaces_of(&tenant.name).map(str::to_owned).collect();
        namespaces.into_iter().map(move |namespace| (namespace, name.clone()))
    };
    index.tenants().flat_map(of).collect()
}

fn after(wait: Duration) -> Option<Instant> {
    Instant::now().checked_add(wait)
}

fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use fairness::apf::plan::Class;

    use super::*;

    #[test]
    fn what_failed_rests_and_nothing_is_deleted_until_what_replaces_it_is_there() {
        let level = |name: &str| Object::Level((&Class::new(name, 1).level()).into());
        let changes = [
            Change::Create(level("a")),
            Change::Update(level("b")),
            Change::Create(level("c")),
            Change::Delete(level("d")),
        ];
        let mut failures = Failures::default();
        assert_eq!(next(&changes, &failures, 9), [true; 4]);
        assert_eq!(next(&changes, &failures, 2), [true, true, false, false]);
        failures.insert((Kind::Level, "tenants-a".to_owned()), ("no".to_owned(), Instant::now()));
        assert_eq!(next(&changes, &failures, 2), [false, true, true, false], "a rests, and d is kept");
        assert_eq!(next(&changes, &failures, 9), [false, true, true, false]);
        failures.clear();
        failures.insert((Kind::Schema, "tenants-a".to_owned()), ("no".to_owned(), Instant::now()));
        assert_eq!(next(&changes, &failures, 9), [true; 4], "it is of another kind");
    }
}
