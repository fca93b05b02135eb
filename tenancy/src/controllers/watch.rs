//! The objects that carry Bailey's label, watched, and the Secrets that are copied.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{BoxStream, select_all};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::api::DynamicObject;
use kube::runtime::utils::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use model::MANAGED_LABEL;
use serde_json::{Value, json};

use super::apply;
use super::content::Content;
use super::plan::{Found, Key, Kind, MANAGED, Step};
use crate::cluster::{http_status, map_event, shown, watch_pauses};

/// The namespace of Secrets that are copied.
const OWN_NAMESPACE: &str = "bailey-system";
/// The label of Secrets that may be copied.
const COPY_LABEL: &str = "bailey.dev/copy";

/// A change of what is watched.
pub(super) enum Seen {
    /// An object with the label.
    Object(Kind, Result<Event<(Key, Content)>, watcher::Error>),
    /// A Secret that may be copied: its name and what it holds.
    Secret(Result<Event<(String, Value)>, watcher::Error>),
}

/// What was found of it all.
#[derive(Default)]
pub(super) struct Observed {
    pub(super) found: Found,
    pub(super) secrets: BTreeMap<String, Value>,
    listing: BTreeMap<Kind, Vec<(Key, Content)>>,
    listing_secrets: BTreeMap<String, Value>,
    listed: BTreeSet<Kind>,
    secrets_listed: bool,
}

impl Observed {
    /// Whether everything was listed once.
    pub(super) fn is_listed(&self) -> bool {
        self.secrets_listed && self.listed.len() == Kind::WATCHED.len()
    }

    /// Takes a change in; whether there may be something to do.
    pub(super) fn take(&mut self, seen: Seen) -> bool {
        match seen {
            Seen::Object(kind, Ok(event)) => self.object(kind, event),
            Seen::Secret(Ok(event)) => self.secret(event),
            Seen::Object(kind, Err(error)) => {
                tracing::warn!(?kind, error = shown(&error), "what tenants have cannot be watched");
                // Secrets only where the administrator granted them.
                let not_granted = kind == Kind::Secret && http_status(&error) == Some(403);
                not_granted && self.listed.insert(kind)
            }
            Seen::Secret(Err(error)) => {
                tracing::warn!(error = shown(&error), "the Secrets that are copied cannot be watched");
                !std::mem::replace(&mut self.secrets_listed, true)
            }
        }
    }

    fn object(&mut self, kind: Kind, event: Event<(Key, Content)>) -> bool {
        match event {
            Event::Init => _ = self.listing.insert(kind, Vec::new()),
            Event::InitApply(object) => self.listing.entry(kind).or_default().push(object),
            Event::InitDone => {
                self.found.values_mut().for_each(|objects| objects.retain(|(known, _), _| *known != kind));
                for (key, content) in self.listing.remove(&kind).into_iter().flatten() {
                    self.set(key, content);
                }
                self.listed.insert(kind);
                return true;
            }
            Event::Apply((key, content)) => return self.set(key, content),
            Event::Delete((key, _)) => return self.remove(&key),
        }
        false
    }

    fn secret(&mut self, event: Event<(String, Value)>) -> bool {
        match event {
            Event::Init => self.listing_secrets.clear(),
            Event::InitApply((name, fields)) => _ = self.listing_secrets.insert(name, fields),
            Event::InitDone => {
                self.secrets = std::mem::take(&mut self.listing_secrets);
                self.secrets_listed = true;
                return true;
            }
            Event::Apply((name, fields)) => {
                return self.secrets.insert(name, fields.clone()) != Some(fields);
            }
            Event::Delete((name, _)) => return self.secrets.remove(&name).is_some(),
        }
        false
    }

    fn set(&mut self, key: Key, content: Content) -> bool {
        let objects = self.found.entry(key.namespace).or_default();
        let place = (key.kind, key.name);
        let changed = objects.get(&place) != Some(&content);
        objects.insert(place, content);
        changed
    }

    fn remove(&mut self, key: &Key) -> bool {
        let place = (key.kind, key.name.clone());
        let Some(objects) = self.found.get_mut(&key.namespace) else { return false };
        let removed = objects.remove(&place).is_some();
        if objects.is_empty() {
            self.found.remove(&key.namespace);
        }
        removed
    }

    /// Notes a step that was taken: the watch tells of it too, later. Of labels the snapshot does.
    pub(super) fn note(&mut self, step: Step) {
        match step {
            Step::Apply(key, fields) => {
                let content = Content::found(key.kind, &key.name, fields);
                self.set(key, content);
            }
            Step::Delete(key) => _ = self.remove(&key),
            Step::Label(..) => {}
        }
    }
}

/// The changes of all kinds.
pub(super) fn watches(client: &Client) -> BoxStream<'static, Seen> {
    let objects = Kind::WATCHED.map(|kind| managed(client, kind).boxed());
    select_all(objects.into_iter().chain([copied(client).boxed()])).boxed()
}

fn managed(client: &Client, kind: Kind) -> impl Stream<Item = Seen> + Send + use<> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &apply::resource(kind));
    let config = watcher::Config::default().labels(&format!("{MANAGED_LABEL}={MANAGED}"));
    let keyed = move |object: DynamicObject| {
        let key = Key { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
        let content = Content::found(kind, &key.name, object.data);
        (key, content)
    };
    watcher(api, config)
        .backoff(watch_pauses())
        .map(move |event| Seen::Object(kind, event.map(|event| map_event(event, keyed))))
}

fn copied(client: &Client) -> impl Stream<Item = Seen> + Send + use<> {
    let api: Api<Secret> = Api::namespaced(client.clone(), OWN_NAMESPACE);
    let config = watcher::Config::default().labels(COPY_LABEL);
    let named = |secret: Secret| {
        let fields = json!({"type": secret.type_, "data": secret.data.clone().unwrap_or_default()});
        (secret.name_any(), fields)
    };
    watcher(api, config)
        .backoff(watch_pauses())
        .map(move |event| Seen::Secret(event.map(|event| map_event(event, named))))
}
