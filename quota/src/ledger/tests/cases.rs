//! Single cases.

use super::*;
use crate::ledger::account::of;

#[test]
fn sums_are_the_same_whether_tenants_are_looked_up_or_gone_through() {
    let budget = Budget { hard: hard(&[("things", 1_000), ("others", 1_000)]), ..Budget::default() };
    let mut tenants = vec![tenant("top", &[], budget.clone())];
    tenants.extend((0..100).map(|number| tenant(&format!("t{number}"), &["top"], budget.clone())));
    let domains = Domains::of(&index(tenants, &[]));
    let mut amounts = Amounts::new();
    for number in 0..100 {
        for (resource, class, amount) in
            [("things", None, 3), ("things", Some("high"), 4), ("others", None, 50)]
        {
            let tenant = format!("t{number}").as_str().into();
            let account = Account { resource: resource.into(), tenant, class: class.map(Arc::from) };
            add(&mut amounts, &account, amount);
        }
    }
    for limit in &domains.by_name.values().next().unwrap().limits {
        let each = if limit.resource.as_ref() == "things" { 7 } else { 50 };
        let expected = if limit.owner == Owner::Tenant("top".into()) { each * 100 } else { each };
        assert_eq!(limit.taken(&amounts), expected, "{:?} {}", limit.owner, limit.resource);
    }
}

#[test]
fn a_store_that_was_restored_is_counted_anew_and_its_horizons_with_it() {
    let budget = Budget { hard: hard(&[("things", 5)]), ..Budget::default() };
    let mut ledger = Ledger::new("new");
    ledger.set_tenants(index(vec![tenant("t", &[], budget)], &[("a", "t")]));
    ledger.set_kinds(BTreeMap::from([(Arc::from("things"), BTreeSet::from([things()]))]));
    ledger.set_fence(Millis::MAX);
    let domain: Arc<str> = "tenant.t".into();
    let shares = Shares { horizons: BTreeMap::from([(things(), 100)]), ..Shares::default() };
    ledger.observe(&domain, Some((shares, 90)), true);
    assert_eq!(ledger.horizon(&things()), 100);
    ledger.replace(&things(), 50, Vec::new());
    let account = Account { resource: "things".into(), tenant: "t".into(), class: None };
    let demand = [Demand { id: 1, amounts: Amounts::from([(account, 2)]) }];
    let draft = ledger.draft(&domain, &demand, &BTreeSet::new(), 0).unwrap();
    assert_eq!((draft.behind, draft.fits), (vec![things()], vec![]), "it may only lag");
    ledger.rolled_back(&things());
    let draft = ledger.draft(&domain, &demand, &BTreeSet::new(), 0).unwrap();
    assert_eq!((draft.behind.len(), draft.fits.as_slice()), (0, &[1][..]));
    assert_eq!(draft.shares.horizons[&things()], 50);
    // Once that is written, horizons count as before.
    ledger.writing(&draft);
    ledger.wrote(&draft, 60);
    let shares = Shares { horizons: BTreeMap::from([(things(), 80)]), ..Shares::default() };
    ledger.observe(&domain, Some((shares, 70)), false);
    assert_eq!(ledger.draft(&domain, &demand, &BTreeSet::new(), 0).unwrap().shares.horizons[&things()], 80);
}

/// A ledger with a share of one for an object that it saw stored since, at version 5.
fn with_a_share_for_what_is_stored() -> (Ledger, Ask) {
    let budget = Budget { hard: hard(&[("things", 2)]), ..Budget::default() };
    let mut ledger = Ledger::new("one");
    ledger.set_tenants(index(vec![tenant("t", &[], budget)], &[("a", "t")]));
    ledger.set_kinds(BTreeMap::from([(Arc::from("things"), BTreeSet::from([things()]))]));
    ledger.set_fence(Millis::MAX);
    ledger.replace(&things(), 1, Vec::new());
    ledger.observe(&"tenant.t".into(), None, true);
    let ask = |name: &str| Ask {
        place: Place { kind: things(), namespace: "a".into(), name: name.into() },
        tenant: "t".into(),
        class: None,
        uid: name.into(),
        from: None,
        before: charges(0),
        after: charges(1),
        until: LEASE,
    };
    let draft = drafts(&mut ledger, &ask("first"));
    ledger.wrote(&draft, 1);
    assert!(matches!(ledger.reserve(&ask("first"), false, 0), Answer::Taken(_)));
    let stored = Stored { uid: "first".into(), version: 5, tenant: None, class: None, charges: charges(1) };
    ledger.upsert(ask("first").place, stored);
    (ledger, ask("second"))
}

