use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::account::{Kind, Place, Stored};

/// A namespace and a name.
pub(super) type Key = (Arc<str>, Arc<str>);

/// The objects of the counted kinds, as the watches saw them last.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Objects {
    kinds: BTreeMap<Arc<Kind>, Listed>,
}

/// The objects of one kind.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Listed {
    /// By namespace and name.
    pub(super) objects: BTreeMap<Key, Stored>,
    /// The newest version heard of; `None` until all are listed.
    pub(super) version: Option<u64>,
}

impl Objects {
    pub(super) fn kind(&self, kind: &Kind) -> Option<&Listed> {
        self.kinds.get(kind)
    }

    pub(super) fn kind_mut(&mut self, kind: &Arc<Kind>) -> &mut Listed {
        self.kinds.entry(Arc::clone(kind)).or_default()
    }

    /// Keeps these kinds only; gives what the others had.
    pub(super) fn retain(&mut self, kinds: &BTreeSet<Arc<Kind>>) -> Vec<(Arc<Kind>, Listed)> {
        let dropped: Vec<_> = self.kinds.keys().filter(|kind| !kinds.contains(*kind)).cloned().collect();
        dropped.into_iter().filter_map(|kind| self.kinds.remove_entry(&kind)).collect()
    }

    /// Every object of a namespace, kind by kind.
    pub(super) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = (&Arc<Kind>, &Key, &Stored)> {
        let first: Key = (namespace.into(), "".into());
        let namespace = Arc::clone(&first.0);
        self.kinds.iter().flat_map(move |(kind, listed)| {
            let namespace = Arc::clone(&namespace);
            let from = listed.objects.range(first.clone()..);
            from.take_while(move |((found, _), _)| *found == namespace)
                .map(move |(key, stored)| (kind, key, stored))
        })
    }

    /// Every object.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (&Arc<Kind>, &Key, &Stored)> {
        self.kinds
            .iter()
            .flat_map(|(kind, listed)| listed.objects.iter().map(move |(key, stored)| (kind, key, stored)))
    }

    /// The object at a place, as far as it is known.
    pub(super) fn at(&self, place: &Place) -> Option<&Stored> {
        let key = (Arc::clone(&place.namespace), Arc::clone(&place.name));
        self.kinds.get(&place.kind)?.objects.get(&key)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.kinds.values().map(|listed| listed.objects.len()).sum()
    }
}
