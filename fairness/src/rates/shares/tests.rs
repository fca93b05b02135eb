#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]

use proptest::prelude::*;

use super::*;
use crate::rates::{Class, Limits, Rates, Start};

const SECOND: Nanos = 1_000_000_000;
const TERMS: Terms = Terms { lease: 10 * SECOND, skew: SECOND };

fn one(me: &str) -> Share {
    Share::new(me, TERMS)
}

/// Writes what is drafted from a value, and takes in that it was written.
fn write(share: &mut Share, now: Nanos, limit: Limit, grants: &mut Grants, demand: u64) {
    let draft = share.draft(now, limit, grants, Rate::per_second(demand));
    *grants = draft.grants.clone();
    share.wrote(&draft);
}

#[test]
fn one_replica_has_everything() {
    let (limit, mut grants, mut share) = (Limit::per_second(80, 40), Grants::new(), one("a"));
    assert_eq!(share.held(0), Limit::NONE);
    write(&mut share, 0, limit, &mut grants, 0);
    assert_eq!((share.held(TERMS.lease - 1), share.held(TERMS.lease)), (limit, Limit::NONE));
}

#[test]
fn another_one_gets_its_part_once_the_first_has_given_it() {
    let (limit, mut grants) = (Limit::per_second(80, 40), Grants::new());
    let (mut a, mut b) = (one("a"), one("b"));
    write(&mut a, 0, limit, &mut grants, 10);
    write(&mut b, 1, limit, &mut grants, 10);
    assert_eq!((a.held(1), b.held(1)), (limit, Limit::NONE));
    // It gives before it is written.
    let draft = a.draft(2, limit, &grants, Rate::per_second(10));
    assert_eq!(a.held(2), Limit::per_second(40, 20));
    grants = draft.grants.clone();
    write(&mut b, 3, limit, &mut grants, 10);
    a.wrote(&draft);
    assert_eq!((a.held(3), b.held(3)), (Limit::per_second(40, 20), Limit::per_second(40, 20)));
    // What one asks for follows the demands.
    write(&mut b, 4, limit, &mut grants, 1_000);
    write(&mut a, 5, limit, &mut grants, 0);
    write(&mut b, 6, limit, &mut grants, 1_000);
    assert_eq!((a.held(7), b.held(7)), (Limit::per_second(5, 3), Limit::per_second(75, 37)));
}

#[test]
fn what_a_crashed_replica_had_is_free_after_its_lease() {
    let (limit, mut grants) = (Limit::per_second(80, 40), Grants::new());
    write(&mut one("a"), 0, limit, &mut grants, 0);
    let mut b = one("b");
    let end = TERMS.lease + TERMS.skew;
    write(&mut b, end - 1, limit, &mut grants, 0);
    assert_eq!(b.held(end - 1), Limit::NONE);
    write(&mut b, end, limit, &mut grants, 0);
    assert_eq!((b.held(end), grants.len()), (limit, 1));
}

#[test]
fn a_lower_limit_is_kept_to_from_the_next_write_on() {
    let (mut grants, mut a, mut b) = (Grants::new(), one("a"), one("b"));
    for now in 0..3 {
        for share in [&mut a, &mut b] {
            write(share, now, Limit::per_second(80, 40), &mut grants, 0);
        }
    }
    let limit = Limit::per_second(8, 4);
    write(&mut a, 10, limit, &mut grants, 0);
    write(&mut b, 11, limit, &mut grants, 0);
    assert_eq!((a.held(12), b.held(12)), (Limit::per_second(4, 2), Limit::per_second(4, 2)));
}

#[test]
fn an_older_draft_is_void() {
    let (limit, mut grants, mut a) = (Limit::per_second(80, 40), Grants::new(), one("a"));
    let old = a.draft(0, limit, &grants, Rate::per_second(1));
    let mut b = one("b");
    write(&mut b, 0, limit, &mut grants, 0);
    let new = a.draft(1, limit, &grants, Rate::per_second(1));
    a.wrote(&old);
    assert_eq!(a.held(1), Limit::NONE);
    a.wrote(&new);
    assert_eq!(a.held(1), Limit::NONE);
}

/// What may happen to replicas that share a limit.
#[derive(Debug, Clone)]
enum Step {
    Draft {
        replica: usize,
        demand: u64,
    },
    /// A write on its way arrives, and its outcome is told or not.
    Arrive {
        which: usize,
        told: bool,
    },
    /// A write on its way is lost.
    Lose {
        which: usize,
    },
    /// The replica starts anew under another name.
    Restart {
        replica: usize,
    },
    Wait {
        time: Nanos,
    },
    /// Requests come to a replica.
    Check {
        replica: usize,
        requests: u32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let replica = 0_usize..4;
    prop_oneof![
        4 => (replica.clone(), 0_u64..200).prop_map(|(replica, demand)| Step::Draft { replica, demand }),
        4 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(which, told)| Step::Arrive { which, told }),
        1 => any::<usize>().prop_map(|which| Step::Lose { which }),
        1 => replica.clone().prop_map(|replica| Step::Restart { replica }),
        2 => (0..4 * SECOND).prop_map(|time| Step::Wait { time }),
        3 => (replica, 1_u32..40).prop_map(|(replica, requests)| Step::Check { replica, requests }),
    ]
}

