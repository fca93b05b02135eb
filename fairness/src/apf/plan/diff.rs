//! What has to be changed for a plan to hold.

use std::collections::{BTreeMap, BTreeSet};

use super::Plan;
use crate::apf::objects::{FlowSchema, ObjectMeta, PriorityLevelConfiguration};

/// One object of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A priority level.
    Level(PriorityLevelConfiguration),
    /// A FlowSchema.
    Schema(FlowSchema),
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The object is to be made.
    Create(Object),
    /// The object is to be written, at the version it was read at.
    Update(Object),
    /// The object, as it was read, is to be deleted.
    Delete(Object),
}

/// What has to be changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// The next changes, in the order in which they have to be made.
    pub changes: Vec<Change>,
    /// How many more there are behind them.
    pub remaining: usize,
    /// Objects of somebody else that have the name of a wanted one: they are left alone.
    pub conflicts: Vec<Object>,
}

/// What has to be changed for a plan to hold, at most so much of it at once.
///
/// Only objects with Bailey's label are changed or deleted. Levels are made before FlowSchemas lead to them and deleted
/// after; whatever a tenant moves to is made before what it leaves is deleted, so every tenant always has a flow. (Where
/// the subjects of a shard take more than one FlowSchema, one that moves between these has none for one change.)
/// A server digests its whole configuration again at every change: batches, not thousands at once.
pub fn diff(
    wanted: &Plan,
    levels: &[PriorityLevelConfiguration],
    schemas: &[FlowSchema],
    most: usize,
) -> Diff {
    let levels = compare(&wanted.levels, levels);
    let schemas = compare(&wanted.schemas, schemas);
    let mut conflicts: Vec<Object> = levels.conflicts.into_iter().map(Object::Level).collect();
    conflicts.extend(schemas.conflicts.into_iter().map(Object::Schema));
    let mut changes = Vec::new();
    changes.extend(levels.create.into_iter().map(Object::Level).map(Change::Create));
    changes.extend(levels.update.into_iter().map(Object::Level).map(Change::Update));
    changes.extend(schemas.create.into_iter().map(Object::Schema).map(Change::Create));
    changes.extend(schemas.update.into_iter().map(Object::Schema).map(Change::Update));
    changes.extend(schemas.delete.into_iter().map(Object::Schema).map(Change::Delete));
    changes.extend(levels.delete.into_iter().map(Object::Level).map(Change::Delete));
    let remaining = changes.len().saturating_sub(most);
    changes.truncate(most);
    Diff { changes, remaining, conflicts }
}

/// What either kind of object has.
trait Named: Clone {
    fn meta(&self) -> &ObjectMeta;
    /// The same at a version.
    fn at(&self, version: Option<String>) -> Self;
    fn is_as_wanted(&self, wanted: &Self) -> bool;
}

impl Named for PriorityLevelConfiguration {
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn at(&self, resource_version: Option<String>) -> Self {
        let metadata = ObjectMeta { resource_version, ..self.metadata.clone() };
        Self { metadata, ..self.clone() }
    }

    fn is_as_wanted(&self, wanted: &Self) -> bool {
        self.spec == wanted.spec
    }
}

impl Named for FlowSchema {
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn at(&self, resource_version: Option<String>) -> Self {
        let metadata = ObjectMeta { resource_version, ..self.metadata.clone() };
        Self { metadata, ..self.clone() }
    }

    fn is_as_wanted(&self, wanted: &Self) -> bool {
        self.spec == wanted.spec
    }
}

struct Compared<T> {
    create: Vec<T>,
    update: Vec<T>,
    delete: Vec<T>,
    conflicts: Vec<T>,
}

fn compare<T: Named>(wanted: &[T], live: &[T]) -> Compared<T> {
    let by_name: BTreeMap<&str, &T> =
        live.iter().map(|object| (object.meta().name.as_str(), object)).collect();
    let names: BTreeSet<&str> = wanted.iter().map(|object| object.meta().name.as_str()).collect();
    let mut compared =
        Compared { create: Vec::new(), update: Vec::new(), delete: Vec::new(), conflicts: Vec::new() };
    for object in wanted {
        match by_name.get(object.meta().name.as_str()) {
            None => compared.create.push(object.clone()),
            Some(live) if !live.meta().is_ours() => compared.conflicts.push((*live).clone()),
            Some(live) if live.is_as_wanted(object) => {}
            Some(live) => compared.update.push(object.at(live.meta().resource_version.clone())),
        }
    }
    let gone =
        by_name.values().filter(|live| live.meta().is_ours() && !names.contains(live.meta().name.as_str()));
    compared.delete.extend(gone.map(|live| (*live).clone()));
    compared
}
