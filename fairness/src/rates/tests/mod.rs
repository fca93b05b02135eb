#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]

mod oracle;

use super::*;

const SECOND: Nanos = 1_000_000_000;

fn limits(tenant: Limit) -> Limits {
    Limits { tenant, user: None }
}

fn rates(limits: Limits) -> Rates {
    let rates = Rates::new();
    rates.set(0, "acme", Class::Write, limits, Start::Full);
    rates
}

fn passing(rates: &Rates, now: Nanos, user: Option<&str>) -> usize {
    let pass = (0..1_000).take_while(|_| rates.check(now, "acme", Class::Write, user, 1).is_ok());
    pass.count()
}

fn wait(rates: &Rates, now: Nanos, user: Option<&str>, cost: u32) -> Option<Nanos> {
    rates.check(now, "acme", Class::Write, user, cost).unwrap_err().retry_after
}

#[test]
fn a_burst_passes_and_then_the_rate() {
    let rates = rates(limits(Limit::per_second(10, 5)));
    assert_eq!(passing(&rates, SECOND, None), 5);
    assert_eq!(passing(&rates, 2 * SECOND - SECOND / 2, None), 5);
    assert_eq!(wait(&rates, 2 * SECOND - SECOND / 2, None, 1), Some(SECOND / 10));
    assert_eq!(passing(&rates, 2 * SECOND - SECOND / 5, None), 3);
    assert_eq!(passing(&rates, 60 * SECOND, None), 5);
}

#[test]
fn what_is_not_limited_passes() {
    let rates = rates(limits(Limit::per_second(1, 1)));
    for _ in 0..100 {
        assert_eq!(rates.check(0, "acme", Class::Read, Some("eve"), 1), Ok(()));
        assert_eq!(rates.check(0, "other", Class::Write, None, 1), Ok(()));
    }
    rates.remove("acme", Class::Write);
    assert_eq!(passing(&rates, 0, None), 1_000);
    assert_eq!(rates.standing(0, "acme", Class::Write), None);
}

#[test]
fn limits_are_kept_or_not() {
    let rates = rates(limits(Limit::per_second(1, 1)));
    for class in Class::ALL {
        rates.set(0, "other", class, limits(Limit::per_second(1, 1)), Start::Full);
    }
    rates.retain(|tenant, class| tenant == "other" && class == Class::List);
    let left: Vec<Class> =
        Class::ALL.into_iter().filter(|class| rates.standing(0, "other", *class).is_some()).collect();
    assert_eq!((left, rates.standing(0, "acme", Class::Write)), (vec![Class::List], None));
}

#[test]
fn what_to_wait_is_exact() {
    let rates = rates(limits(Limit::per_second(3, 4)));
    assert_eq!(passing(&rates, SECOND, None), 4);
    for cost in 1..=4 {
        let long = wait(&rates, SECOND, None, cost).unwrap();
        assert_eq!(wait(&rates, SECOND + long - 1, None, cost), Some(1));
        assert_eq!(long, u64::from(cost) * 333_333_334);
    }
    let enough = SECOND + wait(&rates, SECOND, None, 4).unwrap();
    assert_eq!(rates.check(enough, "acme", Class::Write, None, 4), Ok(()));
    assert_eq!(wait(&rates, 100 * SECOND, None, 5), None, "more than the burst never passes");
    rates.set(SECOND, "acme", Class::Write, limits(Limit::NONE), Start::Full);
    assert_eq!(wait(&rates, 100 * SECOND, None, 1), None);
}

#[test]
fn a_user_has_a_part_and_all_users_have_the_whole() {
    let both = Limits { tenant: Limit::per_second(10, 10), user: Some(Limit::per_second(4, 4)) };
    let rates = rates(both);
    let refused = |user| rates.check(0, "acme", Class::Write, Some(user), 1).unwrap_err();
    assert_eq!(passing(&rates, 0, Some("eve")), 4);
    assert_eq!((refused("eve").whose, refused("eve").limit), (Whose::User, Limit::per_second(4, 4)));
    // What the user's limit refuses is not taken from the tenant's.
    assert_eq!(passing(&rates, 0, Some("adam")), 4);
    assert_eq!(passing(&rates, 0, Some("carol")), 2);
    assert_eq!((refused("carol").whose, refused("carol").retry_after), (Whose::Tenant, Some(SECOND / 10)));
    // Both refuse: the one that lasts longer is told.
    assert_eq!((refused("eve").whose, refused("eve").retry_after), (Whose::User, Some(SECOND / 4)));
    assert_eq!(passing(&rates, 0, None), 0);
    let standing = rates.standing(SECOND / 2, "acme", Class::Write).unwrap();
    assert_eq!((standing.left, standing.users, standing.limits), (5, 2, both));
}

