//! The world around two ledgers, and everything that can happen in it.

use super::*;

/// One step of time: as long as a replica decides after its last renewal, as the API server's bound on a request, and
/// as an account stays busy.
pub(super) const TICK: Millis = 60_000;

/// What can happen. Replicas are 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// A request of the plan comes to a replica.
    Request(usize, usize),
    /// A request that was let in is stored.
    Store(usize),
    /// A request that was let in is refused afterwards by the same replica.
    Release(usize),
    /// The object of a slot is deleted.
    Delete(usize),
    /// A replica's watch brings the next event.
    See(usize),
    /// A replica looks at the shares, for those that wait or on its own, and sends a write where they should change.
    Write(usize),
    /// A write comes to the store.
    Arrive(usize),
    /// The answer to a write comes to its replica.
    Hear(usize),
    /// A replica waits no more for the answer to its write; the write itself may still arrive.
    GiveUp(usize),
    /// A replica reads the shares.
    Read(usize),
    /// A replica's watch brings the shares of now.
    Watch(usize),
    /// A replica looks at the places whose requests have run out of time.
    Look(usize),
    /// Time passes; the clock of one replica may stand still.
    Tick(Option<usize>),
    /// The clock of a replica runs ahead.
    Skew(usize),
    /// A replica ends without a word, and another starts in its place.
    Crash(usize),
    /// A replica cannot renew its lease any more.
    Isolate(usize),
    /// A replica that could not renew its lease can again; under another name, unless that is the fault.
    Recover(usize),
    /// The administrator changes the budget.
    Budget,
    /// A replica sees the changed budget.
    Learn(usize),
}

/// What the watch of the objects tells: what a slot has from then on, with its uid; no amount where it is gone.
#[derive(Clone, Hash)]
pub(super) struct Event {
    pub(super) slot: usize,
    pub(super) uid: Arc<str>,
    pub(super) amount: Option<i128>,
}

/// A request that was let in, and has not ended.
#[derive(Clone)]
pub(super) struct Flying {
    /// The name of the replica that let it in.
    pub(super) by: Arc<str>,
    pub(super) slot: usize,
    pub(super) amount: i128,
    pub(super) uid: Arc<str>,
    pub(super) from: Option<u64>,
    pub(super) ticket: Option<Ticket>,
}

/// A write of the shares under way.
#[derive(Clone)]
pub(super) struct Put {
    pub(super) by: usize,
    pub(super) draft: Draft,
    pub(super) learned: usize,
    /// Whether the replica still waits.
    pub(super) waited: bool,
    /// What the store answered: the version, or that another write came first.
    pub(super) answer: Option<Option<u64>>,
}

/// A request that waits for a larger share.
#[derive(Clone)]
pub(super) struct Waiting {
    pub(super) request: usize,
    pub(super) ask: Ask,
    pub(super) slot: usize,
    pub(super) amounts: Amounts,
}

#[derive(Clone)]
pub(super) struct Replica {
    pub(super) ledger: Ledger,
    /// Its clock, in ticks.
    pub(super) clock: u64,
    /// How many events it has seen.
    pub(super) seen: usize,
    /// The budget that it knows.
    pub(super) learned: usize,
    pub(super) waiting: Vec<Waiting>,
    /// Whether it has to read the shares before it writes again.
    pub(super) stale: bool,
    /// Whether it renews its lease.
    pub(super) renews: bool,
}

/// A replica whose lease stands still, as the others see it.
#[derive(Clone)]
pub(super) struct Still {
    pub(super) name: Arc<str>,
    /// The observers' clocks when it was renewed last.
    pub(super) since: [u64; 2],
    /// How many events each observer must have seen to take its share; `None` while it may be alive.
    pub(super) last: [Option<usize>; 2],
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) replicas: [Arc<Replica>; 2],
    pub(super) stored: BTreeMap<usize, (Arc<str>, i128, u64)>,
    pub(super) events: Vec<Event>,
    pub(super) shares: Option<(Shares, u64)>,
    pub(super) flying: Vec<Flying>,
    pub(super) puts: Vec<Put>,
    pub(super) still: Vec<Still>,
    pub(super) budget: usize,
    /// Which requests of the plan have not come yet.
    pub(super) to_come: Vec<bool>,
    pub(super) left: Left,
    pub(super) started: u8,
}

impl World {
    pub(super) fn new(check: &Check) -> Self {
        Self {
            replicas: ["a", "b"].map(|name| Arc::new(Replica::new(name, check))),
            stored: BTreeMap::new(),
            events: Vec::new(),
            shares: None,
            flying: Vec::new(),
            puts: Vec::new(),
            still: Vec::new(),
            budget: 0,
            to_come: vec![true; check.plan.requests.len()],
            left: check.plan.left.clone(),
            started: 0,
        }
    }

    /// The version of the store: objects change by events alone.
    pub(super) fn version(&self) -> u64 {
        1 + self.events.len() as u64
    }

    pub(super) fn used(&self) -> i128 {
        self.stored.values().map(|(_, amount, _)| amount).sum()
    }

    pub(super) fn change(&mut self, which: usize) -> &mut Replica {
        Arc::make_mut(&mut self.replicas[which])
    }

