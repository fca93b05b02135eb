//! What tenants of a cohort lend comes back before anybody borrows more.

use super::*;

/// Two replicas and the shares that they write.
struct Pair {
    ledgers: [Ledger; 2],
    domain: Arc<str>,
    shares: Option<(Shares, u64)>,
    version: u64,
}

impl Pair {
    /// Tenants of one cohort by name with what is their own; each has a namespace of its name.
    fn new(tenants: &[(&str, i128)]) -> Self {
        let all = tenants.iter().map(|(name, own)| {
            let cohort = Some("campus".to_owned());
            tenant(name, &[], Budget { hard: hard(&[("things", *own)]), cohort, ..Budget::default() })
        });
        let namespaces: Vec<_> = tenants.iter().map(|(name, _)| (*name, *name)).collect();
        let index = index(all.collect(), &namespaces);
        let ledgers = ["one", "two"].map(|name| {
            let mut ledger = Ledger::new(name);
            ledger.set_tenants(Arc::clone(&index));
            ledger.set_kinds(BTreeMap::from([(Arc::from("things"), BTreeSet::from([things()]))]));
            ledger.set_fence(Millis::MAX);
            ledger.replace(&things(), 1, Vec::new());
            ledger
        });
        Self { ledgers, domain: "cohort.campus".into(), shares: None, version: 1 }
    }

    /// Both see an object of a tenant.
    fn stored(&mut self, tenant: &str, name: &str, amount: i128) {
        self.version += 1;
        let (version, uid) = (self.version, Arc::from(name));
        let stored = Stored { uid, version, tenant: None, class: None, charges: charges(amount) };
        self.ledgers.iter_mut().for_each(|ledger| ledger.upsert(place(tenant, name), stored.clone()));
    }

    fn gone(&mut self, tenant: &str, name: &str) {
        self.version += 1;
        let version = self.version;
        self.ledgers.iter_mut().for_each(|ledger| ledger.delete(&place(tenant, name), name, version));
    }

    /// A replica looks at its shares, with what a tenant asks of it; what does not fit of that.
    fn look(&mut self, which: usize, demand: Option<(&str, i128)>, now: Millis) -> Option<Short> {
        let account =
            |tenant: &str| Account { resource: "things".into(), tenant: tenant.into(), class: None };
        let demand = demand
            .map(|(tenant, amount)| Demand { id: 1, amounts: Amounts::from([(account(tenant), amount)]) });
        let ledger = &mut self.ledgers[which];
        ledger.observe(&self.domain, self.shares.clone(), true);
        let draft = ledger.draft(&self.domain, demand.as_slice(), &BTreeSet::new(), now).unwrap();
        if draft.changed {
            self.version += 1;
            ledger.writing(&draft);
            ledger.wrote(&draft, self.version);
            self.shares = Some((draft.shares.clone(), self.version));
        } else {
            ledger.confirm(&draft);
        }
        draft.short.into_iter().next().map(|(_, short)| *short)
    }

    /// What a tenant is told that asks a replica; what fits is not taken.
    fn ask(&mut self, which: usize, tenant: &str, amount: i128, now: Millis) -> Option<Short> {
        let short = self.look(which, Some((tenant, amount)), now);
        // Nothing was reserved: it is given back.
        (0..2).for_each(|which| _ = self.look(which, None, now));
        short
    }
}

fn place(tenant: &str, name: &str) -> Place {
    Place { kind: things(), namespace: tenant.into(), name: name.into() }
}

/// Of `lender` and `borrower`, four each, the borrower uses all.
fn borrowed() -> Pair {
    let mut pair = Pair::new(&[("borrower", 4), ("lender", 4)]);
    (0..8).for_each(|number| pair.stored("borrower", &format!("b{number}"), 1));
    pair
}

#[test]
fn what_ends_of_a_borrower_is_free_for_the_lender_who_asked() {
    let mut pair = borrowed();
    let short = pair.ask(0, "lender", 1, 0).unwrap();
    assert_eq!((short.asked, short.room, short.wanted_back), (1, 0, 0));
    pair.gone("borrower", "b0");
    for which in [0, 1] {
        let short = pair.ask(which, "borrower", 1, 1_000).unwrap();
        assert_eq!((short.room, short.wanted_back), (0, 1), "replica {which}");
    }
    assert_eq!(pair.ask(1, "lender", 1, 2_000), None, "wherever it asks");
}

#[test]
fn nobody_waits_for_a_lender_who_has_it_or_asks_no_more() {
    let mut pair = borrowed();
    pair.ask(0, "lender", 1, 0).unwrap();
    pair.gone("borrower", "b0");
    assert!(pair.ask(1, "borrower", 1, 59_000).is_some());
    // It did not ask again for a minute.
    pair.look(0, None, 60_000);
    assert_eq!(pair.ask(1, "borrower", 1, 60_000), None);
    pair.ask(0, "lender", 2, 61_000).unwrap();
    pair.gone("borrower", "b1");
    assert_eq!(pair.look(0, Some(("lender", 2)), 62_000), None);
    pair.stored("lender", "l0", 2);
    pair.look(0, None, 62_000);
    let (shares, _) = pair.shares.unwrap();
    assert!(shares.holders.values().all(|holder| holder.reclaims.is_empty()), "{shares:?}");
}

#[test]
fn it_is_only_its_own_that_a_lender_gets_back() {
    let mut pair = borrowed();
    // More than its own cannot be wanted back: that would be borrowed.
    pair.ask(0, "lender", 5, 0).unwrap();
    pair.gone("borrower", "b0");
    assert_eq!(pair.ask(0, "borrower", 1, 1_000), None);
}

#[test]
fn lenders_do_not_wait_for_each_other() {
    let mut pair = Pair::new(&[("borrower", 2), ("first", 2), ("second", 2)]);
    (0..6).for_each(|number| pair.stored("borrower", &format!("b{number}"), 1));
    pair.ask(0, "first", 2, 0).unwrap();
    pair.ask(1, "second", 2, 0).unwrap();
    pair.gone("borrower", "b0");
    pair.gone("borrower", "b1");
    assert!(pair.ask(0, "borrower", 1, 1_000).is_some());
    assert_eq!(pair.ask(0, "first", 2, 1_000), None);
    assert_eq!(pair.ask(1, "second", 2, 1_000), None);
    // A borrower has its own all the while.
    (2..6).for_each(|number| pair.gone("borrower", &format!("b{number}")));
    assert_eq!(pair.ask(0, "borrower", 2, 1_000), None);
}
