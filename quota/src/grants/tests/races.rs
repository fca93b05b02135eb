//! Two movers, the API server's charges, the quota controller, crashes and changes of the budget, in any order, against
//! a naive store.

use proptest::prelude::*;

use super::*;

/// What the cluster has.
#[derive(Debug, Clone, Default)]
struct Store {
    version: u64,
    uids: u64,
    record: Option<(Record, u64)>,
    quotas: BTreeMap<Arc<str>, Quota>,
    /// What is stored in each namespace.
    alive: BTreeMap<Arc<str>, i128>,
    members: BTreeMap<Arc<str>, bool>,
    budget: i128,
}

/// What one mover believes, and is about to do.
#[derive(Debug, Clone, Default)]
struct Mover {
    record: Option<(Record, u64)>,
    quotas: BTreeMap<Arc<str>, Quota>,
    gone: BTreeSet<Arc<str>>,
    members: BTreeMap<Arc<str>, bool>,
    pending: Vec<(Step, Option<u64>)>,
    needs: BTreeMap<Arc<str>, Hard>,
}

#[derive(Debug, Clone)]
enum Op {
    /// So many are created, if the quota allows it; some of them fail after they were charged.
    Charge(u8, u8, bool),
    Delete(u8),
    /// The quota controller reads, or writes what it read before.
    Recount(u8, bool),
    /// A mover hears of the record, of one quota, or of which namespaces there are.
    Hear(bool, Option<u8>),
    Members(bool),
    Need(bool, u8, u8),
    Plan(bool, bool),
    /// A mover takes one of its steps; whether it hears what came of it.
    Take(bool, u8, bool),
    Crash(bool),
    Add(u8),
    Remove(u8),
    HandDelete(u8),
    Budget(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let ns = prop_oneof![8 => 0..2_u8, 1 => Just(2_u8)].boxed();
    let many = prop_oneof![2 => 0..6_u8, 1 => Just(0_u8)];
    prop_oneof![
        8 => (ns.clone(), 1..5_u8, any::<bool>()).prop_map(|(ns, many, ends)| Op::Charge(ns, many, ends)),
        6 => ns.clone().prop_map(Op::Delete),
        10 => (ns.clone(), any::<bool>()).prop_map(|(ns, writes)| Op::Recount(ns, writes)),
        20 => (any::<bool>(), proptest::option::of(ns.clone())).prop_map(|(who, what)| Op::Hear(who, what)),
        4 => any::<bool>().prop_map(Op::Members),
        10 => (any::<bool>(), ns.clone(), many).prop_map(|(who, ns, many)| Op::Need(who, ns, many)),
        20 => (any::<bool>(), any::<bool>()).prop_map(|(who, tidy)| Op::Plan(who, tidy)),
        40 => (any::<bool>(), 0..3_u8, prop::bool::weighted(0.8)).prop_map(|(who, which, hears)| Op::Take(who, which, hears)),
        1 => any::<bool>().prop_map(Op::Crash),
        1 => ns.clone().prop_map(Op::Add),
        1 => ns.clone().prop_map(Op::Remove),
        1 => ns.prop_map(Op::HandDelete),
        1 => (0..30_u8).prop_map(Op::Budget),
    ]
}

struct World {
    store: Store,
    movers: [Mover; 2],
    /// What the quota controller read: the version, `spec.hard`, and how many there are.
    read: BTreeMap<Arc<str>, (u64, Hard, i128)>,
    /// The most that quotas may allow, and what the record said last.
    granted: i128,
}

impl Store {
    fn next(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    fn granted(&self) -> i128 {
        self.record.iter().flat_map(|(record, _)| record.grants.values()).map(|grant| of(&grant.hard)).sum()
    }

    /// Takes a step as the API server would: only where nothing else was written before.
    fn take(&mut self, step: &Step, version: Option<u64>) {
        match step {
            Step::Record(record) => {
                if self.record.as_ref().map(|(_, version)| *version) == version {
                    let version = self.next();
                    self.record = Some((record.clone(), version));
                }
            }
            Step::Create(namespace) => {
                if !self.quotas.contains_key(namespace) && self.members.contains_key(namespace) {
                    self.uids += 1;
                    let (uid, version) = (format!("uid-{}", self.uids).into(), self.next());
                    let quota = Quota { uid, version, ..Quota::default() };
                    self.quotas.insert(Arc::clone(namespace), quota);
                }
            }
            Step::Spec(namespace, version, hard, turn) => {
                let next = self.next();
                if let Some(quota) = self.quotas.get_mut(namespace).filter(|quota| quota.version == *version)
                {
                    (quota.spec, quota.turn, quota.version) = (hard.clone(), *turn, next);
                }
            }
            Step::Status(namespace, version, hard) => {
                let next = self.next();
                if let Some(quota) = self.quotas.get_mut(namespace).filter(|quota| quota.version == *version)
                {
                    quota.status.extend(hard.clone());
                    quota.version = next;
                }
            }
            Step::Delete(namespace, uid) => {
                if self.quotas.get(namespace).is_some_and(|quota| quota.uid == *uid) {
                    self.quotas.remove(namespace);
                }
            }
            Step::Look(..) => {}
            Step::Forget => self.record = None,
        }
    }

    fn recount(&mut self, namespace: &Arc<str>, read: &(u64, Hard, i128)) {
        let next = self.next();
        if let Some(quota) = self.quotas.get_mut(namespace).filter(|quota| quota.version == read.0) {
            quota.status = read.1.clone();
            quota.used = read.1.keys().map(|resource| (Arc::clone(resource), read.2 * ONE)).collect();
            quota.version = next;
        }
    }
}

impl Mover {
    fn plan(&self, store: &Store, tidy: bool) -> (Vec<Step>, Option<u64>) {
        let budget = hard(store.budget);
        let situation = Situation {
            budget: Some(&budget),
            counted: &Counted::All,
            first: 1,
            members: &self.members,
            record: self.record.as_ref().map(|(record, _)| record),
            quotas: &self.quotas,
            gone: &self.gone,
            needs: &self.needs,
            tidy,
        };
        (plan(&situation), self.record.as_ref().map(|(_, version)| *version))
    }