struct Replica {
    share: Share,
    rates: Rates,
    /// By how much its clock is ahead of the slowest.
    ahead: Nanos,
    serial: u32,
}

/// A store with a version, writes on their way, and replicas whose clocks differ.
struct World {
    limit: Limit,
    now: Nanos,
    grants: Grants,
    version: u64,
    replicas: Vec<Replica>,
    /// Replica and its serial, the version it was made from, the draft.
    writes: Vec<(usize, u32, u64, Draft)>,
    /// When how many requests passed.
    passed: Vec<(Nanos, u32)>,
}

const TENANT: (&str, Class) = ("acme", Class::Write);

impl World {
    fn new(limit: Limit) -> Self {
        let replica = |number: u64| Replica {
            share: one(&format!("r{number}-0")),
            rates: Rates::new(),
            ahead: number * TERMS.skew / 4,
            serial: 0,
        };
        Self {
            limit,
            now: SECOND,
            grants: Grants::new(),
            version: 0,
            replicas: (0..4).map(replica).collect(),
            writes: Vec::new(),
            passed: Vec::new(),
        }
    }

    /// Lets a replica use what it holds, and no more.
    fn set(&self, at: usize) {
        let replica = &self.replicas[at];
        let now = self.now + replica.ahead;
        let limits = Limits { tenant: replica.share.held(now), user: None };
        let known = replica.rates.standing(now, TENANT.0, TENANT.1);
        if known.is_none_or(|standing| standing.limits != limits) {
            replica.rates.set(now, TENANT.0, TENANT.1, limits, Start::Empty);
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Draft { replica: at, demand } => {
                let replica = &mut self.replicas[at];
                let now = self.now + replica.ahead;
                let draft = replica.share.draft(now, self.limit, &self.grants, Rate::per_second(demand));
                self.writes.push((at, replica.serial, self.version, draft));
            }
            Step::Arrive { which, told } if !self.writes.is_empty() => {
                let (at, serial, version, draft) = self.writes.remove(which % self.writes.len());
                if version != self.version {
                    return;
                }
                self.version += 1;
                self.grants = draft.grants.clone();
                let replica = &mut self.replicas[at];
                if told && replica.serial == serial {
                    replica.share.wrote(&draft);
                }
            }
            Step::Lose { which } if !self.writes.is_empty() => {
                self.writes.remove(which % self.writes.len());
            }
            Step::Arrive { .. } | Step::Lose { .. } => {}
            Step::Restart { replica: at } => {
                let replica = &mut self.replicas[at];
                replica.serial += 1;
                replica.share = one(&format!("r{at}-{}", replica.serial));
                replica.rates = Rates::new();
            }
            Step::Wait { time } => self.now += time,
            Step::Check { replica: at, requests } => {
                for at in 0..self.replicas.len() {
                    self.set(at);
                }
                let replica = &self.replicas[at];
                let now = self.now + replica.ahead;
                let pass =
                    (0..requests).filter(|_| replica.rates.check(now, TENANT.0, TENANT.1, None, 1).is_ok());
                let pass = u32::try_from(pass.count()).unwrap();
                self.passed.push((self.now, pass));
            }
        }
        // A part is used as soon as it is held.
        for at in 0..self.replicas.len() {
            self.set(at);
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let held = self.replicas.iter().map(|replica| replica.share.held(self.now + replica.ahead));
        let (rate, burst) =
            held.fold((0, 0), |(rate, burst), part| (rate + part.rate.as_thousandths(), burst + part.burst));
        prop_assert!(rate <= self.limit.rate.as_thousandths() && burst <= self.limit.burst);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn parts_never_sum_to_more_than_the_limit(
        rate in 1_u64..100, burst in 0_u32..60, steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut world = World::new(Limit::per_second(rate, burst));
        for step in &steps {
            world.take(step);
            world.check()?;
        }
        // Nor do more requests pass in any time.
        for (from, (start, _)) in world.passed.iter().enumerate() {
            let mut sum = 0_u64;
            for (end, passed) in &world.passed[from..] {
                sum += u64::from(*passed);
                let most = u128::from(burst) * u128::from(SECOND) + u128::from(rate) * u128::from(end - start);
                prop_assert!(u128::from(sum) * u128::from(SECOND) <= most);
            }
        }
    }
}
