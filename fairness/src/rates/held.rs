//! What a replica has of every limit, also of those that nobody asked it for yet.

use std::collections::HashMap;

use super::entry::Entry;
use super::shares::{Holding, Key, MOST_PARTS};
use super::{Limit, Limits, Nanos, Start};

/// What a replica has of every limit.
#[derive(Debug, Default)]
pub(super) struct Held {
    holding: Holding,
    /// When its base grew last: what is more may have been used elsewhere until then.
    grown: Option<Nanos>,
    /// The same of limits that were named, and that nobody asked it for.
    named: HashMap<Key, Nanos>,
}

impl Held {
    pub(super) fn of(holding: Holding) -> Self {
        Self { holding, grown: None, named: HashMap::new() }
    }

    pub(super) fn part(&self, key: &Key, limit: Limit) -> Limit {
        self.holding.part(key, limit)
    }

    /// Takes in what is held now, and gives what was.
    pub(super) fn replace(&mut self, now: Nanos, holding: &Holding, start: Start) -> Holding {
        match start {
            Start::Full => (self.grown, self.named) = (None, HashMap::new()),
            Start::Empty if holding.base() > self.holding.base() => self.grown = Some(now),
            Start::Empty => {}
        }
        std::mem::replace(&mut self.holding, holding.clone())
    }

    /// Takes note that a limit has another part, of which there are no buckets yet.
    pub(super) fn note(&mut self, now: Nanos, key: &Key, before: &Holding) {
        if before.named_part(key) == self.holding.named_part(key) {
            return;
        }
        if self.named.len() >= MOST_PARTS {
            (self.grown, self.named) = (Some(now), HashMap::new());
        }
        self.named.insert(key.clone(), now);
    }

    /// The buckets of a limit that begins now: with what filled up since its part grew.
    pub(super) fn entry(&mut self, now: Nanos, key: &Key, limits: Limits, start: Start) -> Entry {
        let part = self.part(key, limits.tenant);
        let grown = self.named.remove(key).max(self.grown);
        match grown {
            Some(grown) if start == Start::Full => Entry::new(grown, limits, part, Start::Empty),
            _ => Entry::new(now, limits, part, start),
        }
    }
}