    fn hear_record(&mut self, store: &Store) {
        self.record.clone_from(&store.record);
    }

    fn hear_quota(&mut self, store: &Store, namespace: &Arc<str>) {
        let before = self.quotas.remove(namespace);
        let found = store.quotas.get(namespace);
        if let Some(before) = before.filter(|before| found.is_none_or(|found| found.uid != before.uid)) {
            self.gone.insert(before.uid);
        }
        self.quotas.extend(found.map(|quota| (Arc::clone(namespace), quota.clone())));
    }

    fn hear_of(&mut self, store: &Store, step: &Step) {
        match step {
            Step::Record(_) | Step::Forget => self.hear_record(store),
            Step::Create(name) | Step::Spec(name, ..) | Step::Status(name, ..) => {
                self.hear_quota(store, name)
            }
            Step::Delete(name, uid) | Step::Look(name, uid) => {
                self.hear_quota(store, name);
                if store.quotas.get(name).is_none_or(|quota| quota.uid != *uid) {
                    self.gone.insert(Arc::clone(uid));
                }
            }
        }
    }

    fn hear_all(&mut self, store: &Store) {
        self.hear_record(store);
        self.members.clone_from(&store.members);
        let names: Vec<_> = store.quotas.keys().chain(self.quotas.keys()).cloned().collect();
        names.iter().for_each(|name| self.hear_quota(store, name));
    }
}

impl World {
    fn new(budget: i128) -> Self {
        let members: BTreeMap<_, _> = (0..2).map(|number| (name(number), false)).collect();
        let store = Store { budget, members: members.clone(), ..Store::default() };
        let mover = Mover { members, ..Mover::default() };
        Self { store, movers: [mover.clone(), mover], read: BTreeMap::new(), granted: 0 }
    }

