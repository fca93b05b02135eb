//! The objects of a kind, and what became of them: enough to say how it was at each version that is still kept.
//!
//! The promise, for every version from [`History::oldest`] to [`History::version`]:
//! 1. [`History::at`] is the state at that version.
//! 2. [`History::since`] has every change after it, in order, each with what was before: a reader that had the state at the
//!    version has the state now.
//!
//! Changes come from a watch, in order, and from whole lists, which may tell of them before the watch does: what is not newer
//! than the version is known already. Of an object that a list does not have any more only that is known, not when it went,
//! and of one that changed twice only the last; both are told at versions that nobody has read past.
//!
//! Memory: the objects, at most [`MAX_CHANGES`] changes, and of their objects at most [`MAX_BYTES`] bytes.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::entry::Entry;

/// The most changes that are kept.
pub(crate) const MAX_CHANGES: usize = 4_000;
/// The most bytes of the objects of those, but for the last one.
const MAX_BYTES: usize = 32 << 20;

/// What became of an object.
#[derive(Debug, Clone)]
pub(crate) enum After {
    /// It is there, like this.
    Is(Arc<Entry>),
    /// It is gone, and was like this at last.
    Gone(Arc<Entry>),
}

/// A change of one object.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// The version from which on it is so.
    pub(crate) version: u64,
    pub(crate) before: Option<Arc<Entry>>,
    pub(crate) after: After,
}

impl Change {
    pub(crate) fn name(&self) -> &str {
        match &self.after {
            After::Is(entry) | After::Gone(entry) => &entry.name,
        }
    }

    fn bytes(&self) -> usize {
        match &self.after {
            After::Is(entry) | After::Gone(entry) => entry.bytes(),
        }
    }
}

/// The objects of a kind, and their changes.
#[derive(Debug, Default)]
pub(crate) struct History {
    objects: BTreeMap<Arc<str>, Arc<Entry>>,
    owned: HashMap<String, BTreeSet<Arc<str>>>,
    changes: VecDeque<Change>,
    bytes: usize,
    version: u64,
    oldest: u64,
}

impl History {
    /// The state that is known is that of this version.
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// The first version that changes are known after.
    pub(crate) const fn oldest(&self) -> u64 {
        self.oldest
    }

    /// The objects now, by name.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.objects.values()
    }

    /// The objects now that belong to an owner, by name.
    pub(crate) fn owned_by<'a>(&'a self, owner: &str) -> impl Iterator<Item = &'a Arc<Entry>> {
        let names = self.owned.get(owner).into_iter().flatten();
        names.filter_map(|name| self.objects.get(name))
    }

    /// Takes in a whole list. The first one is where it begins.
    pub(crate) fn list(&mut self, entries: Vec<Arc<Entry>>, version: u64) {
        let first = self.version == 0;
        if !first && version <= self.version {
            return;
        }
        let names: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let gone = self.objects.values().filter(|known| !names.contains(known.name.as_str()));
        let mut changes: Vec<Change> = gone
            .map(|known| Change { version, before: None, after: After::Gone(Arc::clone(known)) })
            .collect();
        for entry in entries {
            if self.objects.get(entry.name.as_str()).is_none_or(|known| known.version != entry.version) {
                let new = entry.version > self.version && entry.version <= version;
                let version = if new { entry.version } else { version };
                changes.push(Change { version, before: None, after: After::Is(entry) });
            }
        }
        changes.sort_by_key(|change| change.version);
        for change in changes {
            self.apply(change);
        }
        self.version = version;
        if first {
            (self.oldest, self.bytes) = (version, 0);
            self.changes.clear();
        }
    }

    /// Takes in a change that the watch tells of. Says whether it was new.
    pub(crate) fn change(&mut self, version: u64, after: After) -> bool {
        if version <= self.version {
            return false;
        }
        self.apply(Change { version, before: None, after });
        self.version = version;
        true
    }

    /// Nothing else has changed up to this version.
    pub(crate) fn reach(&mut self, version: u64) -> bool {
        let further = version > self.version;
        self.version = self.version.max(version);
        further
    }

    /// The changes after a version, in order; `None` where they are not all known any more.
    pub(crate) fn since(&self, version: u64) -> Option<impl Iterator<Item = &Change>> {
        if version < self.oldest {
            return None;
        }
        let begin = self.changes.partition_point(|change| change.version <= version);
        Some(self.changes.range(begin..))
    }

    /// The objects at a version, by name; `None` where that is not known.
    pub(crate) fn at(&self, version: u64) -> Option<BTreeMap<Arc<str>, Arc<Entry>>> {
        if version > self.version {
            return None;
        }
        let changes: Vec<&Change> = self.since(version)?.collect();
        let mut objects = self.objects.clone();
        for change in changes.into_iter().rev() {
            match &change.before {
                Some(before) => objects.insert(before.name.as_str().into(), Arc::clone(before)),
                None => objects.remove(change.name()),
            };
        }
        Some(objects)
    }

    fn apply(&mut self, mut change: Change) {
        let name: Arc<str> = change.name().into();
        change.before = match &change.after {
            After::Is(entry) => self.objects.insert(Arc::clone(&name), Arc::clone(entry)),
            After::Gone(_) => self.objects.remove(&name),
        };
        if let Some(owner) = change.before.as_ref().and_then(|before| before.owner.as_ref())
            && let Some(names) = self.owned.get_mut(owner)
        {
            names.remove(&name);
            if names.is_empty() {
                self.owned.remove(owner);
            }
        }
        if let After::Is(entry) = &change.after
            && let Some(owner) = &entry.owner
        {
            self.owned.entry(owner.clone()).or_default().insert(name);
        }
        if change.before.is_none() && matches!(change.after, After::Gone(_)) {
            return;
        }
        self.bytes = self.bytes.saturating_add(change.bytes());
        self.changes.push_back(change);
        while self.changes.len() > MAX_CHANGES || (self.bytes > MAX_BYTES && self.changes.len() > 1) {
            let Some(first) = self.changes.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(first.bytes());
            self.oldest = self.oldest.max(first.version);
        }
    }
}
