//! What has to be true of every state: at once, and after everything that is under way has ended.

use super::*;

impl World {
    /// The most that a slot may have once the requests under way have ended, of all slots together.
    fn worst(&self) -> i128 {
        let most = |slot: usize| {
            let now = self.stored.get(&slot);
            // A change of what is not there any more is not stored; a create may be, once the object is gone.
            let may = |from: Option<u64>| from.is_none() || from == now.map(|(_, _, version)| *version);
            let flying = self.flying.iter().filter(|flying| flying.slot == slot && may(flying.from));
            let flying = flying.map(|flying| flying.amount);
            let stored = now.map_or(0, |(_, amount, _)| *amount);
            flying.fold(stored, i128::max)
        };
        (0..SLOTS.len()).map(most).sum()
    }

    /// What is stored and may still be stored is within the largest budget so far. A lower one is promised by
    /// [`World::is_prompt`].
    pub(super) fn fits(&self, check: &Check) -> bool {
        let largest = check.budgets[..=self.budget].iter().map(|(bound, _)| *bound).max();
        largest.is_some_and(|largest| self.worst() <= largest)
    }

    /// What the cache of a replica at or past the horizons shows, with all shares, is at least what is stored and may
    /// still be stored.
    pub(super) fn is_claimed(&self, check: &Check) -> bool {
        let nothing = Shares::default();
        let shares = self.shares.as_ref().map_or(&nothing, |(shares, _)| shares);
        let held: i128 = shares.holders.values().map(|holder| of(&holder.amounts, &check.account)).sum();
        let horizon = shares.horizons.get(&check.kind).copied().unwrap_or_default();
        let current =
            self.replicas.iter().filter(|replica| replica.ledger.version(&check.kind) >= Some(horizon));
        current
            .map(|replica| {
                let book = replica.ledger.books.get(&check.domain);
                book.map_or(0, |book| of(&book.live, &check.account))
            })
            .all(|live| live + held >= self.worst())
    }

    /// What a replica that decides may give and has under way is in its share.
    pub(super) fn is_covered(&self, check: &Check) -> bool {
        let decides = self.replicas.iter().filter(|replica| replica.now() < replica.ledger.fence);
        decides.map(|replica| &replica.ledger).all(|ledger| {
            let persisted =
                self.shares.as_ref().map_or(0, |(shares, _)| shares.held(ledger.me(), &check.account));
            let available = ledger.available(&check.domain, &check.account);
            available <= 0 || available + of(ledger.reservations.held(), &check.account) <= persisted
        })
    }

    /// Once nothing is under way and time has passed, nothing is held, and all that is free can be taken by either
    /// replica, the rest by the other.
    pub(super) fn ends_well(&self, check: &Check) -> bool {
        let mut world = self.clone();
        world.flying.clear();
        world.left =
            Left { deletes: 9, releases: 9, losses: 9, ticks: 9, drifts: 0, crashes: 9, isolations: 9 };
        (0..2).for_each(|which| world.change(which).waiting.clear());
        while !world.puts.is_empty() {
            world.finish(check);
        }
        for _ in 0..4 {
            (0..2)
                .filter(|which| !world.replicas[*which].renews)
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|which| world.restart(which, check));
            world.tick(None, check);
            (0..2).for_each(|which| world.tidy(which, check));
        }
        let holds = world.shares.as_ref().is_some_and(|(shares, _)| !shares.holders.is_empty());
        let remembers = world.replicas.iter().any(|replica| replica.ledger.reservations.len() > 0);
        !holds && !remembers && (0..2).all(|which| world.clone().gives_all(which, check))
    }

    /// Once all news have come, and no time has passed, whoever waits for what fits has it, and where a budget is
    /// passed nobody gives.
    pub(super) fn is_prompt(&self, check: &Check) -> bool {
        let mut world = self.clone();
        for _ in 0..3 {
            while !world.puts.is_empty() {
                world.finish(check);
            }
            (0..2).for_each(|which| world.tidy(which, check));
        }
        let account = &check.account;
        let held_by =
            |name: &Arc<str>| world.shares.as_ref().map_or(0, |(shares, _)| shares.held(name, account));
        let dead: i128 = world.still.iter().map(|still| held_by(&still.name)).sum();
        let ledgers =
            || world.replicas.iter().filter(|replica| replica.renews).map(|replica| &replica.ledger);
        let under_way: i128 = ledgers().map(|ledger| of(ledger.reservations.held(), account)).sum();
        let gives = ledgers().any(|ledger| ledger.available(&check.domain, account) > 0);
        let claimed = world.used() + dead + ledgers().map(|ledger| held_by(ledger.me())).sum::<i128>();
        let bound = check.budgets[world.budget].0;
        let waiting =
            world.replicas.iter().filter(|replica| replica.renews).flat_map(|replica| &replica.waiting);
        let refused =
            |waiting: &Waiting| world.used() + dead + under_way + of(&waiting.amounts, account) > bound;
        (!gives || claimed <= bound) && waiting.clone().all(refused)
    }

    /// The oldest write arrives, and is answered where somebody waits.
    fn finish(&mut self, check: &Check) {
        let before = self.puts.len();
        if self.puts[0].answer.is_none() {
            self.arrive(0, check);
        }
        if self.puts.len() == before {
            self.hear(0);
        }
    }

    /// A replica hears all news, and writes until it has nothing to write.
    fn tidy(&mut self, which: usize, check: &Check) {
        if self.replicas[which].learned < self.budget {
            self.act(Action::Learn(which), check);
        }
        while self.replicas[which].seen < self.events.len() {
            self.see(which, check);
        }
        self.look(which, check);
        self.read(which, check, true);
        for _ in 0..3 {
            if self.writes(which, check) {
                self.write(which, check);
            }
            while !self.puts.is_empty() {
                self.finish(check);
            }
            self.read(which, check, true);
        }
    }

    /// One replica lets in a request of one, the other one of all the rest.
    fn gives_all(mut self, first: usize, check: &Check) -> bool {
        let free = check.budgets[self.budget].0 - self.used();
        let asks = [(first, 2, free.min(1)), (1 - first, 3, free - 1)];
        asks.into_iter().filter(|(_, _, amount)| *amount > 0).all(|(which, slot, amount)| {
            self.ask(which, (slot, slot, amount, check.uids[slot].clone()), check);
            for _ in 0..3 {
                (0..2).for_each(|which| self.tidy(which, check));
            }
            self.flying.iter().any(|flying| flying.slot == slot)
        })
    }
}
