//! Requests, faults and writes in any order: no limit is passed, and nothing stays held.

use super::*;

/// One tenant with a budget, a child with a smaller one, bands.
fn tree() -> Arc<TenantIndex> {
    let band =
        Band { name: "high".into(), priority_classes: vec!["high".into()], hard: hard(&[("things", 4)]) };
    let root = Budget { hard: hard(&[("things", 7)]), bands: vec![band], ..Budget::default() };
    let child = Budget { hard: hard(&[("things", 3)]), ..Budget::default() };
    let tenants = vec![
        tenant("top", &[], root),
        tenant("low", &["top"], child),
        tenant("free", &["top"], Budget::default()),
    ];
    index(tenants, &[("a", "top"), ("b", "low"), ("c", "free")])
}

/// Three tenants that lend each other what they do not use.
fn cohort() -> Arc<TenantIndex> {
    let budget = |own, lend: Option<i128>, borrow: Option<i128>| Budget {
        hard: hard(&[("things", own)]),
        cohort: Some("campus".into()),
        lend: lend.map(|lend| hard(&[("things", lend)])).unwrap_or_default(),
        borrow: borrow.map(|borrow| hard(&[("things", borrow)])).unwrap_or_default(),
        ..Budget::default()
    };
    let tenants = vec![
        tenant("one", &[], budget(6, Some(2), Some(3))),
        tenant("two", &[], budget(4, None, Some(0))),
        tenant("three", &[], budget(2, Some(0), None)),
    ];
    index(tenants, &[("a", "one"), ("b", "two"), ("c", "three")])
}

proptest! {

    #[test]
    fn no_limit_is_passed_whatever_happens(steps in prop::collection::vec(any::<(u8, u8, u8, u8)>(), 1..400), kind in 0..2, replicas in 1..4_usize) {
        let mut cluster = Cluster::new(if kind == 0 { tree() } else { cohort() }, replicas);
        cluster.run(steps);
        cluster.settle();
        cluster.check();
        // Nothing is held any more for what has ended.
        for replica in &cluster.replicas {
            for line in replica.ledger.lines() {
                prop_assert_eq!(line.held, 0, "{:?}", line);
            }
            prop_assert_eq!(replica.ledger.size(), (cluster.stored.len(), 0));
        }
    }
}

#[test]
fn the_model_lets_requests_in_and_refuses_some() {
    // A property that no step exercises would hold too.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = prop::collection::vec(any::<(u8, u8, u8, u8)>(), 400);
    let (mut let_in, mut full) = (0, 0);
    for _ in 0..20 {
        let steps = strategy.new_tree(&mut runner).unwrap().current();
        let mut cluster = Cluster::new(tree(), 2);
        for step in steps {
            cluster.step(step);
            let lines = cluster.replicas[0].ledger.lines();
            full += usize::from(lines.iter().any(|line| line.used == line.bound));
        }
        let_in += cluster.let_in;
    }
    assert!(let_in > 200 && full > 100, "{let_in} let in, {full} steps at a bound");
}
