//! The wasm modules that policies refer to: each ConfigMap, Secret or file is watched by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::runtime::utils::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use model::{Digest, LoadFault};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::retry::{api_message, shown, watch_pauses};
use crate::api::ModuleLocation;
use crate::files::read_module;
use crate::tasks::{Task, Tasks};

/// How often a file is looked at.
const FILE_POLL: Duration = Duration::from_secs(5);

/// What holds modules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holder {
    File(PathBuf),
    ConfigMap { namespace: String, name: String },
    Secret { namespace: String, name: String },
}

/// A module and its digest, or why it is not to be had.
type Module = Result<(Bytes, Digest), LoadFault>;
/// The modules of one holder by key; a file has one, under the empty key.
type Content = Result<BTreeMap<String, Bytes>, String>;
/// What a watch found.
pub(super) type Found = (Holder, Content);

struct Watched {
    _task: Task,
    /// `None` until the holder was looked at.
    content: Option<Content>,
    /// The digests of those keys that were asked for.
    digests: BTreeMap<String, Module>,
}

pub(super) struct Modules {
    client: Client,
    tasks: Tasks,
    found: mpsc::UnboundedSender<Found>,
    watched: BTreeMap<Holder, Watched>,
}

impl Modules {
    pub(super) fn new(client: Client, tasks: Tasks) -> (Self, mpsc::UnboundedReceiver<Found>) {
        let (found, receive) = mpsc::unbounded_channel();
        (Self { client, tasks, found, watched: BTreeMap::new() }, receive)
    }

    /// Watches the holders of these modules, and no others.
    pub(super) fn want<'a>(&mut self, locations: impl Iterator<Item = &'a ModuleLocation>) {
        let wanted: BTreeSet<Holder> = locations.map(|location| holder(location).0).collect();
        self.watched.retain(|holder, _| wanted.contains(holder));
        for holder in wanted {
            if !self.watched.contains_key(&holder) {
                let task = self.watch(&holder);
                self.watched.insert(holder, Watched { _task: task, content: None, digests: BTreeMap::new() });
            }
        }
    }

    /// Whether a holder was not looked at yet.
    pub(super) fn pending(&self) -> bool {
        self.watched.values().any(|watched| watched.content.is_none())
    }

    /// Notes what a watch found.
    pub(super) fn set(&mut self, (holder, content): Found) {
        if let Some(watched) = self.watched.get_mut(&holder) {
            watched.content = Some(content);
            watched.digests.clear();
        }
    }

    /// A module, as it was found last.
    pub(super) fn read(&mut self, location: &ModuleLocation) -> Module {
        let (holder, key) = holder(location);
        let Some(watched) = self.watched.get_mut(&holder) else {
            return Err(location.unavailable("is not watched"));
        };
        if let Some(module) = watched.digests.get(&key) {
            return module.clone();
        }
        let module = match &watched.content {
            None => return Err(location.unavailable("is not read yet")),
            Some(Err(why)) => Err(location.unavailable(why)),
            Some(Ok(keys)) => match keys.get(&key) {
                Some(bytes) => location.accept(bytes.clone()),
                None => Err(location.unavailable("is not there")),
            },
        };
        watched.digests.insert(key, module.clone());
        module
    }

    fn watch(&self, holder: &Holder) -> Task {
        let (found, client) = (self.found.clone(), self.client.clone());
        match holder.clone() {
            Holder::File(path) => {
                self.tasks.spawn(format!("file `{}`", path.display()), follow_file(path, found))
            }
            Holder::ConfigMap { namespace, name } => {
                let events = watcher(Api::<ConfigMap>::namespaced(client, &namespace), only(&name));
                let task = format!("ConfigMap `{namespace}/{name}`");
                self.tasks.spawn(task, follow(events, holder.clone(), found, config_map))
            }
            Holder::Secret { namespace, name } => {
                let events = watcher(Api::<Secret>::namespaced(client, &namespace), only(&name));
                let task = format!("Secret `{namespace}/{name}`");
                self.tasks.spawn(task, follow(events, holder.clone(), found, secret))
            }
        }
    }
}

