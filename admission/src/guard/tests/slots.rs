//! The number of namespaces, while the snapshot lags.

use super::*;

#[test]
fn the_limit_is_exact_while_the_snapshot_lags() {
    let guard = guard();
    let mut dry = create("alice", "alpha-dry", Some("alpha"));
    dry.dry_run = true;
    assert_eq!(wall(&guard, Phase::Validate, &dry), None, "a dry run takes no slot");
    let second = create("alice", "alpha-two", Some("alpha"));
    assert_eq!(wall(&guard, Phase::Validate, &second), None);
    assert_eq!(wall(&guard, Phase::Validate, &second), None, "the same once more, after a conflict");
    let third = create("alice", "alpha-three", Some("alpha"));
    assert_refused(&guard, Phase::Validate, &third, Code::NamespaceLimit, "2 of at most 2");
    // A policy refuses the second after all, in another review of the same name: the first keeps its place.
    let again = Request { uid: "other".to_owned(), ..second.clone() };
    assert_eq!(wall(&guard, Phase::Validate, &again), None);
    guard.refused(Phase::Validate, &again);
    assert_refused(&guard, Phase::Validate, &third, Code::NamespaceLimit, "2 of at most 2");
    guard.refused(Phase::Validate, &second);
    assert_eq!(wall(&guard, Phase::Validate, &third), None);
    // Another tenant has slots of its own.
    assert_eq!(wall(&guard, Phase::Validate, &create("alice", "gamma-one", Some("gamma"))), None);
}

#[test]
fn a_namespace_that_came_and_went_leaves_no_slot() {
    let index = |namespaces: &[&str]| {
        let namespaces =
            namespaces.iter().map(|name| ((*name).to_owned(), Arc::new(state(Some("alpha"), true))));
        Arc::new(TenantIndex::new([Arc::new(tenant("alpha", &["alice"]))], namespaces))
    };
    let (sender, receiver) = watch::channel(index(&[]));
    let guard = Guard::new(receiver, holdings(), []);
    let ask = |name: &str| wall(&guard, Phase::Validate, &create("alice", name, Some("alpha")));
    assert_eq!((ask("alpha-1"), ask("alpha-2")), (None, None));
    assert!(ask("alpha-3").is_some());
    // Both come, one is deleted, and nobody asked for another meanwhile.
    sender.send_replace(index(&["alpha-1", "alpha-2"]));
    let gone = namespace("alpha-1", Some("alpha"));
    let delete = request("alice", Operation::Delete, "alpha-1", [Value::Null, gone]);
    assert_eq!(wall(&guard, Phase::Validate, &delete), None);
    sender.send_replace(index(&["alpha-2"]));
    assert_eq!(ask("alpha-3"), None);
    assert!(ask("alpha-4").is_some());
}

#[test]
fn a_namespace_made_again_counts_once_while_the_one_before_it_goes() {
    let index = |namespaces: &[(&str, bool)]| {
        let namespaces = namespaces.iter().map(|(name, terminating)| {
            let state = NamespaceState { terminating: *terminating, ..state(Some("alpha"), true) };
            ((*name).to_owned(), Arc::new(state))
        });
        Arc::new(TenantIndex::new([Arc::new(tenant("alpha", &["alice"]))], namespaces))
    };
    let (sender, receiver) = watch::channel(index(&[("alpha-1", true)]));
    let guard = Guard::new(receiver, holdings(), []);
    let ask = |name: &str| wall(&guard, Phase::Validate, &create("alice", name, Some("alpha")));
    // The API server has let the old one go; the snapshot has not.
    assert_eq!((ask("alpha-1"), ask("alpha-2")), (None, None));
    assert!(ask("alpha-3").is_some());
    // Now neither the old one nor the new one is there.
    sender.send_replace(index(&[]));
    assert!(ask("alpha-3").is_some(), "both were let in");
    sender.send_replace(index(&[("alpha-1", false), ("alpha-2", false)]));
    assert!(ask("alpha-3").is_some());
}
