//! The cluster objects one evaluation thread may look up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Code, LabelSelector, LookupKind, ObjectEvent, ObjectKey, ObjectMeta, Request, StoredObject};

use crate::rego::{InventoryChange, RegoInventory};
use crate::{EvaluationError, Lookups};

/// Objects by kind and key, in the forms Rego and guests read, and the labels of namespaces.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// What Rego policies read, one for each list of kinds that a policy declares.
    views: Vec<View>,
    kinds: BTreeMap<LookupKind, BTreeMap<(String, String), Arc<str>>>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
}

/// The inventory of the policies that declare just these kinds: of other kinds they see nothing.
#[derive(Debug)]
struct View {
    kinds: Vec<LookupKind>,
    inventory: RegoInventory,
}

impl Objects {
    /// Makes a view for each of these lists of kinds, drops those that no policy declares any more.
    pub(super) fn serve<'a>(&mut self, declared: impl IntoIterator<Item = &'a [LookupKind]>) {
        let mut known = std::mem::take(&mut self.views);
        for kinds in declared.into_iter().filter(|kinds| !kinds.is_empty()) {
            if self.views.iter().any(|view| view.kinds == kinds) {
                continue;
            }
            let place = known.iter().position(|view| view.kinds == kinds);
            let view = place.map_or_else(|| self.view(kinds), |place| known.swap_remove(place));
            self.views.push(view);
        }
    }

    fn view(&self, kinds: &[LookupKind]) -> View {
        let mut inventory = RegoInventory::new();
        for (kind, objects) in kinds.iter().filter_map(|kind| self.kinds.get_key_value(kind)) {
            let objects = objects.iter().map(|((namespace, name), json)| StoredObject {
                key: ObjectKey { kind: kind.clone(), namespace: namespace.clone(), name: name.clone() },
                json: Arc::clone(json),
            });
            let all = ObjectEvent::Replace(kind.clone(), objects.collect());
            inventory.apply(&InventoryChange::decode(&all));
        }
        View { kinds: kinds.to_vec(), inventory }
    }

    /// Takes in a change; returns the namespaces whose labels it changed.
    pub(super) fn apply(&mut self, event: &ObjectEvent) -> BTreeSet<String> {
        let kind = event.kind();
        let mut views = self.views.iter_mut().filter(|view| view.kinds.contains(kind)).peekable();
        if views.peek().is_some() {
            let change = InventoryChange::decode(event);
            views.for_each(|view| view.inventory.apply(&change));
        }
        let mut touched = BTreeSet::new();
        match event {
            ObjectEvent::Upsert(object) => self.upsert(object, &mut touched),
            ObjectEvent::Delete(key) => self.delete(key, &mut touched),
            ObjectEvent::Replace(kind, objects) => {
                self.kinds.insert(kind.clone(), BTreeMap::new());
                if is_namespace(kind) {
                    touched.extend(std::mem::take(&mut self.namespaces).into_keys());
                }
                objects.iter().for_each(|object| self.upsert(object, &mut touched));
            }
            ObjectEvent::Drop(kind) => {
                self.kinds.remove(kind);
                if is_namespace(kind) {
                    touched.extend(std::mem::take(&mut self.namespaces).into_keys());
                }
            }
        }
        touched
    }

    /// The labels of a namespace; `None` when it is not in the cache.
    pub(super) fn namespace_labels(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.namespaces.get(name)
    }

    /// Whether namespaces are cached at all.
    pub(super) fn caches_namespaces(&self) -> bool {
        self.kinds.keys().any(is_namespace)
    }

    /// The cached objects of these kinds, as Rego reads them under `data`.
    pub(super) fn data(&self, kinds: &[LookupKind]) -> regorus::Value {
        let view = self.views.iter().find(|view| view.kinds == kinds);
        view.map_or_else(regorus::Value::new_object, |view| view.inventory.data())
    }

    /// Checks that every declared kind is cached.
    pub(super) fn check(&self, kinds: &[LookupKind]) -> Result<(), EvaluationError> {
        kinds.iter().try_for_each(|kind| self.kind(kind).map(|_| ()))
    }

    fn kind(&self, kind: &LookupKind) -> Result<&BTreeMap<(String, String), Arc<str>>, EvaluationError> {
        self.kinds.get(kind).ok_or_else(|| {
            EvaluationError::new(
                Code::LookupUnavailable,
                format!(
                    "`{} {}` cannot be looked up: the kind is not cached (does it exist, and may bailey list it?)",
                    kind.api_version(),
                    kind.kind
                ),
            )
        })
    }

    fn upsert(&mut self, object: &StoredObject, touched: &mut BTreeSet<String>) {
        let key = &object.key;
        if is_namespace(&key.kind) {
            let labels = Request::metadata(object.json.as_bytes()).unwrap_or_default().labels;
            if self.namespaces.insert(key.name.clone(), labels.clone()) != Some(labels) {
                touched.insert(key.name.clone());
            }
        }
        let objects = self.kinds.entry(key.kind.clone()).or_default();
        objects.insert((key.namespace.clone(), key.name.clone()), Arc::clone(&object.json));
    }

    fn delete(&mut self, key: &ObjectKey, touched: &mut BTreeSet<String>) {
        if is_namespace(&key.kind) && self.namespaces.remove(&key.name).is_some() {
            touched.insert(key.name.clone());
        }
        if let Some(objects) = self.kinds.get_mut(&key.kind) {
            objects.remove(&(key.namespace.clone(), key.name.clone()));
        }
    }
}

impl Lookups for Objects {
    fn get(&self, key: &ObjectKey) -> Result<Option<Arc<str>>, EvaluationError> {
        Ok(self.kind(&key.kind)?.get(&(key.namespace.clone(), key.name.clone())).cloned())
    }

    fn list(
        &self,
        kind: &LookupKind,
        namespace: Option<&str>,
        selector: &LabelSelector,
    ) -> Result<Vec<Arc<str>>, EvaluationError> {
        let objects = self.kind(kind)?.iter();
        let in_namespace = objects.filter(|((found, _), _)| namespace.is_none_or(|wanted| wanted == found));
        if selector.is_empty() {
            return Ok(in_namespace.map(|(_, json)| Arc::clone(json)).collect());
        }
        let mut selected = Vec::new();
        for ((_, name), json) in in_namespace {
            let meta: ObjectMeta = Request::metadata(json.as_bytes()).map_err(|error| {
                EvaluationError::new(
                    Code::LookupUnavailable,
                    format!("cached object `{name}` is unreadable: {error}"),
                )
            })?;
            if selector.matches(&meta.labels) {
                selected.push(Arc::clone(json));
            }
        }
        Ok(selected)
    }
}

fn is_namespace(kind: &LookupKind) -> bool {
    kind.group.is_empty() && kind.kind == "Namespace"
}
