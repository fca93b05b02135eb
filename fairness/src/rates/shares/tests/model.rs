//! Replicas whose writes get lost, arrive late or unnoticed, whose clocks differ, and that crash, held against the promise.

use proptest::prelude::*;

use super::*;
use crate::rates::{Limits, Rates, Start};

/// What may happen to replicas that share limits.
#[derive(Debug, Clone)]
enum Step {
    /// A replica drafts from what is persisted, or from what it was before the last writes.
    Draft {
        replica: usize,
        demands: [u64; 2],
    },
    /// A replica drafts, and its write arrives at once.
    Write {
        replica: usize,
        demands: [u64; 2],
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
    /// The replica ends in order.
    Leave {
        replica: usize,
    },
    /// A replica forgets, or learns again, that there is the first tenant.
    Know {
        replica: usize,
        knows: bool,
    },
    Wait {
        time: Nanos,
    },
    /// Requests of a tenant come to a replica.
    Check {
        replica: usize,
        tenant: usize,
        requests: u32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let replica = 0_usize..4;
    let demands = || [0_u64..200, 0_u64..200];
    prop_oneof![
        6 => (replica.clone(), demands()).prop_map(|(replica, demands)| Step::Draft { replica, demands }),
        8 => (replica.clone(), demands()).prop_map(|(replica, demands)| Step::Write { replica, demands }),
        6 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(which, told)| Step::Arrive { which, told }),
        1 => any::<usize>().prop_map(|which| Step::Lose { which }),
        1 => replica.clone().prop_map(|replica| Step::Restart { replica }),
        1 => replica.clone().prop_map(|replica| Step::Leave { replica }),
        1 => (replica.clone(), any::<bool>()).prop_map(|(replica, knows)| Step::Know { replica, knows }),
        3 => (0..8 * SECOND).prop_map(|time| Step::Wait { time }),
        3 => (replica, 0_usize..2, 1_u32..40)
            .prop_map(|(replica, tenant, requests)| Step::Check { replica, tenant, requests }),
    ]
}

const TENANTS: [&str; 2] = ["acme", "other"];

struct Running {
    replica: Replica,
    rates: Rates,
    /// Its clock: begins anywhere, and goes a tenth faster or slower.
    offset: Nanos,
    percent: u64,
    knows: bool,
    serial: u32,
}

impl Running {
    fn new(number: u64) -> Self {
        let mut new = Self {
            replica: Replica::new(&format!("r{number}-0"), TERMS),
            rates: Rates::new(),
            offset: number * 1_000 * SECOND,
            percent: 90 + 7 * number,
            knows: true,
            serial: 0,
        };
        new.restart(number, 0);
        new
    }

    fn restart(&mut self, number: u64, serial: u32) {
        (self.serial, self.knows) = (serial, true);
        self.replica = Replica::new(&format!("r{number}-{serial}"), TERMS);
        self.rates = Rates::shared();
    }

    const fn now(&self, now: Nanos) -> Nanos {
        self.offset + now * self.percent / 100
    }

    /// What it may use of a tenant's limit.
    fn held(&self, now: Nanos, tenant: &str, limit: Limit) -> Limit {
        let held = if self.now(now) < self.replica.until() { self.replica.held() } else { &Holding::none() };
        held.part(&key(tenant), limit)
    }

    fn hold(&self, now: Nanos, start: Start) {
        self.rates.hold(self.now(now), self.replica.held(), self.replica.until(), start);
    }
}

struct Write {
    replica: usize,
    serial: u32,
    /// The version it was made from.
    version: u64,
    draft: Draft,
}

/// A store with a version, writes on their way, and replicas.
struct World {
    limits: [Limit; 2],
    now: Nanos,
    ledger: Ledger,
    version: u64,
    replicas: Vec<Running>,
    writes: Vec<Write>,
    /// Of each tenant, when how many requests passed since somebody began with full buckets.
    passed: [Vec<(Nanos, u32)>; 2],
}

impl World {
    fn new(limits: [Limit; 2]) -> Self {
        Self {
            limits,
            now: SECOND,
            ledger: Ledger::new(),
            version: 0,
            replicas: (0..4).map(Running::new).collect(),
            writes: Vec::new(),
            passed: Default::default(),
        }
    }

    fn set(&self, at: usize) {
        let running = &self.replicas[at];
        for (tenant, limit) in TENANTS.into_iter().zip(self.limits) {
            let limits = Limits { tenant: limit, user: None };
            running.rates.set(running.now(self.now), tenant, Class::Write, limits, Start::Full);
        }
    }

    fn draft(&mut self, at: usize, demands: [u64; 2]) {
        let (limits, running) = (self.limits, &mut self.replicas[at]);
        let (now, knows) = (running.now(self.now), running.knows);
        let demands = TENANTS.into_iter().zip(demands);
        let demands = demands.map(|(tenant, demand)| (key(tenant), Rate::per_second(demand))).collect();
        let known = |key: &Key| match &*key.0 {
            "acme" => Some(limits[0]).filter(|_| knows),
            _ => Some(limits[1]),
        };
        let draft = running.replica.draft(now, &self.ledger, &demands, known);
        running.hold(self.now, Start::Empty);
        self.writes.push(Write { replica: at, serial: running.serial, version: self.version, draft });
    }

