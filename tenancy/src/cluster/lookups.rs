//! The objects that policies look up: one watch per declared kind, one ordered stream of changes.
//!
//! INVARIANT: the state and every observer change together under one lock, so an observer that joins sees
//! the state of that moment and then every change. Observers are called under the lock and do not block.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, DynamicObject, TypeMeta};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiResource, pinned_kind, verbs};
use kube::error::DiscoveryError;
use kube::runtime::utils::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use model::{LookupKind, ObjectEvent, ObjectKey, StoredObject};
use tokio::sync::watch;
use tokio::time::sleep;

use super::retry::{Retry, api_message, http_status, shown, watch_pauses};
use super::state::WatchState;
use crate::tasks::{Task, Tasks};

pub(super) type Observer = Box<dyn FnMut(&ObjectEvent) + Send>;
type Stored = BTreeMap<(String, String), Arc<str>>;

/// The watches of declared kinds.
#[derive(Clone)]
pub(super) struct Lookups {
    client: Client,
    page_size: u32,
    tasks: Tasks,
    shared: Arc<Shared>,
}

struct Shared {
    caches: Mutex<Caches>,
    synced: watch::Sender<bool>,
}

#[derive(Default)]
struct Caches {
    /// Whether policies and bindings are listed.
    listed: bool,
    kinds: BTreeMap<LookupKind, Cache>,
    observers: Vec<Observer>,
    /// Tells a watch from a former one of the same kind, which may still be ending.
    last_id: u64,
}

struct Cache {
    id: u64,
    _task: Task,
    /// The objects; `None` until they are listed.
    objects: Option<Stored>,
    /// Whether the objects are listed, or it is known that they cannot be.
    settled: bool,
    state: WatchState,
}

impl std::fmt::Debug for Lookups {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Lookups").field("kinds", &self.state()).finish_non_exhaustive()
    }
}

impl Lookups {
    pub(super) fn new(client: Client, page_size: u32, tasks: Tasks) -> Self {
        let shared = Shared { caches: Mutex::default(), synced: watch::Sender::new(false) };
        Self { client, page_size, tasks, shared: Arc::new(shared) }
    }

    pub(super) fn synced(&self) -> watch::Receiver<bool> {
        self.shared.synced.subscribe()
    }

    pub(super) fn state(&self) -> BTreeMap<LookupKind, WatchState> {
        let caches = self.shared.lock();
        caches.kinds.iter().map(|(kind, cache)| (kind.clone(), cache.state.current())).collect()
    }

    /// Notes that policies and bindings are listed.
    pub(super) fn set_listed(&self) {
        let mut caches = self.shared.lock();
        caches.listed = true;
        self.shared.settle(&caches);
    }

    pub(super) fn subscribe(&self, mut observer: Observer) {
        let mut caches = self.shared.lock();
        for (kind, cache) in &caches.kinds {
            if let Some(objects) = &cache.objects {
                observer(&ObjectEvent::Replace(kind.clone(), stored(kind, objects)));
            }
        }
        caches.observers.push(observer);
    }

    pub(super) fn set_kinds(&self, kinds: &BTreeSet<LookupKind>) {
        let namespaces =
            LookupKind { group: String::new(), version: "v1".to_owned(), kind: "Namespace".to_owned() };
        let mut caches = self.shared.lock();
        let dropped: Vec<_> = caches
            .kinds
            .keys()
            .filter(|kind| !kinds.contains(kind) && **kind != namespaces)
            .cloned()
            .collect();
        for kind in dropped {
            if caches.kinds.remove(&kind).is_some_and(|cache| cache.objects.is_some()) {
                caches.tell(&ObjectEvent::Drop(kind));
            }
        }
        for kind in kinds.iter().chain([&namespaces]) {
            if !caches.kinds.contains_key(kind) {
                self.follow(&mut caches, kind);
            }
        }
        self.shared.settle(&caches);
    }

