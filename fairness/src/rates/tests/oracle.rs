//! Random requests, against token buckets that are never forgotten.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A token bucket as it is in textbooks. It counts in the time that one request stands for.
#[derive(Debug, Clone, Copy)]
struct Tokens {
    held: u64,
    at: Nanos,
}

impl Tokens {
    fn full(limit: Limit) -> Self {
        Self { held: limit.capacity(), at: 0 }
    }

    fn fill(&mut self, now: Nanos, limit: Limit) {
        self.held = (self.held + (now - self.at)).min(limit.capacity());
        self.at = now;
    }

    fn under(&mut self, now: Nanos, old: Limit, new: Limit) {
        self.fill(now, old);
        let (old, interval) = (old.interval().unwrap(), new.interval().unwrap());
        let held = u128::from(self.held) * u128::from(interval) / u128::from(old);
        self.held = u64::try_from(held).unwrap().min(new.capacity());
    }
}

#[derive(Debug, Clone)]
enum Step {
    Check { user: u8, cost: u32 },
    Wait { time: Nanos },
    Set { tenant: (u64, u32), user: (u64, u32) },
    Prune,
}

fn step() -> impl Strategy<Value = Step> {
    let limit = || (1_u64..40, 1_u32..20);
    prop_oneof![
        8 => (0_u8..5, 1_u32..4).prop_map(|(user, cost)| Step::Check { user, cost }),
        4 => (0..SECOND).prop_map(|time| Step::Wait { time }),
        1 => (limit(), limit()).prop_map(|(tenant, user)| Step::Set { tenant, user }),
        2 => Just(Step::Prune),
    ]
}

proptest! {
    #[test]
    fn it_passes_what_token_buckets_do(steps in prop::collection::vec(step(), 1..150)) {
        let mut tenant = Limit::per_second(10, 10);
        let mut user = Limit::per_second(4, 4);
        let rates = rates(Limits { tenant, user: Some(user) });
        let mut all = Tokens::full(tenant);
        let mut each: BTreeMap<u8, Tokens> = (0..5).map(|name| (name, Tokens::full(user))).collect();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Check { user: name, cost } => {
                    let tokens = each.get_mut(&name).unwrap();
                    all.fill(now, tenant);
                    tokens.fill(now, user);
                    let costs = (
                        tenant.interval().unwrap() * u64::from(cost),
                        user.interval().unwrap() * u64::from(cost),
                    );
                    let pass = all.held >= costs.0 && tokens.held >= costs.1;
                    let got = rates.check(now, "acme", Class::Write, Some(&name.to_string()), cost);
                    prop_assert_eq!(got.is_ok(), pass);
                    if pass {
                        all.held -= costs.0;
                        tokens.held -= costs.1;
                    }
                    let left = rates.standing(now, "acme", Class::Write).unwrap().left;
                    prop_assert_eq!(u64::from(left), all.held / tenant.interval().unwrap());
                }
                Step::Wait { time } => now += time,
                Step::Set { tenant: of_all, user: of_each } => {
                    let new = (Limit::per_second(of_all.0, of_all.1), Limit::per_second(of_each.0, of_each.1));
                    rates.set(now, "acme", Class::Write, Limits { tenant: new.0, user: Some(new.1) }, Start::Full);
                    all.under(now, tenant, new.0);
                    for tokens in each.values_mut() {
                        tokens.under(now, user, new.1);
                    }
                    (tenant, user) = new;
                }
                Step::Prune => rates.prune(now),
            }
        }
    }
}
