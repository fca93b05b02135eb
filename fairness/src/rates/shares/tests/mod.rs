#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]

mod model;

use super::*;

const SECOND: Nanos = 1_000_000_000;
const TERMS: Terms = Terms { lease: 15 * SECOND, gone: 20 * SECOND };

fn key(tenant: &str) -> Key {
    (tenant.into(), Class::Write)
}

/// A replica, what it is asked for of tenant `acme`, and the limits as it knows them.
struct One {
    replica: Replica,
    limit: Option<Limit>,
}

impl One {
    fn new(me: &str, limit: Limit) -> Self {
        Self { replica: Replica::new(me, TERMS), limit: Some(limit) }
    }

    fn draft(&mut self, now: Nanos, ledger: &Ledger, demand: u64) -> Draft {
        let demands = BTreeMap::from([(key("acme"), Rate::per_second(demand))]);
        let limit = self.limit;
        self.replica.draft(now, ledger, &demands, |_| limit)
    }

    /// Writes what is drafted, and takes in that it was written.
    fn write(&mut self, now: Nanos, ledger: &mut Ledger, demand: u64) -> Draft {
        let draft = self.draft(now, ledger, demand);
        *ledger = draft.ledger.clone();
        self.replica.wrote(&draft);
        draft
    }

    fn part_of(&self, now: Nanos, tenant: &str) -> (u64, u32) {
        let none = Holding::none();
        let held = if now < self.replica.until() { self.replica.held() } else { &none };
        let part = held.part(&key(tenant), self.limit.unwrap_or(Limit::NONE));
        (part.rate.as_thousandths() / 1_000, part.burst)
    }

    fn part(&self, now: Nanos) -> (u64, u32) {
        self.part_of(now, "acme")
    }
}

fn pair(limit: Limit) -> (Ledger, One, One) {
    let (mut ledger, mut a, mut b) = (Ledger::new(), One::new("a", limit), One::new("b", limit));
    a.write(0, &mut ledger, 0);
    b.write(1, &mut ledger, 0);
    a.write(2, &mut ledger, 0);
    b.write(3, &mut ledger, 0);
    (ledger, a, b)
}

#[test]
fn one_replica_has_everything_and_says_nothing_more_than_that_it_is_there() {
    let (mut ledger, mut a) = (Ledger::new(), One::new("a", Limit::per_second(80, 40)));
    assert_eq!(a.part(0), (0, 0));
    let first = a.write(0, &mut ledger, 1_000);
    assert!(first.first && first.changed);
    assert_eq!((a.part(TERMS.lease - 1), a.part(TERMS.lease)), ((80, 40), (0, 0)));
    let again = a.write(SECOND, &mut ledger, 1_000);
    assert!(!again.first && !again.changed && ledger["a"].parts.is_empty());
    assert!(!a.replica.is_due(6 * SECOND) && a.replica.is_due(6 * SECOND + 1));
}

#[test]
fn another_one_gets_its_part_once_the_first_has_given_it() {
    let limit = Limit::per_second(80, 40);
    let (mut ledger, mut a, mut b) = (Ledger::new(), One::new("a", limit), One::new("b", limit));
    a.write(0, &mut ledger, 10);
    b.write(1, &mut ledger, 10);
    assert_eq!((a.part(1), b.part(1)), ((80, 40), (0, 0)));
    // It gives before it is written.
    let draft = a.draft(2, &ledger, 10);
    assert_eq!(a.part(2), (40, 20));
    ledger = draft.ledger.clone();
    b.write(3, &mut ledger, 10);
    a.replica.wrote(&draft);
    assert_eq!((a.part(3), b.part(3)), ((40, 20), (40, 20)));
    assert!(ledger.values().all(|member| member.parts.is_empty()), "nobody asks for more than evenly");
}

#[test]
fn parts_follow_the_demands_and_back() {
    let (mut ledger, mut a, mut b) = pair(Limit::per_second(80, 40));
    b.write(4, &mut ledger, 1_000);
    assert_eq!(b.part(4), (40, 20), "nothing is free yet");
    a.write(5, &mut ledger, 0);
    b.write(6, &mut ledger, 1_000);
    assert_eq!((a.part(7), b.part(7)), ((5, 3), (75, 37)));
    assert_eq!((a.part_of(7, "other"), b.part_of(7, "other")), ((40, 20), (40, 20)));
    b.write(8, &mut ledger, 0);
    a.write(9, &mut ledger, 0);
    assert_eq!((a.part(9), b.part(9)), ((40, 20), (40, 20)));
    b.write(10, &mut ledger, 0);
    assert!(ledger.values().all(|member| member.parts.is_empty()), "{ledger:?}");
}

#[test]
fn who_joins_gets_nothing_that_others_have_named() {
    let limit = Limit::per_second(80, 40);
    let (mut ledger, mut a, mut b) = pair(limit);
    for now in 4..8 {
        a.write(now, &mut ledger, 1_000);
        b.write(now, &mut ledger, 0);
    }
    let mut c = One::new("c", limit);
    c.write(8, &mut ledger, 0);
    for one in [&mut b, &mut a] {
        // The others make room, but `a` is asked for all of what is named.
        one.write(9, &mut ledger, if one.replica.name().as_ref() == "a" { 1_000 } else { 0 });
    }
    c.write(10, &mut ledger, 0);
    let parts = [&a, &b, &c].map(|one| one.part(10));
    assert!(parts.iter().map(|part| part.0).sum::<u64>() <= 80, "{parts:?}");
    assert!(parts[0].0 > 70 && parts[2].0 > 0, "{parts:?}");
    assert_eq!([&a, &b, &c].map(|one| one.part_of(10, "other")), [(26, 13); 3]);
}