    fn follow(&self, caches: &mut Caches, kind: &LookupKind) {
        let id = caches.last_id.wrapping_add(1);
        caches.last_id = id;
        let follower = Follower {
            client: self.client.clone(),
            page_size: self.page_size,
            shared: Arc::clone(&self.shared),
            kind: kind.clone(),
            id,
        };
        let name = format!("objects of {} {}", kind.api_version(), kind.kind);
        let task = self.tasks.spawn(name, follower.run());
        let cache = Cache { id, _task: task, objects: None, settled: false, state: WatchState::default() };
        caches.kinds.insert(kind.clone(), cache);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Caches> {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, caches: &Caches) {
        let synced = caches.listed && caches.kinds.values().all(|cache| cache.settled);
        self.synced.send_if_modified(|last| std::mem::replace(last, synced) != synced);
    }
}

impl Caches {
    fn tell(&mut self, event: &ObjectEvent) {
        self.observers.iter_mut().for_each(|observer| observer(event));
    }

    /// The cache of a watch that is still wanted.
    fn of(&mut self, kind: &LookupKind, id: u64) -> Option<&mut Cache> {
        self.kinds.get_mut(kind).filter(|cache| cache.id == id)
    }
}

fn stored(kind: &LookupKind, objects: &Stored) -> Vec<StoredObject> {
    let object = |((namespace, name), json): (&(String, String), &Arc<str>)| StoredObject {
        key: ObjectKey { kind: kind.clone(), namespace: namespace.clone(), name: name.clone() },
        json: Arc::clone(json),
    };
    objects.iter().map(object).collect()
}

/// Follows one kind until it is dropped.
struct Follower {
    client: Client,
    page_size: u32,
    shared: Arc<Shared>,
    kind: LookupKind,
    id: u64,
}

/// Why a kind is not watched: whether it is known that it cannot be, and what was said.
struct Unavailable {
    settled: bool,
    why: String,
}

impl Follower {
    async fn run(self) {
        let mut pauses = Retry::new(Duration::from_secs(1), Duration::from_secs(10));
        loop {
            let unavailable = match self.discover().await {
                Ok(resource) => {
                    pauses = Retry::new(Duration::from_secs(1), Duration::from_secs(10));
                    self.watch(resource).await
                }
                Err(unavailable) => unavailable,
            };
            self.unavailable(unavailable);
            sleep(pauses.next().unwrap_or_default()).await;
        }
    }

    /// The resource of the kind, as the API server serves it now; a definition may come later.
    async fn discover(&self) -> Result<ApiResource, Unavailable> {
        let LookupKind { group, version, kind } = &self.kind;
        let unknown = || format!("the API server serves no kind `{kind}` in `{}`", self.kind.api_version());
        match pinned_kind(&self.client, &GroupVersionKind::gvk(group, version, kind)).await {
            Ok((resource, able)) if able.supports_operation(verbs::WATCH) => Ok(resource),
            Ok(_) => Err(Unavailable {
                settled: true,
                why: format!("objects of the kind `{kind}` cannot be watched"),
            }),
            Err(kube::Error::Discovery(DiscoveryError::MissingKind(_))) => {
                Err(Unavailable { settled: true, why: unknown() })
            }
            // A group that is not served is answered without a reason.
            Err(kube::Error::Api(status)) if status.code == 404 => {
                Err(Unavailable { settled: true, why: unknown() })
            }
            Err(error) => Err(Unavailable { settled: false, why: api_message(&error) }),
        }
    }