#[test]
fn a_user_has_the_same_part_as_its_tenant() {
    let both = Limits { tenant: Limit::per_second(80, 40), user: Some(Limit::per_second(8, 4)) };
    let within = |part| both.within(part).user.unwrap();
    assert_eq!(within(Limit::per_second(80, 40)), Limit::per_second(8, 4));
    assert_eq!(within(Limit::per_second(20, 10)), Limit::per_second(2, 1));
    let small = Limit { rate: Rate::thousandths(500), burst: 1 };
    assert_eq!(within(Limit::per_second(5, 3)), small);
    assert_eq!(within(Limit::NONE), Limit::NONE);
    assert_eq!(Limits { user: None, ..both }.within(small), limits(small));
}

#[test]
fn more_users_pass_no_more_requests() {
    let both = Limits { tenant: Limit::per_second(10, 10), user: Some(Limit::per_second(10, 10)) };
    let rates = rates(both);
    let users: Vec<String> = (0..1_000).map(|number| format!("user-{number}")).collect();
    let passed = users.iter().filter(|user| rates.check(0, "acme", Class::Write, Some(user), 1).is_ok());
    assert_eq!((passed.count(), rates.users()), (10, 10));
}

#[test]
fn users_who_owe_nothing_are_forgotten() {
    let both = Limits { tenant: Limit::per_second(1_000, 10), user: Some(Limit::per_second(10, 5)) };
    let rates = rates(both);
    // A bucket of which one was taken fills in 0.1 s, in which 100 requests pass.
    for number in 0..50_000_u64 {
        let user = format!("user-{number}");
        assert_eq!(rates.check(number * SECOND / 1_000, "acme", Class::Write, Some(&user), 1), Ok(()));
        assert!(rates.users() <= 210);
    }
    rates.prune(60 * SECOND);
    assert_eq!(rates.users(), 0);
}

#[test]
fn a_higher_burst_begins_empty_and_a_lower_one_spills() {
    let rates = rates(limits(Limit::per_second(10, 5)));
    let set = |now, limit| rates.set(now, "acme", Class::Write, limits(limit), Start::Full);
    set(SECOND, Limit::per_second(10, 20));
    assert_eq!(passing(&rates, SECOND, None), 5);
    set(SECOND, Limit::per_second(10, 5));
    set(10 * SECOND, Limit::per_second(1, 2));
    set(10 * SECOND, Limit::per_second(10, 20));
    assert_eq!(passing(&rates, 10 * SECOND, None), 2);
    set(10 * SECOND, Limit::NONE);
    set(20 * SECOND, Limit::per_second(10, 20));
    assert_eq!(passing(&rates, 20 * SECOND, None), 0);
    let other = Rates::new();
    other.set(SECOND, "acme", Class::Write, limits(Limit::per_second(10, 20)), Start::Empty);
    assert_eq!(passing(&other, SECOND, None), 0);
    assert_eq!(passing(&other, 2 * SECOND, None), 10);
}

#[test]
fn a_clock_that_goes_back_does_no_harm() {
    let rates = rates(limits(Limit::per_second(10, 5)));
    assert_eq!(passing(&rates, 100 * SECOND, None), 5);
    // A little: nothing was won, nothing lost.
    assert_eq!(passing(&rates, 100 * SECOND - 1_000, None), 0);
    assert_eq!(passing(&rates, 100 * SECOND + SECOND / 10, None), 1);
    // A lot: empty, and it fills.
    assert_eq!(passing(&rates, SECOND, None), 0);
    assert_eq!(wait(&rates, SECOND, None, 1), Some(SECOND / 10));
    assert_eq!(passing(&rates, SECOND + SECOND / 5, None), 2);
    let both = Limits { tenant: Limit::per_second(100, 100), user: Some(Limit::per_second(10, 5)) };
    rates.set(100 * SECOND, "acme", Class::Write, both, Start::Full);
    assert_eq!(passing(&rates, 200 * SECOND, Some("eve")), 5);
    assert_eq!(passing(&rates, 2 * SECOND, Some("eve")), 0);
    assert_eq!(passing(&rates, 3 * SECOND, Some("eve")), 5);
}

