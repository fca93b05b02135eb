//! Who waits, and for how long.

use std::time::{Duration, Instant};

use super::*;
use crate::ledger::{Ask, Kind, Place};

fn ask(amount: i128) -> Ask {
    let kind = Arc::new(Kind { group: String::new(), resource: PODS.to_owned() });
    Ask {
        place: Place { kind, namespace: name(0), name: "one".into() },
        tenant: "t".into(),
        class: Some("".into()),
        uid: "u".into(),
        from: None,
        before: Arc::default(),
        after: [(PODS.into(), amount * ONE)].into(),
        until: 0,
    }
}

fn quota(version: u64, allowed: i128, used: i128) -> Quota {
    let (spec, status) = (hard(allowed), hard(allowed));
    Quota { uid: "q".into(), version, spec, status, used: hard(used), ..Quota::default() }
}

/// A desk with one pool of one namespace, which is granted so much.
fn desk(allowed: i128, used: i128) -> GrantDesk {
    let desk = GrantDesk::default();
    let pool = Pool {
        tenant: "t".into(),
        budget: hard(10),
        members: BTreeMap::from([(name(0), false)]),
        ..Pool::default()
    };
    desk.set_pools(BTreeMap::from([("t".into(), pool)]));
    let grant = Grant { uid: "q".into(), hard: hard(allowed) };
    let record = Record { turn: 5, grants: BTreeMap::from([(name(0), grant)]) };
    desk.observe_record("t", Some((record, 1)), true);
    desk.observe_quota("t", &name(0), quota(1, allowed, used), true);
    desk.set_known();
    desk
}

fn soon(millis: u64) -> Instant {
    Instant::now() + Duration::from_millis(millis)
}

#[tokio::test]
async fn what_is_under_way_takes_room_until_it_is_charged() {
    let desk = desk(3, 1);
    assert_eq!(desk.wait(&ask(2), true, soon(1_000)).await, Ok(()), "a dry run takes nothing");
    assert_eq!(desk.wait(&ask(2), false, soon(1_000)).await, Ok(()));
    assert!(
        desk.wait(&ask(1), false, soon(1)).await.is_err(),
        "two are under way beside the one that is there"
    );
    desk.observe_quota("t", &name(0), quota(2, 3, 2), true);
    assert!(desk.wait(&ask(1), false, soon(1)).await.is_err(), "one was charged, and one is under way");
    let counts = desk.counts();
    assert_eq!((counts.waited + counts.at_once, counts.late), (2, 2));
}

#[tokio::test]
async fn who_waits_is_known_with_the_place_and_goes_on_when_the_watch_shows_more() {
    let desk = desk(1, 1);
    let (first, second) = (ask(1), ask(1));
    let waits = desk.wait(&first, false, soon(10_000));
    let raises = async {
        desk.work().await;
        while desk.waiting("t").is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(desk.waiting("t"), BTreeSet::from([second.place.clone()]));
        let (steps, _) = desk.plan("t", false);
        assert!(matches!(&steps[..], [Step::Record(_)]), "{steps:?}");
        // The answer to a write is not yet what the API server's own cache knows.
        desk.observe_quota("t", &name(0), quota(2, 3, 1), false);
        assert!(!desk.waiting("t").is_empty());
        desk.observe_quota("t", &name(0), quota(2, 3, 1), true);
    };
    let (waited, ()) = tokio::join!(waits, raises);
    assert_eq!(waited, Ok(()));
    assert!(desk.waiting("t").is_empty());
    assert_eq!(desk.counts().waited, 1);
}

#[tokio::test]
async fn a_namespace_without_a_quota_that_stands_waits_and_others_do_not() {
    let desk = desk(3, 0);
    desk.quota_gone("t", &name(0), "q");
    assert_eq!(desk.standing("t"), Some((1, 1)));
    let late = desk.wait(&ask(1), false, soon(1)).await;
    assert_eq!(late, Err(Late { pool: "t".into(), resource: PODS.into() }));
    let elsewhere = Ask { place: Place { namespace: name(9), ..ask(1).place }, ..ask(1) };
    assert_eq!(desk.wait(&elsewhere, false, soon(1)).await, Ok(()));
    desk.set_pools(BTreeMap::new());
    assert_eq!((desk.standing("t"), desk.wait(&ask(1), false, soon(1)).await), (None, Ok(())));
    let (steps, _) = desk.plan("t", false);
    assert_eq!(steps, [Step::Forget], "the pool is gone, and so are its quotas");
}
