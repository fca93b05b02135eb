#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]

mod bounds;
mod oracle;
mod scenarios;
mod simulation;

use std::num::NonZeroU32;

use super::*;

pub(super) fn some(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn queue(seats: u32, per_flow: usize, total: usize) -> Queue<&'static str> {
    Queue::new(Settings { seats: some(seats), per_flow, total })
}

/// A request that may take its time.
fn ask(flow: &'static str, estimate: Micros) -> Ask<&'static str> {
    Ask { flow, weight: some(1), width: some(1), estimate, deadline: Micros::MAX }
}

fn queued(entry: Entry) -> Id {
    match entry {
        Entry::Queued { id, pushed_out: None } => id,
        other => panic!("{other:?}"),
    }
}

fn refusal<F: Clone + Eq + std::hash::Hash>(queue: &mut Queue<F>, now: Micros, ask: &Ask<F>) -> Refusal {
    match queue.enqueue(now, ask) {
        Entry::Refused { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

/// Whatever may run now.
fn run<F: Clone + Eq + std::hash::Hash>(queue: &mut Queue<F>, now: Micros) -> Vec<Next> {
    std::iter::from_fn(|| queue.next(now)).collect()
}

#[test]
fn a_request_runs_at_once_where_there_are_seats() {
    let mut queue = queue(2, 0, 0);
    let first = queued(queue.enqueue(0, &ask("a", 10)));
    assert_eq!(queue.next(0), Some(Next::Run(first)));
    let second = queued(queue.enqueue(0, &ask("a", 10)));
    assert_eq!(run(&mut queue, 0), [Next::Run(second)]);
    assert_eq!(refusal(&mut queue, 0, &ask("a", 10)), Refusal::FlowFull);
    assert_eq!(queue.size(), (0, 2));
    assert!(queue.finish(first, 10));
    queued(queue.enqueue(10, &ask("b", 10)));
}

#[test]
fn a_request_ends_once() {
    let mut queue = queue(1, 5, 5);
    let [one, two, three] = ["a", "b", "c"].map(|flow| queued(queue.enqueue(0, &ask(flow, 10))));
    assert_eq!(run(&mut queue, 0), [Next::Run(one)]);
    assert!(!queue.cancel(one), "it runs");
    assert!(!queue.finish(two, 1), "it waits");
    assert!(queue.cancel(two));
    assert!(!queue.cancel(two));
    assert!(queue.finish(one, 10));
    assert!(!queue.finish(one, 10));
    assert_eq!(run(&mut queue, 10), [Next::Run(three)]);
    assert!(queue.finish(three, 10));
    assert_eq!((queue.size(), queue.standings().count(), queue.wake()), ((0, 0), 0, None));
}

#[test]
fn a_request_that_is_late_is_not_served() {
    let mut queue = queue(1, 5, 5);
    let until = |deadline, flow| Ask { deadline, ..ask(flow, 10) };
    let first = queued(queue.enqueue(0, &until(10, "a")));
    assert_eq!(run(&mut queue, 0), [Next::Run(first)]);
    assert_eq!(refusal(&mut queue, 5, &until(14, "b")), Refusal::TooLate);
    assert_eq!(refusal(&mut queue, 5, &until(9, "b")), Refusal::TooLate);
    let second = queued(queue.enqueue(5, &until(20, "b")));
    // Behind its flow's own request it cannot end in time.
    assert_eq!(refusal(&mut queue, 5, &until(24, "b")), Refusal::TooLate);
    let third = queued(queue.enqueue(5, &until(25, "b")));
    assert_eq!((run(&mut queue, 10), queue.wake()), (vec![], Some(11)));
    assert_eq!(run(&mut queue, 11), [Next::Late(second)]);
    assert!(queue.finish(first, 15));
    assert_eq!(run(&mut queue, 15), [Next::Run(third)]);
}

#[test]
fn a_refused_request_is_told_when_its_flow_is_served() {
    let mut queue = queue(2, 3, 100);
    for flow in ["a", "b"] {
        for _ in 0..4 {
            queue.enqueue(0, &Ask { width: some(1), ..ask(flow, 1_000_000) });
            run(&mut queue, 0);
        }
    }
    // Two run of `a`; one more of `a` and three of `b` wait, so `b` has one of the two seats.
    let wait = |entry| match entry {
        Entry::Refused { retry_after, .. } => retry_after,
        other @ Entry::Queued { .. } => panic!("{other:?}"),
    };
    assert_eq!(wait(queue.enqueue(0, &ask("b", 1_000_000))), 3_000_000);
    assert_eq!(wait(queue.enqueue(0, &Ask { weight: some(3), ..ask("b", 1_000_000) })), 1_500_000);
}

#[test]
fn the_longest_queue_gives_way() {
    let mut queue = queue(1, 10, 6);
    let running = queued(queue.enqueue(0, &ask("x", 10)));
    run(&mut queue, 0);
    let flood: Vec<Id> = (0..6).map(|_| queued(queue.enqueue(0, &ask("flood", 10)))).collect();
    let gave_way = |entry| match entry {
        Entry::Queued { pushed_out, .. } => pushed_out,
        other @ Entry::Refused { .. } => panic!("{other:?}"),
    };
    assert_eq!(gave_way(queue.enqueue(0, &ask("quiet", 10))), Some(flood[5]));
    assert_eq!(gave_way(queue.enqueue(0, &ask("quiet", 10))), Some(flood[4]));
    // Three of six would be as many as the flood has.
    assert_eq!(gave_way(queue.enqueue(0, &ask("quiet", 10))), Some(flood[3]));
    assert_eq!(refusal(&mut queue, 0, &ask("quiet", 10)), Refusal::Full);
    assert_eq!(refusal(&mut queue, 0, &ask("flood", 10)), Refusal::Full);
    // By weight.
    let heavy = Ask { weight: some(10), ..ask("heavy", 10) };
    assert!(gave_way(queue.enqueue(0, &heavy)).is_some());
    assert!(!queue.finish(flood[5], 1) && queue.finish(running, 1));
}

#[test]
fn costs_that_were_guessed_too_low_are_paid_for() {
    let mut queue = queue(1, 100, 1_000);
    let mut served = HashMap::from([("honest", 0), ("dear", 0)]);
    let mut now = 0;
    for _ in 0..400 {
        for flow in ["honest", "dear"] {
            if queue.standing(&flow).is_none_or(|standing| standing.waiting < 2) {
                queued(queue.enqueue(now, &ask(flow, 10)));
                queued(queue.enqueue(now, &ask(flow, 10)));
            }
        }
        let before: Vec<_> = queue.standings().map(|(flow, standing)| (*flow, standing.running)).collect();
        let Some(Next::Run(id)) = queue.next(now) else { panic!("idle") };
        let flow = queue.standings().find(|(flow, standing)| {
            before.iter().any(|(name, running)| name == *flow && *running < standing.running)
        });
        let flow = *flow.unwrap().0;
        let took = if flow == "dear" { 30 } else { 10 };
        *served.get_mut(flow).unwrap() += took;
        now += took;
        assert!(queue.finish(id, took));
    }
    assert!(served["honest"].abs_diff(served["dear"]) <= 60, "{served:?}");
}

#[test]
fn a_wide_request_waits_until_it_fits_and_is_not_passed() {
    let mut queue = queue(3, 10, 10);
    let small: Vec<Id> = (0..2).map(|_| queued(queue.enqueue(0, &ask("a", 10)))).collect();
    assert_eq!(run(&mut queue, 0).len(), 2);
    let wide = queued(queue.enqueue(0, &Ask { width: some(7), ..ask("b", 10) }));
    let next = queued(queue.enqueue(0, &ask("a", 10)));
    assert_eq!(run(&mut queue, 0), []);
    assert!(queue.finish(small[0], 10) && run(&mut queue, 10).is_empty());
    assert!(queue.finish(small[1], 10));
    assert_eq!((run(&mut queue, 10), queue.size()), (vec![Next::Run(wide)], (1, 3)));
    queue.set_seats(some(2));
    assert!(queue.finish(wide, 10));
    assert_eq!(run(&mut queue, 20), [Next::Run(next)]);
}

/// Serves one request of each of many flows, while others always wait, and says how many flows are known at most.
fn known_with(flows: u32, others: &[u32]) -> usize {
    let mut queue: Queue<u32> = Queue::new(Settings { seats: some(1), per_flow: 3, total: 100 });
    let ask = |flow| Ask { flow, weight: some(1), width: some(1), estimate: 10, deadline: Micros::MAX };
    let (mut now, mut most) = (0, 0);
    for flow in 0..flows {
        queue.enqueue(now, &ask(flow));
        for other in others {
            while queue.standing(other).is_none_or(|standing| standing.waiting < 2) {
                queue.enqueue(now, &ask(*other));
            }
        }
        for _ in 0..=others.len().min(usize::from(flow > 0)) {
            let Some(Next::Run(id)) = queue.next(now) else { panic!("idle") };
            now += 10;
            assert!(queue.finish(id, 10));
            if flow % 100 == 99 {
                most = most.max(queue.standings().count());
            }
        }
        if others.is_empty() {
            // One always waits, so that the queue is never idle.
            queue.enqueue(now, &ask(flow + 1));
        }
    }
    most
}

#[test]
fn flows_are_forgotten_once_they_owe_nothing() {
    assert!(known_with(2_000, &[900_000, 900_001]) <= 10);
}

#[test]
fn flows_that_owe_are_bounded_in_number() {
    let most = known_with(40_000, &[]);
    // And the hundred that wait.
    assert!((MAX_OWING..MAX_OWING + 103).contains(&most), "{most}");
}
