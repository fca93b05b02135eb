//! What each action does: the store as the API server does it, a replica as the loops around its ledger do.

use super::*;

impl Replica {
    /// A replica that knows nothing yet.
    pub(super) fn new(name: &str, check: &Check) -> Self {
        let mut ledger = Ledger::new(name);
        ledger.set_tenants(Arc::clone(&check.budgets[0].1));
        ledger.set_kinds(BTreeMap::from([(Arc::from("things"), BTreeSet::from([Arc::clone(&check.kind)]))]));
        ledger.set_fence(TICK);
        ledger.replace(&check.kind, 1, Vec::new());
        ledger.observe(&check.domain, None, true);
        Self { ledger, clock: 0, seen: 0, learned: 0, waiting: Vec::new(), stale: false, renews: true }
    }

    pub(super) fn now(&self) -> Millis {
        self.clock * TICK
    }
}

impl World {
    pub(super) fn request(&mut self, request: usize, which: usize, check: &Check) -> bool {
        self.to_come[request] = false;
        let (slot, amount) = check.plan.requests[request];
        let uid = check.uids[request].clone();
        self.ask(which, (request, slot, amount, uid), check)
    }

    /// Whether the request was let in or waits; one that is refused at once changes nothing.
    pub(super) fn ask(
        &mut self,
        which: usize,
        (request, slot, amount, uid): (usize, usize, i128, Arc<str>),
        check: &Check,
    ) -> bool {
        let before = self.stored.get(&slot);
        let ask = Ask {
            place: check.places[slot].clone(),
            tenant: Arc::clone(&check.account.tenant),
            class: None,
            uid,
            from: before.map(|(_, _, version)| *version),
            before: charges(before.map_or(0, |(_, amount, _)| *amount)),
            after: charges(amount),
            until: self.replicas[which].now() + check.lease(),
        };
        let replica = self.change(which);
        match replica.ledger.reserve(&ask, false, replica.clock * TICK) {
            Answer::Fenced => return false,
            Answer::Short(_, amounts) => replica.waiting.push(Waiting { request, ask, slot, amounts }),
            Answer::Taken(ticket) => self.fly(which, &ask, slot, Some(ticket)),
            Answer::Free => self.fly(which, &ask, slot, None),
        }
        true
    }

    fn fly(&mut self, which: usize, ask: &Ask, slot: usize, ticket: Option<Ticket>) {
        self.flying.push(Flying {
            by: Arc::clone(self.replicas[which].ledger.me()),
            slot,
            amount: ask.after[0].1,
            uid: Arc::clone(&ask.uid),
            from: ask.from,
            ticket,
        });
    }

    /// A request whose object has changed or come meanwhile is not stored.
    pub(super) fn store(&mut self, flying: usize) -> bool {
        let flying = self.flying.remove(flying);
        let before = self.stored.get(&flying.slot);
        if before.map(|(_, _, version)| *version) != flying.from {
            return false;
        }
        let uid = before.map_or(flying.uid, |(uid, _, _)| Arc::clone(uid));
        self.events.push(Event { slot: flying.slot, uid: Arc::clone(&uid), amount: Some(flying.amount) });
        self.stored.insert(flying.slot, (uid, flying.amount, self.version()));
        true
    }

    pub(super) fn release(&mut self, flying: usize) -> bool {
        let flying = self.flying.remove(flying);
        let by = self.replicas.iter().position(|replica| *replica.ledger.me() == flying.by);
        let (Some(by), Some(ticket)) = (by, flying.ticket) else { return false };
        self.left.releases -= 1;
        self.change(by).ledger.release(&ticket);
        true
    }

    pub(super) fn delete(&mut self, slot: usize) {
        self.left.deletes -= 1;
        if let Some((uid, _, _)) = self.stored.remove(&slot) {
            self.events.push(Event { slot, uid, amount: None });
        }
    }