#[test]
fn a_burst_that_is_smaller_than_the_replicas_goes_to_who_is_asked() {
    let (mut ledger, mut a, mut b) = pair(Limit::per_second(10, 1));
    assert_eq!((a.part(3), b.part(3)), ((5, 0), (5, 0)));
    b.write(4, &mut ledger, 10);
    a.write(5, &mut ledger, 0);
    b.write(6, &mut ledger, 10);
    assert_eq!((a.part(6).1, b.part(6).1), (0, 1));
}

#[test]
fn what_a_crashed_replica_had_is_free_when_it_was_silent_for_long_enough() {
    let limit = Limit::per_second(80, 40);
    let (mut ledger, mut b) = (Ledger::new(), One::new("b", limit));
    One::new("a", limit).write(0, &mut ledger, 0);
    // Its clock says something else altogether.
    let start = 1_000 * SECOND;
    b.write(start, &mut ledger, 0);
    let end = start + TERMS.gone;
    b.write(end - 1, &mut ledger, 0);
    assert_eq!(b.part(end - 1), (0, 0));
    let taken = b.write(end, &mut ledger, 0);
    assert!(taken.changed && !taken.first, "who knows what it had used");
    assert_eq!((b.part(end), ledger.len()), ((80, 40), 1));
}

#[test]
fn who_was_taken_for_gone_begins_with_nothing() {
    let (mut ledger, mut a, mut b) = pair(Limit::per_second(80, 40));
    b.write(TERMS.gone + 2, &mut ledger, 0);
    b.write(TERMS.gone + 3, &mut ledger, 0);
    assert_eq!((b.part(TERMS.gone + 3), ledger.len()), ((80, 40), 1));
    let late = TERMS.gone + 4;
    assert_eq!(a.part(late), (0, 0), "its lease is over");
    a.write(late, &mut ledger, 0);
    assert_eq!(a.part(late), (0, 0));
    b.write(late, &mut ledger, 0);
    a.write(late, &mut ledger, 0);
    assert_eq!((a.part(late), b.part(late)), ((40, 20), (40, 20)));
}

#[test]
fn who_leaves_gives_everything_back() {
    let (mut ledger, mut a, mut b) = pair(Limit::per_second(80, 40));
    ledger = a.replica.leave(&ledger);
    assert_eq!(a.part(4), (0, 0));
    b.write(4, &mut ledger, 0);
    assert_eq!(b.part(4), (80, 40));
    ledger = b.replica.leave(&ledger);
    let mut c = One::new("c", Limit::per_second(80, 40));
    assert!(c.write(5, &mut ledger, 0).first);
}

#[test]
fn what_a_replica_does_not_know_is_others_until_nobody_names_it() {
    let (mut ledger, mut a, mut b) = pair(Limit::per_second(80, 40));
    let limit = std::mem::take(&mut b.limit);
    for now in 4..7 {
        a.write(now, &mut ledger, 1_000);
        b.write(now, &mut ledger, 1_000);
    }
    assert_eq!(ledger["b"].parts[&key("acme")].limit, Limit::NONE);
    assert_eq!(a.part(7), (75, 38));
    b.limit = limit;
    assert_eq!(b.part(7), (0, 0), "it had nothing until now");
    // Nobody knows it any more.
    (a.limit, b.limit) = (None, None);
    for now in 8..10 {
        a.write(now, &mut ledger, 1_000);
        b.write(now, &mut ledger, 0);
    }
    assert!(ledger.values().all(|member| member.parts.is_empty()), "{ledger:?}");
}

#[test]
fn a_lower_limit_is_kept_to_from_the_next_write_on() {
    let (mut ledger, mut a, mut b) = pair(Limit::per_second(80, 40));
    for now in 4..8 {
        a.write(now, &mut ledger, 1_000);
        b.write(now, &mut ledger, 0);
    }
    (a.limit, b.limit) = (Some(Limit::per_second(8, 4)), Some(Limit::per_second(8, 4)));
    a.write(10, &mut ledger, 8);
    b.write(11, &mut ledger, 0);
    let parts = (a.part(12), b.part(12));
    assert!(parts.0.0 + parts.1.0 <= 8 && parts.0.1 + parts.1.1 <= 4, "{parts:?}");
}

#[test]
fn an_older_draft_is_void() {
    let limit = Limit::per_second(80, 40);
    let (mut ledger, mut a) = (Ledger::new(), One::new("a", limit));
    let old = a.draft(0, &ledger, 1);
    One::new("b", limit).write(0, &mut ledger, 1);
    let new = a.draft(1, &ledger, 1);
    a.replica.wrote(&old);
    assert_eq!(a.part(1), (0, 0));
    a.replica.wrote(&new);
    assert_eq!(a.part(1), (0, 0));
}

#[test]
fn only_so_many_limits_are_named() {
    let (mut ledger, mut a, _) = pair(Limit::per_second(80, 40));
    let all =
        (0..10_000_u64).map(|number| (key(&format!("t{number:05}")), Rate::thousandths(50_000 + number)));
    let demands: BTreeMap<Key, Rate> = all.collect();
    let draft = a.replica.draft(4, &ledger, &demands, |_| Some(Limit::per_second(80, 40)));
    let named: Vec<&Key> = draft.ledger["a"].parts.keys().collect();
    assert_eq!(named.len(), MOST_PARTS / 2);
    // Others keep what is even.
    ledger = draft.ledger.clone();
    a.replica.wrote(&draft);
    assert_eq!((ledger["a"].base, a.part_of(5, "t00000")), (WHOLE / 2, (40, 20)));
}