/// Reads a module once, as it is now, without watching it.
pub(super) async fn read_now(client: Client, location: &ModuleLocation) -> Module {
    let unreadable =
        |error: &kube::Error| location.unavailable(format!("cannot be read: {}", api_message(error)));
    let (holder, key) = holder(location);
    let keys = match holder {
        Holder::File(_) => {
            let file = location.clone();
            let read = tokio::task::spawn_blocking(move || read_module(&file)).await;
            return read
                .unwrap_or_else(|error| Err(location.unavailable(format!("cannot be read: {error}"))));
        }
        Holder::ConfigMap { namespace, name } => {
            let found = Api::<ConfigMap>::namespaced(client, &namespace).get_opt(&name).await;
            found.map_err(|error| unreadable(&error))?.map(config_map)
        }
        Holder::Secret { namespace, name } => {
            let found = Api::<Secret>::namespaced(client, &namespace).get_opt(&name).await;
            found.map_err(|error| unreadable(&error))?.map(secret)
        }
    };
    match keys.and_then(|mut keys| keys.remove(&key)) {
        Some(bytes) => location.accept(bytes),
        None => Err(location.unavailable("is not there")),
    }
}

fn only(name: &str) -> watcher::Config {
    watcher::Config::default().fields(&format!("metadata.name={name}"))
}

fn holder(location: &ModuleLocation) -> (Holder, String) {
    match location.clone() {
        ModuleLocation::File(path) => (Holder::File(path), String::new()),
        ModuleLocation::ConfigMap { namespace, name, key } => (Holder::ConfigMap { namespace, name }, key),
        ModuleLocation::Secret { namespace, name, key } => (Holder::Secret { namespace, name }, key),
    }
}

fn config_map(object: ConfigMap) -> BTreeMap<String, Bytes> {
    let texts = object.data.unwrap_or_default().into_iter().map(|(key, text)| (key, Bytes::from(text)));
    let binary =
        object.binary_data.unwrap_or_default().into_iter().map(|(key, data)| (key, Bytes::from(data.0)));
    texts.chain(binary).collect()
}

fn secret(object: Secret) -> BTreeMap<String, Bytes> {
    object.data.unwrap_or_default().into_iter().map(|(key, data)| (key, Bytes::from(data.0))).collect()
}

/// Follows one object: there is none when a list ends without it.
async fn follow<K, S>(
    events: S,
    holder: Holder,
    found: mpsc::UnboundedSender<Found>,
    read: fn(K) -> BTreeMap<String, Bytes>,
) where
    S: Stream<Item = Result<Event<K>, watcher::Error>> + Send,
{
    let missing = || Err("is not there".to_owned());
    let mut events = Box::pin(events.backoff(watch_pauses()));
    let (mut listed, mut seen) = (None, false);
    while let Some(event) = events.next().await {
        let content = match event {
            Ok(Event::Init) => {
                listed = None;
                continue;
            }
            Ok(Event::InitApply(object)) => {
                listed = Some(read(object));
                continue;
            }
            Ok(Event::InitDone) => listed.take().ok_or(()).or_else(|()| missing()),
            Ok(Event::Apply(object)) => Ok(read(object)),
            Ok(Event::Delete(_)) => missing(),
            // A watch that fails later keeps what it has.
            Err(error) if !seen => Err(format!("cannot be read: {}", shown(&error))),
            Err(_) => continue,
        };
        seen |= content.is_ok();
        // The receiver outlives the watches.
        let _ended = found.send((holder.clone(), content));
    }
}

async fn follow_file(path: PathBuf, found: mpsc::UnboundedSender<Found>) {
    let mut last = None;
    loop {
        let location = ModuleLocation::File(path.clone());
        let stamp = tokio::fs::metadata(&path).await.and_then(|data| Ok((data.len(), data.modified()?))).ok();
        if last.as_ref() != Some(&stamp) {
            last = Some(stamp);
            let read = tokio::task::spawn_blocking(move || read_module(&location)).await;
            let content = match read {
                Ok(Ok((bytes, _))) => Ok(BTreeMap::from([(String::new(), bytes)])),
                Ok(Err(_)) | Err(_) => Err("cannot be read, or is empty or too large".to_owned()),
            };
            let _ended = found.send((Holder::File(path.clone()), content));
        }
        sleep(FILE_POLL).await;
    }
}
