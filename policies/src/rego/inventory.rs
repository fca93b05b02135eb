//! The cluster objects that policies may read, in the shape Gatekeeper gave them.
//!
//! `data.inventory.cluster[groupVersion][Kind][name]` and
//! `data.inventory.namespace[namespace][groupVersion][Kind][name]`. One per evaluation thread; a change copies
//! only the maps on the way to the object, and only while an evaluation still holds the old ones.

use std::collections::BTreeMap;

use model::{LookupKind, ObjectEvent, ObjectKey, StoredObject};
use regorus::Value;

use super::builtins::forget;
use super::input;

/// A change of the watch caches, decoded once for all the inventories that follow it.
#[derive(Debug)]
pub enum InventoryChange {
    /// An object is there, or is another.
    Set(Vec<String>, Value),
    /// An object is gone.
    Remove(Vec<String>),
    /// These are all objects of a kind.
    Replace(LookupKind, Vec<(Vec<String>, Value)>),
}

impl InventoryChange {
    /// Decodes a change. An object that is not JSON is left out, and that is logged.
    pub fn decode(event: &ObjectEvent) -> Self {
        match event {
            ObjectEvent::Upsert(object) => match decode(object) {
                Some(value) => Self::Set(path(&object.key), value),
                None => Self::Remove(path(&object.key)),
            },
            ObjectEvent::Delete(key) => Self::Remove(path(key)),
            ObjectEvent::Replace(kind, objects) => Self::Replace(
                kind.clone(),
                objects.iter().filter_map(|object| Some((path(&object.key), decode(object)?))).collect(),
            ),
            ObjectEvent::Drop(kind) => Self::Replace(kind.clone(), Vec::new()),
        }
    }
}

/// Objects of the watch caches, as `data` for policies.
#[derive(Debug, Clone)]
pub struct RegoInventory {
    data: Value,
}

impl Default for RegoInventory {
    fn default() -> Self {
        Self::new()
    }
}

impl RegoInventory {
    /// An inventory without objects.
    pub fn new() -> Self {
        let empty = |name: &str| (Value::from(name), Value::new_object());
        let inventory = Value::from(BTreeMap::from([empty("cluster"), empty("namespace")]));
        Self { data: Value::from(BTreeMap::from([(Value::from("inventory"), inventory)])) }
    }

    /// Follows one change of the watch caches.
    pub fn apply(&mut self, change: &InventoryChange) {
        forget();
        match change {
            InventoryChange::Set(path, value) => self.set(path, value.clone()),
            InventoryChange::Remove(path) => self.remove(path),
            InventoryChange::Replace(kind, objects) => {
                self.clear(kind);
                self.fill(objects);
            }
        }
    }

    /// The whole document, with `inventory` in it; shared, not copied.
    pub fn data(&self) -> Value {
        self.data.clone()
    }

    /// Puts in the objects of one kind, a map at a time.
    fn fill(&mut self, objects: &[(Vec<String>, Value)]) {
        let mut maps: BTreeMap<&[String], BTreeMap<Value, Value>> = BTreeMap::new();
        for (path, value) in objects {
            let Some((name, parents)) = path.split_last() else { continue };
            maps.entry(parents).or_default().insert(Value::from(name.as_str()), value.clone());
        }
        for (path, map) in maps {
            self.set(path, Value::from(map));
        }
    }

    fn set(&mut self, path: &[String], value: Value) {
        let Some((name, parents)) = path.split_last() else { return };
        let mut map = &mut self.data;
        for parent in parents {
            let Ok(fields) = map.as_object_mut() else { return };
            map = fields.get_or_insert_with(Value::from(parent.as_str()), Value::new_object);
        }
        if let Ok(fields) = map.as_object_mut() {
            fields.insert(Value::from(name.as_str()), value);
        }
    }

    fn remove(&mut self, path: &[String]) {
        remove_in(&mut self.data, path, 0);
    }

    /// Takes out all objects of a kind, in every namespace.
    fn clear(&mut self, kind: &LookupKind) {
        let group_version = group_version(kind);
        let tail = |head: &[&str]| {
            let parts = head.iter().copied().chain([group_version.as_str(), kind.kind.as_str()]);
            parts.map(str::to_owned).collect::<Vec<_>>()
        };
        self.remove(&tail(&["inventory", "cluster"]));
        let namespaces: Vec<String> = match &self.data["inventory"]["namespace"] {
            Value::Object(fields) => {
                fields.keys().filter_map(|name| name.as_string().ok()).map(|n| n.to_string()).collect()
            }
            _ => Vec::new(),
        };
        for namespace in namespaces {
            self.remove(&tail(&["inventory", "namespace", &namespace]));
        }
    }
}

/// Removes what is at a path, and the maps that it leaves empty, but for the outermost two.
fn remove_in(map: &mut Value, path: &[String], level: usize) -> bool {
    let Some((name, rest)) = path.split_first() else { return true };
    let name = Value::from(name.as_str());
    // Looked up first: `as_object_mut` copies a map that is shared, even if nothing changes.
    if map.as_object().map_or(true, |fields| !fields.contains_key(&name)) {
        return false;
    }
    let Ok(fields) = map.as_object_mut() else { return false };
    let gone = match fields.get_mut(&name) {
        Some(child) => remove_in(child, rest, level.saturating_add(1)),
        None => false,
    };
    if gone {
        fields.remove(&name);
    }
    gone && fields.is_empty() && level > 2
}

fn decode(object: &StoredObject) -> Option<Value> {
    input::decode(object.json.as_bytes())
        .map_err(|error| tracing::warn!(name = object.key.name, %error, "a cluster object is left out of the inventory"))
        .ok()
}

fn path(key: &ObjectKey) -> Vec<String> {
    let mut path = vec!["inventory".to_owned()];
    if key.namespace.is_empty() {
        path.push("cluster".to_owned());
    } else {
        path.extend(["namespace".to_owned(), key.namespace.clone()]);
    }
    path.extend([group_version(&key.kind), key.kind.kind.clone(), key.name.clone()]);
    path
}

fn group_version(kind: &LookupKind) -> String {
    if kind.group.is_empty() { kind.version.clone() } else { format!("{}/{}", kind.group, kind.version) }
}
