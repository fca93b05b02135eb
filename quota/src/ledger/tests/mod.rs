//! The ledger against a cluster of a few lines: replicas with caches that lag, writes whose answers are lost, requests
//! that end in every way, crashes. After every step no limit is passed.

#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a model")]

mod cases;
mod exhaustive;
mod oracle;
mod races;
mod reclaims;
mod sums;

use std::collections::VecDeque;

use model::{Band, Budget, NamespaceState, Tenant};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use super::account::add;
use super::*;

/// How long a request may take.
const LEASE: Millis = 34;

pub(super) fn tenant(name: &str, parents: &[&str], budget: Budget) -> Arc<Tenant> {
    Arc::new(Tenant {
        parents: parents.iter().map(|parent| (*parent).to_owned()).collect(),
        budget,
        ..Tenant::new(name)
    })
}

pub(super) fn hard(amounts: &[(&str, i128)]) -> BTreeMap<Arc<str>, i128> {
    amounts.iter().map(|(name, amount)| (Arc::from(*name), *amount)).collect()
}

pub(super) fn index(tenants: Vec<Arc<Tenant>>, namespaces: &[(&str, &str)]) -> Arc<TenantIndex> {
    let state = |tenant: &str| {
        Arc::new(NamespaceState { tenant: Some(tenant.to_owned()), ..NamespaceState::default() })
    };
    Arc::new(TenantIndex::new(
        tenants,
        namespaces.iter().map(|(name, tenant)| ((*name).to_owned(), state(tenant))),
    ))
}

fn things() -> Arc<Kind> {
    Arc::new(Kind { group: String::new(), resource: "things".to_owned() })
}

fn charges(amount: i128) -> Charges {
    [(Arc::from("things"), amount)].into()
}

/// What happened in the store, in order.
#[derive(Debug, Clone)]
enum Event {
    Set(Place, Stored),
    Gone(Place, Arc<str>, u64),
}

/// A request that was let in and has not ended.
#[derive(Debug)]
struct Flying {
    replica: usize,
    ask: Ask,
    ticket: Option<Ticket>,
}

struct Replica {
    ledger: Ledger,
    /// How many events it has seen.
    seen: usize,
    /// A write on its way, and whether its sender still waits for the answer.
    writing: VecDeque<(Draft, bool)>,
}

/// The API server, and everything that talks to it.
struct Cluster {
    index: Arc<TenantIndex>,
    domain: Arc<str>,
    replicas: Vec<Replica>,
    /// Holders that crashed, when.
    crashed: BTreeMap<Arc<str>, Millis>,
    stored: BTreeMap<Place, Stored>,
    events: Vec<(Millis, Event)>,
    shares: Option<(Shares, u64)>,
    /// What is stored and persisted, as it was once.
    backup: (BTreeMap<Place, Stored>, Option<(Shares, u64)>),
    flying: Vec<Flying>,
    version: u64,
    now: Millis,
    names: u64,
    let_in: usize,
}

impl Cluster {
    fn new(index: Arc<TenantIndex>, replicas: usize) -> Self {
        let domains = Domains::of(&index);
        assert_eq!(domains.by_name.len(), 1, "all in one domain");
        let domain = Arc::clone(domains.by_name.keys().next().unwrap());
        let mut cluster = Self {
            index,
            domain,
            replicas: Vec::new(),
            crashed: BTreeMap::new(),
            stored: BTreeMap::new(),
            events: Vec::new(),
            shares: None,
            backup: (BTreeMap::new(), None),
            flying: Vec::new(),
            version: 1,
            now: 0,
            names: 0,
            let_in: 0,
        };
        (0..replicas).for_each(|_| cluster.start());
        cluster
    }

    /// A new replica: it lists what is there now.
    fn start(&mut self) {
        self.names += 1;
        let mut ledger = Ledger::new(&format!("replica-{}", self.names));
        ledger.set_tenants(Arc::clone(&self.index));
        ledger.set_kinds(BTreeMap::from([(Arc::from("things"), BTreeSet::from([things()]))]));
        ledger.set_fence(Millis::MAX);
        let all = self
            .stored
            .iter()
            .map(|(place, stored)| (Arc::clone(&place.namespace), Arc::clone(&place.name), stored.clone()));
        ledger.replace(&things(), self.version, all.collect());
        ledger.observe(&self.domain, self.shares.clone(), true);
        self.replicas.push(Replica { ledger, seen: self.events.len(), writing: VecDeque::new() });
    }