/// What has to be written for a request.
fn drafts(ledger: &mut Ledger, ask: &Ask) -> Draft {
    let Answer::Short(domain, amounts) = ledger.reserve(ask, false, 0) else { panic!("it is covered") };
    let draft = ledger.draft(&domain, &[Demand { id: 1, amounts }], &BTreeSet::new(), 0).unwrap();
    assert_eq!(draft.fits, [1]);
    if draft.changed {
        ledger.writing(&draft);
    } else {
        ledger.confirm(&draft);
    }
    draft
}

#[test]
fn a_write_whose_answer_was_lost_refuses_nothing_that_fits() {
    let (mut ledger, ask) = with_a_share_for_what_is_stored();
    let draft = drafts(&mut ledger, &ask);
    assert!(draft.changed, "it notes a horizon");
    // It took place, but nobody says so.
    ledger.observe(&draft.domain, Some((draft.shares, 2)), true);
    assert!(!drafts(&mut ledger, &ask).changed, "nothing else would be written");
    assert!(matches!(ledger.reserve(&ask, false, 0), Answer::Taken(_)));
    let third =
        Ask { uid: "third".into(), place: Place { name: "third".into(), ..ask.place.clone() }, ..ask };
    assert!(matches!(ledger.reserve(&third, false, 0), Answer::Short(..)), "no more than that");
}

#[test]
fn a_share_that_is_needed_again_needs_no_write_where_the_horizon_is_known() {
    let (mut ledger, ask) = with_a_share_for_what_is_stored();
    let mut shares = ledger.books.values().next().unwrap().shares.clone();
    shares.horizons.insert(things(), 7);
    ledger.bookmark(&things(), 7);
    ledger.observe(&"tenant.t".into(), Some((shares, 2)), false);
    assert!(!drafts(&mut ledger, &ask).changed);
    assert!(matches!(ledger.reserve(&ask, false, 0), Answer::Taken(_)));
}

#[test]
fn what_is_held_is_counted_once_by_a_replica_that_is_behind() {
    let budget = Budget { hard: hard(&[("things", 4)]), ..Budget::default() };
    let mut ledger = Ledger::new("one");
    ledger.set_tenants(index(vec![tenant("t", &[], budget)], &[("a", "t")]));
    ledger.set_kinds(BTreeMap::from([(Arc::from("things"), BTreeSet::from([things()]))]));
    ledger.set_fence(Millis::MAX);
    ledger.replace(&things(), 1, Vec::new());
    let domain: Arc<str> = "tenant.t".into();
    let account = Account { resource: "things".into(), tenant: "t".into(), class: None };
    let one = Amounts::from([(account.clone(), 1)]);
    // Others saw three stored at version 7, and hold nothing for them any more.
    let shares = Shares {
        holders: BTreeMap::from([("one".into(), Holder { amounts: one.clone(), ..Holder::default() })]),
        horizons: BTreeMap::from([(things(), 7)]),
    };
    ledger.observe(&domain, Some((shares, 1)), true);
    ledger.books.get_mut(&domain).unwrap().asked.insert(account.clone(), 0);
    // Both waited, as when the budget has changed, and the share would do for either.
    let demands = [1, 2].map(|id| Demand { id, amounts: one.clone() });
    let draft = ledger.draft(&domain, &demands, &BTreeSet::new(), 0).unwrap();
    assert_eq!((draft.fits, draft.behind.len()), (vec![1], 1));
    assert_eq!(draft.shares.held("one", &account), 1, "what is free is not known");
}