    /// Watches until the API server no longer serves the resource.
    async fn watch(&self, resource: ApiResource) -> Unavailable {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        // Less than a client waits in silence: some kinds have no bookmarks.
        let config = watcher::Config::default().page_size(self.page_size).timeout(90);
        let mut events = Box::pin(watcher(api, config).backoff(watch_pauses()));
        let mut listed = Stored::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed = Stored::new(),
                Ok(Event::InitApply(object)) => {
                    listed.extend(self.text(object).map(|stored| (place(&stored), stored.json)));
                }
                Ok(Event::InitDone) => self.replace(std::mem::take(&mut listed)),
                Ok(Event::Apply(object)) => self.upsert(self.text(object)),
                Ok(Event::Delete(object)) => self.delete(&object),
                Err(error) if http_status(&error) == Some(404) => {
                    return Unavailable { settled: true, why: shown(&error) };
                }
                // The list is simply made anew.
                Err(error) if http_status(&error) == Some(410) => {}
                Err(error) => self.failed(&error),
            }
        }
        Unavailable { settled: false, why: "the watch ended".to_owned() }
    }

    /// The object as it is kept: with its type, which lists leave out, and without its managed fields.
    fn text(&self, mut object: DynamicObject) -> Option<StoredObject> {
        object.types = Some(TypeMeta { api_version: self.kind.api_version(), kind: self.kind.kind.clone() });
        object.metadata.managed_fields = None;
        match serde_json::to_string(&object) {
            Ok(json) => Some(StoredObject { key: self.key(&object), json: json.into() }),
            Err(error) => {
                tracing::error!(kind = self.kind.kind, name = object.name_any(), %error, "an object is not cached");
                None
            }
        }
    }

    fn key(&self, object: &DynamicObject) -> ObjectKey {
        ObjectKey {
            kind: self.kind.clone(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        }
    }

    fn replace(&self, listed: Stored) {
        let mut caches = self.shared.lock();
        let Some(cache) = caches.of(&self.kind, self.id) else { return };
        let event = ObjectEvent::Replace(self.kind.clone(), stored(&self.kind, &listed));
        cache.state.heard(listed.len());
        cache.state.synced = true;
        cache.settled = true;
        cache.objects = Some(listed);
        // Observers know the objects before anyone learns that they are there.
        caches.tell(&event);
        self.shared.settle(&caches);
    }

    fn upsert(&self, object: Option<StoredObject>) {
        let mut caches = self.shared.lock();
        let Some((cache, object)) = caches.of(&self.kind, self.id).zip(object) else { return };
        let Some(objects) = &mut cache.objects else { return };
        objects.insert(place(&object), Arc::clone(&object.json));
        cache.state.heard(objects.len());
        caches.tell(&ObjectEvent::Upsert(object));
    }

    fn delete(&self, object: &DynamicObject) {
        let key = self.key(object);
        let mut caches = self.shared.lock();
        let Some(cache) = caches.of(&self.kind, self.id) else { return };
        let Some(objects) = &mut cache.objects else { return };
        objects.remove(&(key.namespace.clone(), key.name.clone()));
        cache.state.heard(objects.len());
        caches.tell(&ObjectEvent::Delete(key));
    }

    /// A failing watch keeps what it has; the error shows that it may be old.
    fn failed(&self, error: &watcher::Error) {
        let why = shown(error);
        let mut caches = self.shared.lock();
        let Some(cache) = caches.of(&self.kind, self.id) else { return };
        if cache.state.failing(&why) {
            tracing::warn!(
                kind = self.kind.kind,
                error = why,
                "objects that policies look up cannot be watched"
            );
        }
        cache.state.error = Some(why);
        // What is forbidden stays so until someone grants it.
        cache.settled |= http_status(error) == Some(403);
        self.shared.settle(&caches);
    }

    fn unavailable(&self, unavailable: Unavailable) {
        let Unavailable { settled, why } = unavailable;
        let mut caches = self.shared.lock();
        let Some(cache) = caches.of(&self.kind, self.id) else { return };
        if cache.state.failing(&why) {
            tracing::warn!(
                kind = self.kind.kind,
                error = why,
                "a kind that policies look up is not available"
            );
        }
        (cache.state.synced, cache.state.objects) = (false, 0);
        cache.settled |= settled;
        if cache.objects.take().is_some() {
            caches.tell(&ObjectEvent::Drop(self.kind.clone()));
        }
        self.shared.settle(&caches);
    }
}

fn place(object: &StoredObject) -> (String, String) {
    (object.key.namespace.clone(), object.key.name.clone())
}

#[cfg(test)]
mod tests;
