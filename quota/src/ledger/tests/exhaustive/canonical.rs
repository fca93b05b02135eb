//! What two states are told apart by. Versions of the shares count by their order alone, times by what is left of
//! them; what follows from the rest is left out.

use std::hash::{Hash, Hasher};

use super::*;

impl World {
    /// A version of the shares by its place among all that are known.
    fn ranks(&self) -> BTreeSet<Option<u64>> {
        let known = self.replicas.iter().flat_map(|replica| replica.ledger.books.values());
        let drafts = self.puts.iter().flat_map(|put| [put.draft.version, put.answer.flatten()]);
        let now = self.shares.as_ref().map(|(_, version)| *version);
        known.map(|book| book.version).chain(drafts).chain([now, None]).collect()
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        let [one, two] = [self, other].map(|world| {
            let mut state = std::hash::DefaultHasher::new();
            world.hash(&mut state);
            state.finish()
        });
        one == two
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ranks = self.ranks();
        let rank = |version: Option<u64>| ranks.range(..version).count();
        let seen = self.replicas.iter().map(|replica| replica.seen).min().unwrap_or_default();
        (&self.stored, self.events.len(), &self.events[seen..]).hash(state);
        (self.budget, &self.to_come, &self.left, self.started).hash(state);
        (self.shares.is_some(), self.still.len()).hash(state);
        if let Some((shares, version)) = &self.shares {
            rank(Some(*version)).hash(state);
            hash_shares(shares, state);
        }
        let mut flying: Vec<_> =
            self.flying.iter().map(|one| (&one.uid, &one.by, one.slot, one.amount, one.from)).collect();
        flying.sort_unstable();
        flying.hash(state);
        self.puts.len().hash(state);
        for put in &self.puts {
            (put.by, put.waited, put.learned, rank(put.draft.version)).hash(state);
            put.answer.map(|answer| answer.map(|version| rank(Some(version)))).hash(state);
            (&put.draft.fits, &put.draft.written.amounts, &put.draft.written.seen).hash(state);
            hash_shares(&put.draft.shares, state);
        }
        for replica in &self.replicas {
            hash_replica(replica, rank, state);
        }
        for still in &self.still {
            let holds = self.shares.iter().any(|(shares, _)| shares.holders.contains_key(&still.name));
            (&still.name, holds).hash(state);
            for (which, replica) in self.replicas.iter().enumerate() {
                match still.last[which] {
                    None => (replica.clock - still.since[which]).hash(state),
                    Some(last) => last.saturating_sub(replica.seen).hash(state),
                }
                still.last[which].is_some().hash(state);
            }
        }
    }
}

fn hash_replica(replica: &Replica, rank: impl Fn(Option<u64>) -> usize, state: &mut impl Hasher) {
    let Replica { ledger, seen, learned, waiting, stale, renews, .. } = replica;
    let now = replica.now();
    (ledger.me(), seen, learned, stale, renews, ledger.fence.saturating_sub(now)).hash(state);
    (waiting.len(), ledger.size(), ledger.books.len()).hash(state);
    for one in waiting {
        (one.request, one.ask.from, &one.amounts, one.ask.until.saturating_sub(now)).hash(state);
    }
    for (kind, key, stored) in ledger.objects.all() {
        (ledger.version(kind), key, &stored.uid, stored.version, &stored.charges).hash(state);
    }
    ledger.counted().iter().for_each(|kind| ledger.version(kind).hash(state));
    ledger.reservations.told_apart(now, state);
    (&ledger.seen, &ledger.horizons, &ledger.rolled_back).hash(state);
    for book in ledger.books.values() {
        (&book.live, book.known, rank(book.version), book.limits.abs_diff(book.checked)).hash(state);
        hash_shares(&book.shares, state);
        (book.open.len(), book.asked.len(), &book.reclaims).hash(state);
        for written in &book.open {
            (&written.amounts, &written.seen).hash(state);
        }
        // Of what was asked for it matters whether it was of late.
        let late = book.asked.values().map(|asked| now.saturating_sub(*asked) < TICK);
        late.for_each(|late| late.hash(state));
    }
}

fn hash_shares(shares: &Shares, state: &mut impl Hasher) {
    shares.holders.len().hash(state);
    for (name, holder) in &shares.holders {
        (name, &holder.amounts, holder.exact, holder.recalled, &holder.reclaims).hash(state);
    }
    shares.horizons.hash(state);
}