    /// What may happen now. What would change nothing may be named too.
    pub(super) fn actions(&self, check: &Check, actions: &mut Vec<Action>) {
        let left = &self.left;
        for (request, _) in self.to_come.iter().enumerate().filter(|(_, to_come)| **to_come) {
            // The replicas are alike until the first request.
            let both = self.to_come.contains(&false);
            actions.extend((0..if both { 2 } else { 1 }).map(|which| Action::Request(request, which)));
        }
        for flying in 0..self.flying.len() {
            actions.push(Action::Store(flying));
            if left.releases > 0 {
                actions.push(Action::Release(flying));
            }
        }
        if left.deletes > 0 {
            actions.extend(self.stored.keys().map(|slot| Action::Delete(*slot)));
        }
        for (number, put) in self.puts.iter().enumerate() {
            match put.answer {
                None => actions.push(Action::Arrive(number)),
                Some(_) => actions.push(Action::Hear(number)),
            }
            if put.waited && left.losses > 0 {
                actions.push(Action::GiveUp(number));
            }
        }
        (0..2).for_each(|which| self.actions_of(which, check, actions));
        // Before the first request there is nothing that time could change.
        if self.to_come.contains(&false) || self.budget > 0 {
            if left.ticks > 0 {
                actions.push(Action::Tick(None));
                if left.drifts > 0 {
                    actions.extend([0, 1].map(|which| Action::Tick(Some(which))));
                    actions.extend([0, 1].map(Action::Skew));
                }
            }
            if self.budget + 1 < check.budgets.len() {
                actions.push(Action::Budget);
            }
        }
    }

    fn actions_of(&self, which: usize, check: &Check, actions: &mut Vec<Action>) {
        let replica = &self.replicas[which];
        if replica.seen < self.events.len() {
            actions.push(Action::See(which));
        }
        if replica.learned < self.budget {
            actions.push(Action::Learn(which));
        }
        if self.writes(which, check) {
            actions.push(Action::Write(which));
        }
        let book = replica.ledger.books.get(&check.domain);
        let known = book.and_then(|book| book.version);
        let current = self.shares.as_ref().map(|(_, version)| *version);
        if replica.stale {
            actions.push(Action::Read(which));
        } else if known < current {
            actions.push(Action::Watch(which));
        }
        if !replica.ledger.expired(replica.clock * TICK, 1).is_empty() {
            actions.push(Action::Look(which));
        }
        if self.to_come.contains(&false) {
            if self.left.crashes > 0 {
                actions.push(Action::Crash(which));
            }
            if self.left.isolations > 0 && replica.renews {
                actions.push(Action::Isolate(which));
            }
            if !replica.renews {
                actions.push(Action::Recover(which));
            }
        }
    }

    /// Whether a replica has something to write, and writes nothing else.
    pub(super) fn writes(&self, which: usize, check: &Check) -> bool {
        let replica = &self.replicas[which];
        if replica.stale || self.puts.iter().any(|put| put.by == which && put.waited) {
            return false;
        }
        let ledger = &replica.ledger;
        !replica.waiting.is_empty()
            || ledger.owes(&check.domain)
            || ledger.is_untidy(&check.domain, replica.clock * TICK)
            || ledger.has_holder(&check.domain, &self.gone(which))
    }

    /// The holders that a replica takes for gone.
    pub(super) fn gone(&self, which: usize) -> BTreeSet<Arc<str>> {
        let seen = self.replicas[which].seen;
        let gone = self.still.iter().filter(|still| still.last[which].is_some_and(|last| seen >= last));
        gone.map(|still| Arc::clone(&still.name)).collect()
    }

    /// Does it; `false` where nothing has changed.
    pub(super) fn act(&mut self, action: Action, check: &Check) -> bool {
        match action {
            Action::Request(request, which) => return self.request(request, which, check),
            Action::Store(flying) => return self.store(flying),
            Action::Release(flying) => return self.release(flying),
            Action::Delete(slot) => self.delete(slot),
            Action::See(which) => self.see(which, check),
            Action::Write(which) => return self.write(which, check),
            Action::Arrive(put) => self.arrive(put, check),
            Action::Hear(put) => self.hear(put),
            Action::GiveUp(put) => self.give_up(put),
            Action::Read(which) | Action::Watch(which) => {
                self.read(which, check, action == Action::Read(which))
            }
            Action::Look(which) => self.look(which, check),
            Action::Tick(slow) => {
                self.left.ticks -= 1;
                self.left.drifts -= u8::from(slow.is_some());
                self.tick(slow, check);
            }
            Action::Skew(which) => {
                self.left.drifts -= 1;
                self.change(which).clock += 1;
                self.notice(check);
            }
            Action::Crash(which) => {
                self.left.crashes -= 1;
                self.restart(which, check);
            }
            Action::Isolate(which) => {
                self.left.isolations -= 1;
                self.isolate(which);
            }
            Action::Recover(which) if check.fault == Some(Fault::SameName) => self.renew(which),
            Action::Recover(which) => self.restart(which, check),
            Action::Budget => self.budget += 1,
            Action::Learn(which) => {
                let budget = self.budget;
                let replica = self.change(which);
                replica.learned = budget;
                replica.ledger.set_tenants(Arc::clone(&check.budgets[budget].1));
            }
        }
        true
    }
}