    fn arrive(&mut self, which: usize, told: bool) {
        if self.writes.is_empty() {
            return;
        }
        let write = self.writes.remove(which % self.writes.len());
        if write.version != self.version {
            return;
        }
        self.version += 1;
        self.ledger = write.draft.ledger.clone();
        let running = &mut self.replicas[write.replica];
        if told && running.serial == write.serial {
            running.replica.wrote(&write.draft);
            let start = if write.draft.first { Start::Full } else { Start::Empty };
            if write.draft.first {
                self.passed = Default::default();
            }
            running.hold(self.now, start);
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Draft { replica, demands } => self.draft(replica, demands),
            Step::Write { replica, demands } => {
                self.draft(replica, demands);
                self.arrive(self.writes.len() - 1, true);
            }
            Step::Arrive { which, told } => self.arrive(which, told),
            Step::Lose { which } if !self.writes.is_empty() => {
                self.writes.remove(which % self.writes.len());
            }
            Step::Lose { .. } => {}
            Step::Restart { replica: at } => {
                let running = &mut self.replicas[at];
                running.restart(at as u64, running.serial + 1);
            }
            Step::Leave { replica: at } => {
                let running = &mut self.replicas[at];
                self.ledger = running.replica.leave(&self.ledger);
                self.version += 1;
                running.restart(at as u64, running.serial + 1);
            }
            Step::Know { replica, knows } => self.replicas[replica].knows = knows,
            Step::Wait { time } => self.now += time,
            Step::Check { replica, tenant, requests } => {
                // Nobody's limits are set before they come.
                self.set(replica);
                let running = &self.replicas[replica];
                let now = running.now(self.now);
                let pass = (0..requests)
                    .filter(|_| running.rates.check(now, TENANTS[tenant], Class::Write, None, 1).is_ok());
                let pass = u32::try_from(pass.count()).unwrap();
                self.passed[tenant].push((self.now, pass));
            }
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for (tenant, limit) in TENANTS.into_iter().zip(self.limits) {
            let held = self.replicas.iter().map(|running| running.held(self.now, tenant, limit));
            let (rate, burst) = held
                .fold((0, 0), |(rate, burst), part| (rate + part.rate.as_thousandths(), burst + part.burst));
            prop_assert!(rate <= limit.rate.as_thousandths() && burst <= limit.burst, "{:?}", self.ledger);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]
    #[test]
    fn parts_never_sum_to_more_than_the_limit(
        rates in [1_u64..100, 1_u64..100],
        bursts in [0_u32..60, 0_u32..60],
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let limits = [Limit::per_second(rates[0], bursts[0]), Limit::per_second(rates[1], bursts[1])];
        let mut world = World::new(limits);
        for step in &steps {
            world.take(step);
            world.check()?;
        }
        // Nor do more requests pass in any time; the fastest clock gains a ninth.
        for (passed, limit) in world.passed.iter().zip(limits) {
            for (from, (start, _)) in passed.iter().enumerate() {
                let mut sum = 0_u64;
                for (end, more) in &passed[from..] {
                    sum += u64::from(*more);
                    let most = u128::from(limit.burst) * u128::from(SECOND)
                        + u128::from(limit.rate.as_thousandths()) * u128::from(end - start) * 111 / 100_000;
                    prop_assert!(u128::from(sum) * u128::from(SECOND) <= most, "{sum} in {}", end - start);
                }
            }
        }
    }

    /// However it went before: replicas that can write get to the fair parts, and whoever is asked alone to nearly all.
    #[test]
    fn who_is_asked_alone_has_nearly_everything_soon(
        steps in prop::collection::vec(step(), 0..60), who in 0_usize..4,
    ) {
        let limits = [Limit::per_second(80, 40); 2];
        let mut world = World::new(limits);
        steps.iter().for_each(|step| world.take(step));
        world.writes.clear();
        world.replicas.iter_mut().for_each(|running| running.knows = true);
        // Those that were before are seen to be gone, then three rounds are enough.
        for wait in [0, 8, 8, 8, 0, 0, 0] {
            world.now += wait * SECOND;
            for at in 0..4 {
                world.draft(at, if at == who { [1_000, 0] } else { [0, 0] });
                world.arrive(0, true);
            }
        }
        let held = world.replicas[who].held(world.now, "acme", limits[0]);
        prop_assert!(held.rate >= Rate::per_second(72) && held.burst >= 36, "{held:?}");
        let other = world.replicas[who].held(world.now, "other", limits[1]);
        prop_assert_eq!(other, Limit::per_second(20, 10));
    }
}