    pub(super) fn see(&mut self, which: usize, check: &Check) {
        let seen = self.replicas[which].seen;
        let Event { slot, uid, amount } = self.events[seen].clone();
        let (place, version) = (check.places[slot].clone(), 2 + seen as u64);
        let replica = self.change(which);
        replica.seen += 1;
        match amount {
            Some(amount) => replica.ledger.upsert(place, stored(uid, version, amount)),
            None => replica.ledger.delete(&place, &uid, version),
        }
    }

    pub(super) fn write(&mut self, which: usize, check: &Check) -> bool {
        let gone = self.gone(which);
        let replica = self.change(which);
        let (now, learned) = (replica.now(), replica.learned);
        if check.fault == Some(Fault::NoHorizons) {
            let horizon = replica.ledger.horizon(&check.kind);
            replica.ledger.bookmark(&check.kind, horizon);
        }
        let demand =
            |waiting: &Waiting| Demand { id: waiting.request as u64, amounts: waiting.amounts.clone() };
        let demands: Vec<_> = replica.waiting.iter().map(demand).collect();
        let Some(draft) = replica.ledger.draft(&check.domain, &demands, &gone, now) else {
            replica.stale = true;
            return true;
        };
        if draft.changed {
            replica.ledger.writing(&draft);
            self.puts.push(Put { by: which, draft, learned, waited: true, answer: None });
        } else {
            replica.ledger.confirm(&draft);
            self.answer(which, &draft);
        }
        true
    }

    /// Those that wait take what the draft has for them.
    fn answer(&mut self, which: usize, draft: &Draft) {
        for waiting in std::mem::take(&mut self.change(which).waiting) {
            let replica = self.change(which);
            if !draft.fits.contains(&(waiting.request as u64)) {
                replica.waiting.push(waiting);
                continue;
            }
            match replica.ledger.reserve(&waiting.ask, false, replica.clock * TICK) {
                Answer::Taken(ticket) => self.fly(which, &waiting.ask, waiting.slot, Some(ticket)),
                Answer::Free => self.fly(which, &waiting.ask, waiting.slot, None),
                Answer::Short(_, amounts) => replica.waiting.push(Waiting { amounts, ..waiting }),
                Answer::Fenced => {}
            }
        }
    }

    /// Compare and swap.
    pub(super) fn arrive(&mut self, put: usize, check: &Check) {
        let known = self.shares.as_ref().map(|(_, version)| *version);
        let put_here = &mut self.puts[put];
        let wins = put_here.draft.version == known || check.fault == Some(Fault::StaleWrites);
        let version = wins.then(|| known.unwrap_or_default() + 1);
        if let Some(version) = version {
            self.shares = Some((put_here.draft.shares.clone(), version));
        }
        if put_here.waited {
            put_here.answer = Some(version);
        } else {
            self.puts.remove(put);
        }
        // What nobody waits for and comes too late changes nothing.
        let now = self.shares.as_ref().map(|(_, version)| *version);
        if check.fault != Some(Fault::StaleWrites) {
            self.puts.retain(|put| put.waited || put.draft.version == now);
        }
    }

    pub(super) fn hear(&mut self, put: usize) {
        let put = self.puts.remove(put);
        let replica = self.change(put.by);
        match put.answer.flatten() {
            Some(version) => {
                replica.ledger.wrote(&put.draft, version);
                self.answer(put.by, &put.draft);
            }
            None => {
                replica.ledger.lost(&put.draft);
                replica.stale = true;
            }
        }
    }

    /// The replica reads the shares before it goes on.
    pub(super) fn give_up(&mut self, put: usize) {
        self.left.losses -= 1;
        let by = self.puts[put].by;
        self.change(by).stale = true;
        self.leave(put);
    }

    fn leave(&mut self, put: usize) {
        let now = self.shares.as_ref().map(|(_, version)| *version);
        self.puts[put].waited = false;
        if self.puts[put].answer.is_some() || self.puts[put].draft.version != now {
            self.puts.remove(put);
        }
    }

