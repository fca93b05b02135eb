//! Every interleaving of a small case: two real ledgers with caches that lag, one tenant with two namespaces, a store,
//! writes whose answers are late or lost, crashes, clocks that differ, a budget that changes.
//!
//! The model is the world around the ledgers, and the ledgers are the ones that decide in production. What can happen is
//! counted down in the state ([`Left`]), so the space is finite and is explored to its end. In three ways the world is
//! simpler than the real one: one tick is as long as a lease, a request and an account's idling; a watch of the shares
//! brings the newest or nothing; a replica that could not renew its lease for too long comes back under another name.

mod canonical;
mod properties;
mod steps;
mod world;

use stateright::{Checker, HasDiscoveries, Model, Property};

use super::*;
use crate::ledger::account::of;
use world::{Action, Event, Flying, Put, Replica, Still, TICK, Waiting, World};

/// The places that requests are about, in the two namespaces of the tenant; the last two when all else is over.
const SLOTS: [(&str, &str); 4] = [("a", "x"), ("b", "y"), ("a", "late"), ("b", "late")];

const FITS: &str = "no budget is passed";
const CLAIMED: &str = "caches and shares claim what is stored and may be";
const COVERED: &str = "nothing is given beyond a share";
const FULL: &str = "a budget is full";

/// How often each of these may happen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Left {
    deletes: u8,
    /// Requests that the replica refuses after all.
    releases: u8,
    /// Writes whose answers are not waited for.
    losses: u8,
    ticks: u8,
    /// Ticks by which the clock of a replica differs from the true one.
    drifts: u8,
    crashes: u8,
    /// Replicas that cannot renew their lease.
    isolations: u8,
}

/// What is explored. What is not counted here may happen whenever it can: a write is drafted, arrives, is answered; a
/// watch brings the next event; an object is stored, or its request dies with the time.
#[derive(Debug, Clone)]
struct Plan {
    /// Requests by slot and amount, each of which comes once at most, at any time, to any replica. It creates the
    /// object, or changes it where there is one.
    requests: Vec<(usize, i128)>,
    /// The budget, one after another.
    budgets: Vec<i128>,
    left: Left,
}

/// A fault that the check has to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A replica takes of what is free although its cache is behind a horizon.
    NoHorizons,
    /// The store takes a write whose version is not the one it replaces.
    StaleWrites,
    /// A replica that could not renew its lease goes on under its name.
    SameName,
    /// The share of a replica that is gone is taken without having seen what it let in last.
    BlindRemoval,
    /// Clocks may differ by more than the times allow for.
    NoMargin,
}

/// The model: a plan, with what is made of it once.
#[derive(Debug, Clone)]
struct Check {
    plan: Plan,
    fault: Option<Fault>,
    kind: Arc<Kind>,
    domain: Arc<str>,
    account: Account,
    places: Vec<Place>,
    uids: Vec<Arc<str>>,
    budgets: Vec<(i128, Arc<TenantIndex>)>,
}

impl Check {
    fn new(plan: Plan, fault: Option<Fault>) -> Self {
        let budgets = plan.budgets.iter().map(|bound| {
            let budget = Budget { hard: hard(&[("things", *bound)]), ..Budget::default() };
            (*bound, index(vec![tenant("t", &[], budget)], &[("a", "t"), ("b", "t")]))
        });
        let places = SLOTS.map(|(namespace, name)| Place {
            kind: things(),
            namespace: namespace.into(),
            name: name.into(),
        });
        Self {
            budgets: budgets.collect(),
            fault,
            kind: things(),
            domain: "tenant.t".into(),
            account: Account { resource: "things".into(), tenant: "t".into(), class: None },
            places: places.into(),
            uids: (0..plan.requests.len().max(SLOTS.len())).map(|uid| format!("u{uid}").into()).collect(),
            plan,
        }
    }

    /// The difference between clocks that the times allow for, in ticks.
    fn margin(&self) -> u64 {
        if self.fault == Some(Fault::NoMargin) { 0 } else { self.plan.left.drifts.into() }
    }

    /// After how long a request that was let in has ended, on any clock.
    fn lease(&self) -> Millis {
        (1 + self.margin()) * TICK
    }

    /// A lease that stands still for more ticks than this is one of a replica that decides no more, and whose requests
    /// have ended.
    fn gone_after(&self) -> u64 {
        self.margin()
    }
}

