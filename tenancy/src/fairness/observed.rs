//! The priority levels and FlowSchemas of the API server, watched: all of them, not Bailey's alone.

use std::collections::{BTreeMap, BTreeSet};

use fairness::apf::objects::{FlowSchema, PriorityLevelConfiguration};
use fairness::apf::plan::Object;
use futures::StreamExt;
use futures::stream::{BoxStream, select};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::proposal::Live;
use crate::cluster::{shown, watch_pauses};

/// The API group and version of both kinds.
const GROUP: &str = "flowcontrol.apiserver.k8s.io";
const VERSION: &str = "v1";

/// One of the two kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Level,
    Schema,
}

impl Kind {
    /// How the API server names it.
    pub(super) fn resource(self) -> ApiResource {
        let (kind, plural) = match self {
            Self::Level => ("PriorityLevelConfiguration", "prioritylevelconfigurations"),
            Self::Schema => ("FlowSchema", "flowschemas"),
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind), plural)
    }
}

/// A change of one kind, or why there is none.
pub(super) type Seen = (Kind, Result<Event<DynamicObject>, watcher::Error>);

/// What the API server has, as far as it is known.
#[derive(Default)]
pub(super) struct Observed {
    levels: BTreeMap<String, PriorityLevelConfiguration>,
    schemas: BTreeMap<String, FlowSchema>,
    /// Why FlowSchemas have no effect, by name: the API server found their priority level missing.
    dangling: BTreeMap<String, String>,
    listing: BTreeMap<Kind, BTreeSet<String>>,
    listed: BTreeSet<Kind>,
}

/// The changes of both kinds.
pub(super) fn watches(client: &Client) -> BoxStream<'static, Seen> {
    let of = |kind: Kind| {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind.resource());
        let events = watcher(api, watcher::Config::default()).backoff(watch_pauses());
        events.map(move |event| (kind, event)).boxed()
    };
    select(of(Kind::Level), of(Kind::Schema)).boxed()
}

impl Observed {
    /// Whether both kinds are listed.
    pub(super) fn is_listed(&self) -> bool {
        self.listed.len() == 2
    }

    /// What there is.
    pub(super) fn live(&self) -> Live {
        Live {
            levels: self.levels.values().cloned().collect(),
            schemas: self.schemas.values().cloned().collect(),
        }
    }

    /// FlowSchemas of Bailey's that have no effect, and why.
    pub(super) fn dangling(&self) -> impl Iterator<Item = (&FlowSchema, &str)> {
        self.dangling.iter().filter_map(|(name, why)| {
            let schema = self.schemas.get(name).filter(|schema| schema.metadata.is_ours())?;
            Some((schema, why.as_str()))
        })
    }

    /// How many priority levels and FlowSchemas are Bailey's.
    pub(super) fn ours(&self) -> (usize, usize) {
        (
            self.levels.values().filter(|level| level.metadata.is_ours()).count(),
            self.schemas.values().filter(|schema| schema.metadata.is_ours()).count(),
        )
    }

    /// Takes a change in; whether there may be something to do.
    pub(super) fn take(&mut self, (kind, event): Seen) -> bool {
        match event {
            Ok(Event::Init) => _ = self.listing.insert(kind, BTreeSet::new()),
            Ok(Event::InitApply(object)) => {
                self.listing.entry(kind).or_default().insert(object.name_any());
                self.set(kind, object);
            }
            Ok(Event::InitDone) => {
                let found = self.listing.remove(&kind).unwrap_or_default();
                match kind {
                    Kind::Level => self.levels.retain(|name, _| found.contains(name)),
                    Kind::Schema => self.schemas.retain(|name, _| found.contains(name)),
                }
                self.listed.insert(kind);
                return true;
            }
            Ok(Event::Apply(object)) => return self.set(kind, object),
            Ok(Event::Delete(object)) => return self.remove(kind, &object.name_any()),
            Err(error) => {
                let kind = kind.resource().kind;
                tracing::warn!(kind, error = shown(&error), "objects cannot be watched");
            }
        }
        false
    }