    pub(super) fn read(&mut self, which: usize, check: &Check, read: bool) {
        let shares = self.shares.clone();
        let replica = self.change(which);
        replica.ledger.observe(&check.domain, shares, read);
        replica.stale &= !read;
    }

    pub(super) fn look(&mut self, which: usize, check: &Check) {
        let stored = self.stored.clone();
        let replica = self.change(which);
        let now = replica.now();
        for place in replica.ledger.expired(now, 100) {
            let slot = check.places.iter().position(|known| *known == place).unwrap();
            let found = stored.get(&slot).map(|(uid, _, version)| (uid.as_ref(), *version));
            replica.ledger.looked(&place, found, now);
        }
    }

    /// What was let in before is not stored any more, and nobody waits that long.
    pub(super) fn tick(&mut self, slow: Option<usize>, check: &Check) {
        self.flying.clear();
        for which in 0..2 {
            let replica = self.change(which);
            replica.waiting.clear();
            replica.clock += u64::from(slow != Some(which));
            if replica.renews {
                replica.ledger.set_fence((replica.clock + 1) * TICK);
            }
        }
        self.notice(check);
    }

    /// Replicas see that the lease of another has stood still for too long. What it let in was stored by then, if ever.
    pub(super) fn notice(&mut self, check: &Check) {
        let events = self.events.len();
        for still in &mut self.still {
            for (which, replica) in self.replicas.iter().enumerate() {
                let elapsed = replica.clock - still.since[which];
                if still.last[which].is_none()
                    && *replica.ledger.me() != still.name
                    && elapsed > check.gone_after()
                {
                    let early = check.fault == Some(Fault::BlindRemoval);
                    still.last[which] = Some(if early { 0 } else { events });
                }
            }
        }
    }

    pub(super) fn isolate(&mut self, which: usize) {
        self.change(which).renews = false;
        let since = self.replicas.each_ref().map(|replica| replica.clock);
        let name = Arc::clone(self.replicas[which].ledger.me());
        self.still.push(Still { name, since, last: [None, None] });
    }

    pub(super) fn renew(&mut self, which: usize) {
        let replica = self.change(which);
        replica.renews = true;
        replica.ledger.set_fence((replica.clock + 1) * TICK);
        let me = Arc::clone(replica.ledger.me());
        self.still.retain(|still| still.name != me);
    }

    /// The process ends; another with another name lists what is there.
    pub(super) fn restart(&mut self, which: usize, check: &Check) {
        if self.replicas[which].renews {
            self.isolate(which);
        }
        self.started += 1;
        let former = Arc::clone(&self.replicas[which]);
        let name = format!("{}{}", if which == 0 { "a" } else { "b" }, self.started);
        let mut next = Replica::new(&name, check);
        let list = self.stored.iter().map(|(slot, (uid, amount, version))| {
            let place = check.places[*slot].clone();
            (place.namespace, place.name, stored(Arc::clone(uid), *version, *amount))
        });
        (next.clock, next.seen, next.learned) = (former.clock, self.events.len(), self.budget);
        next.ledger.set_tenants(Arc::clone(&check.budgets[self.budget].1));
        next.ledger.replace(&check.kind, self.version(), list.collect());
        next.ledger.observe(&check.domain, self.shares.clone(), true);
        next.ledger.set_fence((next.clock + 1) * TICK);
        // It sees the leases for the first time.
        for still in &mut self.still {
            (still.since[which], still.last[which]) = (former.clock, None);
        }
        self.replicas[which] = Arc::new(next);
        for put in (0..self.puts.len()).rev() {
            if self.puts[put].by == which && self.puts[put].waited {
                self.leave(put);
            }
        }
    }
}

fn stored(uid: Arc<str>, version: u64, amount: i128) -> Stored {
    Stored { uid, version, tenant: None, class: None, charges: charges(amount) }
}