#[test]
fn a_change_of_what_is_the_past_holds_nothing_once_that_is_read() {
    let budget = Budget { hard: hard(&[("things", 9)]), ..Budget::default() };
    let mut ledger = Ledger::new("one");
    ledger.set_tenants(index(vec![tenant("t", &[], budget)], &[("a", "t")]));
    ledger.set_kinds(BTreeMap::from([(Arc::from("things"), BTreeSet::from([things()]))]));
    ledger.set_fence(Millis::MAX);
    let stored = Stored { uid: "u".into(), version: 5, tenant: None, class: None, charges: charges(1) };
    ledger.replace(&things(), 7, vec![("a".into(), "o".into(), stored)]);
    let account = Account { resource: "things".into(), tenant: "t".into(), class: None };
    let holder = Holder { amounts: Amounts::from([(account.clone(), 8)]), ..Holder::default() };
    let shares = Shares { holders: BTreeMap::from([("one".into(), holder)]), ..Shares::default() };
    ledger.observe(&"tenant.t".into(), Some((shares, 1)), true);
    let place = Place { kind: things(), namespace: "a".into(), name: "o".into() };
    let mut change = |from: u64, uid: &str| {
        let ask = Ask {
            place: place.clone(),
            tenant: "t".into(),
            class: None,
            uid: uid.into(),
            from: Some(from),
            before: charges(1),
            after: charges(3),
            until: LEASE,
        };
        assert!(matches!(ledger.reserve(&ask, false, 0), Answer::Taken(_)));
        ledger.clone()
    };
    // The one that starts from what is stored may still take place.
    let mut both = {
        change(5, "new");
        change(4, "late")
    };
    assert_eq!(both.expired(1, 10), std::slice::from_ref(&place));
    assert_eq!(of(both.reservations.held(), &account), 4);
    // A read that is newer than the watch says nothing yet.
    both.looked(&place, Some(("u", 8)), 1);
    assert_eq!(of(both.reservations.held(), &account), 4);
    both.looked(&place, Some(("u", 5)), 1);
    assert_eq!((of(both.reservations.held(), &account), of(&both.seen, &account)), (2, 2));
    assert_eq!((both.expired(1, 10), both.horizons.get(&things())), (Vec::new(), Some(&5)));
}

#[test]
fn shares_of_thousands_of_busy_tenants_stay_small_enough_for_an_object() {
    let own = Budget {
        hard: hard(&[("things", 100)]),
        lend: hard(&[("things", 0)]),
        cohort: Some("all".to_owned()),
        ..Budget::default()
    };
    let names: Vec<String> = (0..draft::SPARE_ACCOUNTS + 500).map(|number| format!("t{number:05}")).collect();
    let tenants = names.iter().map(|name| tenant(name, &[], own.clone())).collect();
    let mut ledger = Ledger::new("one");
    ledger.set_tenants(index(tenants, &[]));
    ledger.set_kinds(BTreeMap::from([(Arc::from("things"), BTreeSet::from([things()]))]));
    ledger.set_fence(Millis::MAX);
    ledger.replace(&things(), 1, Vec::new());
    let domain: Arc<str> = "cohort.all".into();
    ledger.observe(&domain, None, true);
    let account =
        |name: &String| Account { resource: "things".into(), tenant: name.as_str().into(), class: None };
    let demand = |(id, name)| Demand { id, amounts: Amounts::from([(account(name), 1)]) };
    let demands: Vec<_> = (0..).zip(&names).map(demand).collect();
    let draft = ledger.draft(&domain, &demands, &BTreeSet::new(), 0).unwrap();
    assert_eq!(draft.fits.len(), names.len(), "all get what they ask for");
    let held = &draft.shares.holders["one"].amounts;
    assert_eq!(held.values().filter(|held| **held > 1).count(), draft::SPARE_ACCOUNTS);
    ledger.writing(&draft);
    ledger.wrote(&draft, 2);
    // Nobody took it; the one who asks now keeps more than it needs, of the others not all do.
    let draft = ledger.draft(&domain, &demands[..1], &BTreeSet::new(), 1).unwrap();
    let held = &draft.shares.holders["one"].amounts;
    assert!(held.len() <= draft::SPARE_ACCOUNTS + 1, "{}", held.len());
    assert!(held[&account(&names[0])] > 1, "{:?}", held.get(&account(&names[0])));
}
