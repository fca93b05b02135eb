use std::sync::Arc;

use crate::LookupKind;

/// The identity of a cached cluster object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// The kind, as a policy declared it.
    pub kind: LookupKind,
    /// The namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// A cached cluster object: its JSON text without `metadata.managedFields`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its identity.
    pub key: ObjectKey,
    /// Its JSON text.
    pub json: Arc<str>,
}

/// A change of the watch caches, in the order it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectEvent {
    /// An object is there, new or changed.
    Upsert(StoredObject),
    /// An object is gone.
    Delete(ObjectKey),
    /// All objects of a kind, after a list: what is not among them is gone. Makes the kind available.
    Replace(LookupKind, Vec<StoredObject>),
    /// A kind is no longer cached: lookups of it fail.
    Drop(LookupKind),
}

impl ObjectEvent {
    /// The kind whose objects change.
    pub fn kind(&self) -> &LookupKind {
        match self {
            Self::Upsert(object) => &object.key.kind,
            Self::Delete(key) => &key.kind,
            Self::Replace(kind, _) | Self::Drop(kind) => kind,
        }
    }
}