#[test]
fn threads_together_pass_what_one_would() {
    let both = Limits { tenant: Limit::per_second(1, 1_000), user: Some(Limit::per_second(1, 150)) };
    let rates = rates(both);
    let passed: usize = std::thread::scope(|scope| {
        let thread = |number: usize| {
            let rates = &rates;
            scope.spawn(move || {
                let user = format!("user-{}", number % 8);
                let pass = |_: &i32| rates.check(0, "acme", Class::Write, Some(&user), 1).is_ok();
                (0..500).filter(pass).count()
            })
        };
        let threads: Vec<_> = (0..16).map(thread).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 1_000);
    assert_eq!(rates.standing(0, "acme", Class::Write).unwrap().left, 0);
}

#[test]
fn a_replica_has_its_part_and_nothing_after_its_lease() {
    let rates = Rates::shared();
    let contract = Limits { tenant: Limit::per_second(10, 20), user: Some(Limit::per_second(2, 5)) };
    rates.set(0, "acme", Class::Write, contract, Start::Full);
    let refusal = rates.check(0, "acme", Class::Write, None, 1).unwrap_err();
    assert_eq!((refusal.limit, refusal.part), (contract.tenant, Limit::NONE));
    assert_eq!(refusal.retry(), Some(SOON));
    assert_eq!(rates.check(0, "acme", Class::Read, None, 1), Ok(()), "what has no limit passes");
    // Nobody had anything before: the whole burst is there.
    rates.hold(0, &Holding::whole(), 10 * SECOND, Start::Full);
    assert_eq!(passing(&rates, 0, None), 20);
    rates.hold(0, &Holding::none(), 10 * SECOND, Start::Empty);
    let refusal = rates.check(SECOND, "acme", Class::Write, Some("eve"), 1).unwrap_err();
    assert_eq!(refusal.retry(), Some(SOON), "it may have some later");
    // Elsewhere it may have been used: it begins empty, and fills up.
    rates.hold(SECOND, &Holding::whole(), 10 * SECOND, Start::Empty);
    assert_eq!((passing(&rates, SECOND, None), passing(&rates, 2 * SECOND, None)), (0, 10));
    assert_eq!(passing(&rates, 10 * SECOND - 1, Some("eve")), 5);
    assert_eq!(passing(&rates, 10 * SECOND, None), 0, "its lease is over");
    rates.hold(10 * SECOND, &Holding::whole(), 20 * SECOND, Start::Empty);
    assert_eq!(passing(&rates, 10 * SECOND, None), 15);
    // Who comes later may have been elsewhere before this replica had its part.
    let left = |tenant: &str, now| {
        rates.set(now, tenant, Class::Write, contract, Start::Full);
        rates.standing(now, tenant, Class::Write).unwrap().left
    };
    assert_eq!((left("other", 2 * SECOND), left("late", 3 * SECOND)), (10, 20));
}

#[test]
fn what_was_asked_is_taken_note_of_once() {
    let rates = rates(limits(Limit::per_second(10, 2)));
    let limited = Limits { user: Some(Limit::per_second(1, 1)), ..limits(Limit::per_second(10, 5)) };
    rates.set(0, "users", Class::List, limited, Start::Full);
    assert_eq!(passing(&rates, 0, None), 2);
    assert!(rates.check(0, "users", Class::List, Some("eve"), 1).is_ok());
    assert!(rates.check(0, "users", Class::List, Some("eve"), 1).is_err());
    let mut uses = rates.take_uses();
    uses.sort_by(|one, other| one.0.cmp(&other.0));
    let key = |tenant: &str, class| (Arc::from(tenant), class);
    let of_users = Use { asked: 2, refused: 1, short: false };
    assert_eq!(
        uses,
        [
            (key("acme", Class::Write), Use { asked: 3, refused: 1, short: true }),
            (key("users", Class::List), of_users)
        ]
    );
    assert_eq!(rates.take_uses(), []);
}