    fn crash(&mut self, which: usize) {
        let replica = self.replicas.remove(which);
        self.crashed.insert(Arc::clone(replica.ledger.me()), self.now);
        for flying in &mut self.flying {
            match flying.replica.cmp(&which) {
                std::cmp::Ordering::Equal => (flying.replica, flying.ticket) = (usize::MAX, None),
                std::cmp::Ordering::Greater if flying.replica != usize::MAX => flying.replica -= 1,
                _ => {}
            }
        }
        // Its last writes may still arrive, or not.
        for (draft, _) in replica.writing {
            self.apply(&draft);
        }
        self.start();
    }

    /// The API server goes away with all that is under way, and comes back with what was stored once. Versions may have
    /// passed by then what they were.
    fn restore(&mut self) {
        self.flying.clear();
        (self.stored, self.shares) = self.backup.clone();
        self.version += 1;
        for which in (0..self.replicas.len()).rev() {
            let all = self.stored.iter().map(|(place, stored)| {
                (Arc::clone(&place.namespace), Arc::clone(&place.name), stored.clone())
            });
            let replica = &mut self.replicas[which];
            replica.writing.clear();
            replica.seen = self.events.len();
            replica.ledger.doubt();
            replica.ledger.unlist(&things());
            replica.ledger.replace(&things(), self.version, all.collect());
            if replica.ledger.observe(&self.domain, self.shares.clone(), true) {
                self.crash(which);
            } else {
                replica.ledger.set_fence(Millis::MAX);
            }
        }
    }

    fn place(&self, slot: u8) -> (Place, Arc<str>) {
        let namespaces = ["a", "b", "c"];
        let namespace = namespaces[usize::from(slot) % 3];
        let name = format!("n{}", slot / 3 % 4);
        let tenant = self.index.name_for(namespace).unwrap().into();
        (Place { kind: things(), namespace: namespace.into(), name: name.as_str().into() }, tenant)
    }

    fn ask(&mut self, slot: u8, amount: u8) -> Ask {
        self.names += 1;
        let (place, tenant) = self.place(slot);
        let stored = self.stored.get(&place);
        Ask {
            tenant,
            class: Some(if slot & 64 == 0 { "high".into() } else { "".into() }),
            uid: format!("uid-{}", self.names).into(),
            from: stored.map(|stored| stored.version),
            before: stored.map_or(charges(0), |stored| Arc::clone(&stored.charges)),
            after: charges(i128::from(amount % 4)),
            until: self.now + LEASE,
            place,
        }
    }

    fn request(&mut self, which: usize, slot: u8, amount: u8) {
        let mut ask = self.ask(slot, amount);
        if let Some(stored) = self.stored.get(&ask.place) {
            // A class cannot be changed.
            ask.class.clone_from(&stored.class);
        }
        let now = self.now;
        let mut answer = self.replicas[which].ledger.reserve(&ask, false, now);
        if amount >= 64
            && let Answer::Short(_, amounts) = answer
        {
            // As a replica does it: what it needs is written at once, and asked for again.
            self.read_shares(which);
            self.write(which, &[Demand { id: 1, amounts }], true);
            while !self.replicas[which].writing.is_empty() {
                self.arrive(which);
            }
            answer = self.replicas[which].ledger.reserve(&ask, false, now);
        }
        match answer {
            Answer::Short(_, amounts) => {
                self.write(which, &[Demand { id: 1, amounts }], slot.is_multiple_of(2))
            }
            Answer::Taken(ticket) => self.flying.push(Flying { replica: which, ask, ticket: Some(ticket) }),
            Answer::Free => self.flying.push(Flying { replica: which, ask, ticket: None }),
            Answer::Fenced => unreachable!(),
        }
    }

    /// A request ends: its object is stored if it still can be, or not.
    fn end(&mut self, which: usize, commits: bool, told: bool) {
        let flying = self.flying.remove(which);
        let ask = flying.ask;
        let before = self.stored.get(&ask.place);
        let fits = before.map(|stored| stored.version) == ask.from;
        if commits && fits && self.now < ask.until {
            self.version += 1;
            self.let_in += 1;
            let uid = before.map_or(Arc::clone(&ask.uid), |stored| Arc::clone(&stored.uid));
            let stored =
                Stored { uid, version: self.version, tenant: None, class: ask.class, charges: ask.after };
            self.stored.insert(ask.place.clone(), stored.clone());
            self.events.push((self.now, Event::Set(ask.place, stored)));
        } else if told && let Some(ticket) = flying.ticket {
            self.replicas[flying.replica].ledger.release(&ticket);
        }
    }

    fn delete(&mut self, slot: u8) {
        let (place, _) = self.place(slot);
        if let Some(stored) = self.stored.remove(&place) {
            self.version += 1;
            self.events.push((self.now, Event::Gone(place, stored.uid, self.version)));
        }
    }

    fn see(&mut self, which: usize, most: usize) {
        let replica = &mut self.replicas[which];
        for (_, event) in self.events.iter().skip(replica.seen).take(most) {
            match event.clone() {
                Event::Set(place, stored) => replica.ledger.upsert(place, stored),
                Event::Gone(place, uid, version) => replica.ledger.delete(&place, &uid, version),
            }
            replica.seen += 1;
        }
    }