    fn run(&mut self, op: &Op) {
        let store = &mut self.store;
        match op {
            Op::Charge(ns, many, ends) => {
                let (namespace, many) = (name(*ns), i128::from(*many));
                let next = store.next();
                let Some(quota) = store.quotas.get_mut(&namespace) else { return };
                let counts = quota.status.contains_key(PODS) && quota.used.contains_key(PODS);
                if counts && of(&quota.status) - of(&quota.used) >= many {
                    quota.used = hard(of(&quota.used) + many);
                    quota.version = next;
                    *store.alive.entry(namespace).or_default() += if *ends { many } else { 0 };
                }
            }
            Op::Delete(ns) => {
                let alive = store.alive.entry(name(*ns)).or_default();
                *alive = (*alive - 1).max(0);
            }
            Op::Recount(ns, false) => {
                let alive = store.alive.get(&name(*ns)).copied().unwrap_or_default();
                if let Some(quota) = store.quotas.get(&name(*ns)) {
                    self.read.insert(name(*ns), (quota.version, quota.spec.clone(), alive));
                }
            }
            Op::Recount(ns, true) => {
                if let Some(read) = self.read.remove(&name(*ns)) {
                    store.recount(&name(*ns), &read);
                }
            }
            Op::Hear(who, None) => self.movers[usize::from(*who)].hear_record(store),
            Op::Hear(who, Some(ns)) => self.movers[usize::from(*who)].hear_quota(store, &name(*ns)),
            Op::Members(who) => self.movers[usize::from(*who)].members.clone_from(&store.members),
            Op::Need(who, ns, many) => {
                self.movers[usize::from(*who)].needs.insert(name(*ns), hard(i128::from(*many)));
            }
            Op::Plan(who, tidy) => {
                let mover = &mut self.movers[usize::from(*who)];
                let (steps, version) = mover.plan(store, *tidy);
                mover.pending = steps.into_iter().map(|step| (step, version)).collect();
            }
            Op::Take(who, which, hears) => {
                let mover = &mut self.movers[usize::from(*who)];
                if usize::from(*which) < mover.pending.len() {
                    let (step, version) = mover.pending.remove(usize::from(*which));
                    store.take(&step, version);
                    if *hears {
                        mover.hear_of(store, &step);
                    }
                }
            }
            Op::Crash(who) => self.movers[usize::from(*who)] = Mover::default(),
            Op::Add(ns) => _ = store.members.insert(name(*ns), false),
            Op::Remove(ns) => {
                store.members.remove(&name(*ns));
                store.quotas.remove(&name(*ns));
                store.alive.remove(&name(*ns));
            }
            Op::HandDelete(ns) => _ = store.quotas.remove(&name(*ns)),
            Op::Budget(budget) => {
                store.budget = i128::from(*budget);
                // What was planned for the former budget is as old as it.
                for mover in &mut self.movers {
                    mover.pending.retain(|(step, _)| !matches!(step, Step::Record(_)));
                }
            }
        }
    }

    fn check(&mut self) {
        let store = &self.store;
        let granted = store.granted();
        assert!(
            granted <= store.budget.max(self.granted),
            "{granted} are granted of {}, and {} before",
            store.budget,
            self.granted
        );
        self.granted = granted;
        for (namespace, quota) in &store.quotas {
            let (status, spec) = (of(&quota.status), of(&quota.spec));
            let grant = store.record.as_ref().map_or(0, |(record, _)| record.hard(namespace, PODS) / ONE);
            assert!(status.max(spec) <= grant, "{namespace} has {quota:?} and is granted {grant}");
            let alive = store.alive.get(namespace).copied().unwrap_or_default();
            assert!(quota.used.is_empty() || of(&quota.used) >= alive, "{quota:?}, and there are {alive}");
        }
        let allowed: i128 = store.quotas.values().map(|quota| of(&quota.status)).sum();
        assert!(allowed <= granted, "{allowed} are allowed, {granted} granted");
    }

    /// Lets everything come to rest; both movers hear of all there is.
    fn rest(&mut self) {
        for _round in 0..60 {
            let mut quiet = true;
            for who in [false, true] {
                self.movers[usize::from(who)].hear_all(&self.store);
                self.run(&Op::Plan(who, false));
                while !self.movers[usize::from(who)].pending.is_empty() {
                    quiet = false;
                    self.run(&Op::Take(who, 0, true));
                    self.check();
                }
            }
            for ns in 0..3 {
                self.run(&Op::Recount(ns, false));
                self.run(&Op::Recount(ns, true));
                self.check();
            }
            if quiet {
                return;
            }
        }
        panic!("it never comes to rest: {:?}\n{:?}", self.store, self.movers);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn grants_never_pass_the_budget_and_what_is_free_comes_to_who_needs_it(
        budget in 1..12_i128,
        ops in proptest::collection::vec(op(), 1..500),
        needy in 0..3_u8,
    ) {
        let mut world = World::new(budget);
        for op in &ops {
            world.run(op);
            world.check();
        }
        world.movers.iter_mut().for_each(|mover| mover.needs.clear());
        world.store.members.insert(name(needy), false);
        world.rest();
        let alive: i128 = world.store.alive.values().sum();
        let free = (world.store.budget - alive).max(0);
        world.movers[0].needs.insert(name(needy), hard(free));
        world.rest();
        let quota = &world.store.quotas[&name(needy)];
        prop_assert!(quota.room(PODS) >= free * ONE || alive > world.store.budget, "{free} are free: {:?}", world.store);
    }
}