    /// Notes an object that was written, as the API server gave it back: the watch tells of it too, later.
    pub(super) fn set(&mut self, kind: Kind, object: DynamicObject) -> bool {
        let name = object.name_any();
        match kind {
            Kind::Level => match read(object) {
                Some(level) => insert(&mut self.levels, name, level),
                None => self.remove(kind, &name),
            },
            Kind::Schema => {
                let why = dangling(&object.data);
                let before = match &why {
                    Some(why) => self.dangling.insert(name.clone(), why.clone()),
                    None => self.dangling.remove(&name),
                };
                let changed = match read(object) {
                    Some(schema) => insert(&mut self.schemas, name, schema),
                    None => self.remove(kind, &name),
                };
                changed || before != why
            }
        }
    }

    /// Notes that an object is gone; whether it was there.
    pub(super) fn remove(&mut self, kind: Kind, name: &str) -> bool {
        match kind {
            Kind::Level => self.levels.remove(name).is_some(),
            Kind::Schema => {
                self.dangling.remove(name);
                self.schemas.remove(name).is_some()
            }
        }
    }
}

/// The kind and the name of an object.
pub(super) fn place(object: &Object) -> (Kind, &str) {
    match object {
        Object::Level(level) => (Kind::Level, &level.metadata.name),
        Object::Schema(schema) => (Kind::Schema, &schema.metadata.name),
    }
}

fn insert<T: PartialEq>(all: &mut BTreeMap<String, T>, name: String, object: T) -> bool {
    let changed = all.get(&name) != Some(&object);
    all.insert(name, object);
    changed
}

/// One that cannot be read counts as absent: what cannot be told from others is not overwritten either, for a name that is
/// there cannot be created.
fn read<T: DeserializeOwned>(mut object: DynamicObject) -> Option<T> {
    // Long, and of no use here.
    object.metadata.managed_fields = None;
    let name = object.name_any();
    match serde_json::to_value(&object).and_then(serde_json::from_value) {
        Ok(typed) => Some(typed),
        Err(error) => {
            tracing::error!(name, %error, "an object of flow control cannot be read, it counts as absent");
            None
        }
    }
}

/// Why a FlowSchema has no effect, where it has none.
fn dangling(object: &Value) -> Option<String> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let said = conditions.iter().find(|condition| {
        let field = |name: &str| condition.get(name).and_then(Value::as_str);
        field("type") == Some("Dangling") && field("status") == Some("True")
    })?;
    Some(said.get("message").and_then(Value::as_str).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema(name: &str, dangling: &str) -> DynamicObject {
        let conditions = json!([{"type": "Dangling", "status": dangling, "message": "no such level"}]);
        serde_json::from_value(json!({
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema",
            "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "bailey"}},
            "spec": {"priorityLevelConfiguration": {"name": "tenants-gold"}, "matchingPrecedence": 2000},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    #[test]
    fn a_list_replaces_what_was_known_and_dangling_ones_are_told() {
        let mut observed = Observed::default();
        for name in ["old", "kept"] {
            assert!(observed.take((Kind::Schema, Ok(Event::Apply(schema(name, "True"))))));
        }
        assert!(!observed.take((Kind::Schema, Ok(Event::Init))));
        assert!(!observed.take((Kind::Schema, Ok(Event::InitApply(schema("kept", "False"))))));
        assert!(observed.take((Kind::Schema, Ok(Event::InitDone))) && !observed.is_listed());
        assert_eq!((observed.ours(), observed.dangling().count()), ((0, 1), 0));
        assert!(!observed.take((Kind::Schema, Ok(Event::Apply(schema("kept", "False"))))));
        assert!(observed.take((Kind::Schema, Ok(Event::Apply(schema("kept", "True"))))));
        let said: Vec<_> =
            observed.dangling().map(|(schema, why)| (schema.metadata.name.as_str(), why)).collect();
        assert_eq!(said, [("kept", "no such level")]);
        assert!(observed.take((Kind::Schema, Ok(Event::Delete(schema("kept", "True"))))));
        assert_eq!((observed.ours(), observed.dangling().count()), ((0, 0), 0));
        for event in [Event::Init, Event::InitDone] {
            observed.take((Kind::Level, Ok(event)));
        }
        assert!(observed.is_listed());
    }
}