    /// Sends a write; its answer comes later, or never.
    fn write(&mut self, which: usize, demands: &[Demand], answered: bool) {
        // Holders that are gone for long enough, as far as this replica has seen what they did.
        let replica = &self.replicas[which];
        let gone = self.crashed.iter().filter(|(_, at)| {
            let end = **at + LEASE;
            let late = self.events.iter().skip(replica.seen).any(|(when, _)| *when <= end);
            self.now > end && !late
        });
        let gone: BTreeSet<_> = gone.map(|(name, _)| Arc::clone(name)).collect();
        let replica = &mut self.replicas[which];
        let draft = replica.ledger.draft(&self.domain, demands, &gone, self.now).unwrap();
        if !draft.changed {
            replica.ledger.confirm(&draft);
        } else {
            replica.ledger.writing(&draft);
            replica.writing.push_back((draft, answered));
        }
    }

    /// Compare and swap.
    fn apply(&mut self, draft: &Draft) -> Option<u64> {
        if self.shares.as_ref().map(|(_, version)| *version) != draft.version {
            return None;
        }
        self.version += 1;
        self.shares = Some((draft.shares.clone(), self.version));
        Some(self.version)
    }

    fn arrive(&mut self, which: usize) {
        let Some((draft, answered)) = self.replicas[which].writing.pop_front() else { return };
        let version = self.apply(&draft);
        let ledger = &mut self.replicas[which].ledger;
        match version {
            _ if !answered => {}
            Some(version) => ledger.wrote(&draft, version),
            None => ledger.lost(&draft),
        }
    }

    fn read_shares(&mut self, which: usize) {
        let (domain, shares) = (Arc::clone(&self.domain), self.shares.clone());
        self.replicas[which].ledger.observe(&domain, shares, true);
    }

    fn look(&mut self, which: usize) {
        for place in self.replicas[which].ledger.expired(self.now, 100) {
            let found = self.stored.get(&place).map(|stored| (stored.uid.as_ref(), stored.version));
            self.replicas[which].ledger.looked(&place, found, self.now);
        }
    }

    fn step(&mut self, (what, which, slot, amount): (u8, u8, u8, u8)) {
        let replica = usize::from(which) % self.replicas.len();
        match what % 20 {
            0..=4 | 16 | 17 => self.request(replica, slot, amount),
            5..=7 | 18 | 19 if !self.flying.is_empty() => {
                self.end(usize::from(slot) % self.flying.len(), amount % 8 > 0, amount % 16 == 0);
            }
            8 if amount % 2 == 0 => self.delete(slot),
            8..=10 => self.see(replica, usize::from(amount % 4)),
            11 | 12 => self.arrive(replica),
            13 => self.write(replica, &[], amount % 3 > 0),
            14 if slot < 16 => self.crash(replica),
            14 if slot < 64 && amount % 2 == 0 => self.backup = (self.stored.clone(), self.shares.clone()),
            14 if slot < 64 => self.restore(),
            14 => {
                self.read_shares(replica);
                if self.replicas[replica].ledger.owes(&self.domain) {
                    self.write(replica, &[], true);
                }
            }
            _ => {
                self.now += Millis::from(amount % 24);
                self.look(replica);
            }
        }
    }

    /// What is stored, and no other sum, against every limit.
    fn check(&self) {
        let domains = Domains::of(&self.index);
        let domain = &domains.by_name[&self.domain];
        let mut amounts = Amounts::new();
        for (place, stored) in &self.stored {
            let tenant = self.index.name_for(&place.namespace).unwrap();
            for (resource, amount) in stored.charges.iter() {
                let account = domain.account(tenant, resource, stored.class.as_ref()).unwrap();
                add(&mut amounts, &account, *amount);
            }
        }
        for limit in &domain.limits {
            let taken = limit.taken(&amounts);
            assert!(taken <= limit.bound, "{:?}: {taken} of {}", limit.owner, limit.bound);
        }
    }

    fn run(&mut self, steps: Vec<(u8, u8, u8, u8)>) {
        for step in steps {
            self.step(step);
            self.check();
        }
    }

    /// Lets everything end and be seen, and every replica tidy up.
    fn settle(&mut self) {
        while !self.flying.is_empty() {
            self.end(0, false, false);
        }
        self.now += 100_000;
        for _ in 0..3 {
            for which in 0..self.replicas.len() {
                self.see(which, usize::MAX);
                self.look(which);
                self.read_shares(which);
                self.replicas[which].writing.clear();
                self.write(which, &[], true);
                self.arrive(which);
                self.read_shares(which);
            }
        }
    }
}