impl Model for Check {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        world.actions(self, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.act(action, self).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(FITS, |check, world: &World| world.fits(check)),
            Property::always(CLAIMED, |check, world: &World| world.is_claimed(check)),
            Property::always(COVERED, |check, world: &World| world.is_covered(check)),
            Property::always("what fits is let in", |check, world: &World| world.is_prompt(check)),
            Property::always("nothing leaks", |check, world: &World| world.ends_well(check)),
            Property::sometimes(FULL, |check, world: &World| world.used() == check.budgets[world.budget].0),
        ]
    }
}

/// Explores a plan to its end, and fails where a property does not hold of some state.
fn holds(plan: &Plan) {
    let began = std::time::Instant::now();
    let check = Check::new(plan.clone(), None).checker().finish_when(HasDiscoveries::AnyFailures);
    let check = check.threads(2).spawn_dfs().join();
    let (states, steps) = (check.unique_state_count(), check.state_count());
    println!("{states} states, {steps} steps, {:.1?}: {plan:?}", began.elapsed());
    let mut found = check.discoveries();
    assert!(found.remove(FULL).is_some(), "no budget is ever full: nothing is tested");
    let found: Vec<_> = found.into_iter().map(|(property, path)| (property, path.into_actions())).collect();
    assert!(found.is_empty(), "what does not hold, and after what: {found:?}");
}

/// Fails where a fault does not break this property.
fn breaks(fault: Fault, property: &str, plan: Plan) {
    let check = Check::new(plan, Some(fault)).checker().finish_when(HasDiscoveries::AnyFailures);
    let found = check.spawn_bfs().join().discoveries();
    assert!(found.contains_key(property), "{fault:?} breaks {:?} only", found.keys());
}

/// Requests for one of each of both namespaces.
fn plan(budgets: &[i128], left: Left) -> Plan {
    Plan { requests: vec![(0, 1), (1, 1)], budgets: budgets.to_vec(), left }
}

#[test]
fn a_budget_holds_and_all_of_it_can_be_had() {
    let requests = vec![(0, 1), (1, 2)];
    holds(&Plan { requests, ..plan(&[3], Left::default()) });
    let requests = vec![(0, 1), (0, 2)];
    holds(&Plan { requests, ..plan(&[2], Left { deletes: 1, ..Left::default() }) });
}

#[test]
fn it_holds_when_answers_are_lost() {
    holds(&plan(&[1], Left { losses: 1, ..Left::default() }));
}

#[test]
fn it_holds_when_a_replica_crashes() {
    holds(&plan(&[1], Left { crashes: 1, ticks: 1, ..Left::default() }));
}

#[test]
fn it_holds_when_the_budget_changes() {
    holds(&Plan { requests: vec![(0, 1), (1, 2)], ..plan(&[2, 1], Left::default()) });
    holds(&plan(&[1, 2], Left::default()));
}

/// `CARGO_PROFILE_DEV_OPT_LEVEL=2 cargo test -p quota --lib exhaustive -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes"]
fn it_holds_in_larger_cases() {
    let none = Left::default();
    let plans = [
        Plan { requests: vec![(0, 1), (1, 2), (0, 2)], ..plan(&[3], none.clone()) },
        Plan {
            requests: vec![(0, 1), (0, 2)],
            ..plan(&[2], Left { deletes: 1, releases: 1, losses: 1, ..none.clone() })
        },
        plan(&[2], Left { deletes: 1, losses: 1, ..none.clone() }),
        plan(&[2, 1], none.clone()),
        plan(&[1, 2], Left { crashes: 1, ticks: 1, ..none.clone() }),
        plan(&[1], Left { crashes: 1, ticks: 1, losses: 1, ..none.clone() }),
        plan(&[1], Left { crashes: 1, ticks: 1, deletes: 1, ..none.clone() }),
        plan(&[1], Left { crashes: 1, ticks: 2, drifts: 1, ..none.clone() }),
        plan(&[1], Left { isolations: 1, ticks: 2, drifts: 1, ..none }),
    ];
    plans.iter().for_each(holds);
}

#[test]
fn faults_are_found() {
    let none = Left::default();
    breaks(Fault::StaleWrites, FITS, plan(&[1], none.clone()));
    breaks(Fault::NoHorizons, FITS, plan(&[1], none.clone()));
    breaks(Fault::BlindRemoval, CLAIMED, plan(&[1], Left { crashes: 1, ticks: 1, ..none.clone() }));
    breaks(Fault::SameName, COVERED, plan(&[1], Left { isolations: 1, ticks: 1, ..none.clone() }));
    breaks(Fault::NoMargin, CLAIMED, plan(&[1], Left { isolations: 1, ticks: 2, drifts: 1, ..none }));
}
