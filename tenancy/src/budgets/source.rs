//! One kind, listed and watched with the versions at which things were so.
//!
//! The runtime's watcher keeps those to itself, and the ledger needs them: what may be counted as free depends on how
//! new the knowledge is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, Request, VersionMatch, WatchEvent, WatchParams};
use kube::discovery::{self, ApiResource, Scope};
use quota::ledger::Kind;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::sleep;

use crate::cluster::{Retry, api_message};

/// The most objects of one list request.
const PAGE: u32 = 500;
/// How long a watch lasts, if the API server does not end it: less than a client waits in silence, since some kinds have
/// no bookmarks, such as events.
const WATCH: Duration = Duration::from_secs(90);
/// How long a kind that is not served is not asked for again.
const ABSENT: Duration = Duration::from_secs(10);

/// An object's JSON text.
pub(super) type Raw = Box<RawValue>;

/// What is told of a kind.
pub(super) enum Seen {
    /// That a list begins: it will be as new as this moment.
    Listing,
    /// All objects, at a version. Whatever was told before is replaced.
    All(u64, Vec<Raw>),
    /// An object, new or changed.
    Set(Raw),
    /// An object that is gone, as it was; its version is that of its deletion.
    Gone(Raw),
    /// That nothing changed up to a version.
    Version(u64),
    /// All objects again, at the version that what was told last has.
    Checked(u64, Vec<Raw>),
    /// That the API server went away: it may have another past when it is back.
    Broken,
}

/// A kind to follow.
pub(super) struct Source {
    pub(super) client: Client,
    pub(super) group: String,
    pub(super) resource: String,
    /// Whether the objects' metadata is enough.
    pub(super) metadata_only: bool,
    /// How often what was told is held against a list; `None` for never.
    pub(super) check: Option<Duration>,
}

#[derive(Deserialize)]
struct List {
    metadata: ListMeta,
    /// An empty list of metadata has none.
    items: Option<Vec<Raw>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    #[serde(default)]
    resource_version: String,
    #[serde(default, rename = "continue")]
    more: String,
}

/// Why a kind is not followed.
enum Fault {
    /// The API server does not serve it.
    Absent,
    /// The versions known are too old to go on from.
    Expired,
    Failed(String),
}

impl From<kube::Error> for Fault {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if status.code == 404 => Self::Absent,
            kube::Error::Api(status) if status.code == 410 => Self::Expired,
            _ => Self::Failed(api_message(&error)),
        }
    }
}

impl Source {
    /// Follows the kind for ever, and tells all there is to know.
    pub(super) async fn follow(self, mut tell: impl FnMut(Seen) + Send) {
        let mut pauses = Retry::new(Duration::from_millis(200), Duration::from_secs(8));
        loop {
            let ended = match self.discover().await {
                Ok(resource) => self.list_and_watch(&resource, &mut tell).await,
                Err(fault) => fault,
            };
            match ended {
                Fault::Absent => {
                    tell(Seen::All(0, Vec::new()));
                    sleep(ABSENT).await;
                }
                Fault::Expired => {}
                Fault::Failed(why) => {
                    tracing::warn!(
                        group = self.group,
                        resource = self.resource,
                        error = why,
                        "a counted kind cannot be watched"
                    );
                    sleep(pauses.next().unwrap_or_default()).await;
                }
            }
        }
    }

    async fn discover(&self) -> Result<ApiResource, Fault> {
        resource_of(&self.client, &self.group, &self.resource).await?.ok_or(Fault::Absent)
    }

    async fn list_and_watch(&self, resource: &ApiResource, tell: &mut (impl FnMut(Seen) + Send)) -> Fault {
        tell(Seen::Listing);
        let mut version = match self.list(resource, None).await {
            Ok((version, objects)) => {
                tell(Seen::All(version, objects));
                version
            }
            Err(fault) => return fault,
        };
        let mut checked = Instant::now();
        loop {
            if self.check.is_some_and(|check| checked.elapsed() >= check) {
                checked = Instant::now();
                match self.list(resource, Some(version)).await {
                    Ok((version, objects)) => tell(Seen::Checked(version, objects)),
                    // The API server keeps no version for ever; whatever else is wrong the watch finds too.
                    Err(Fault::Expired | Fault::Absent) => {}
                    Err(Fault::Failed(why)) => {
                        tracing::warn!(
                            resource = self.resource,
                            error = why,
                            "what is counted cannot be checked"
                        );
                    }
                }
            }
            let began = Instant::now();
            let ended = self.watch(resource, &mut version, tell).await;
            // It ends by itself when its time is over. Before that the API server went away, and what it has when it is
            // back may be of another past: all is listed again.
            match ended {
                Ok(()) if began.elapsed() >= self.lasts().mul_f32(0.9) => {}
                Ok(()) => {
                    tell(Seen::Broken);
                    return Fault::Expired;
                }
                Err(fault) => {
                    tell(Seen::Broken);
                    return fault;
                }
            }
        }
    }

    /// How long a watch lasts: no longer than until the next check.
    fn lasts(&self) -> Duration {
        self.check.map_or(WATCH, |check| check.clamp(Duration::from_secs(1), WATCH))
    }

    /// Every object, as of a version, or of one that is as new as the request.
    async fn list(&self, resource: &ApiResource, at: Option<u64>) -> Result<(u64, Vec<Raw>), Fault> {
        let (mut objects, mut version) = (Vec::new(), 0);
        let mut parameters = ListParams::default().limit(PAGE);
        if let Some(at) = at {
            parameters = parameters.at(&at.to_string()).matching(VersionMatch::Exact);
        }
        loop {
            let request = self.request(resource);
            let request = match self.metadata_only {
                true => request.list_metadata(&parameters),
                false => request.list(&parameters),
            };
            let request = request.map_err(|error| Fault::Failed(error.to_string()))?;
            let page: List = self.client.request(request).await?;
            objects.extend(page.items.into_iter().flatten());
            if version == 0 {
                version = page
                    .metadata
                    .resource_version
                    .parse()
                    .map_err(|_| bad_version(&page.metadata.resource_version))?;
            }
            if page.metadata.more.is_empty() {
                return Ok((version, objects));
            }
            // The token has the version.
            parameters = ListParams::default().limit(PAGE).continue_token(&page.metadata.more);
        }
    }

    /// Watches until the API server ends it.
    async fn watch(
        &self,
        resource: &ApiResource,
        version: &mut u64,
        tell: &mut (impl FnMut(Seen) + Send),
    ) -> Result<(), Fault> {
        let parameters =
            WatchParams::default().timeout(u32::try_from(self.lasts().as_secs()).unwrap_or(u32::MAX));
        let request = self.request(resource);
        let request = match self.metadata_only {
            true => request.watch_metadata(&parameters, &version.to_string()),
            false => request.watch(&parameters, &version.to_string()),
        };
        let request = request.map_err(|error| Fault::Failed(error.to_string()))?;
        let mut events = self.client.request_events::<Raw>(request).await?.boxed();
        while let Some(event) = events.try_next().await? {
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    *version = version_of(&object).unwrap_or(*version).max(*version);
                    tell(Seen::Set(object));
                }
                WatchEvent::Deleted(object) => {
                    *version = version_of(&object).unwrap_or(*version).max(*version);
                    tell(Seen::Gone(object));
                }
                WatchEvent::Bookmark(mark) => {
                    let found = mark
                        .metadata
                        .resource_version
                        .parse()
                        .map_err(|_| bad_version(&mark.metadata.resource_version))?;
                    *version = found;
                    tell(Seen::Version(found));
                }
                WatchEvent::Error(status) => return Err(kube::Error::Api(status).into()),
            }
        }
        Ok(())
    }

    fn request(&self, resource: &ApiResource) -> Request {
        let ApiResource { group, version, plural, .. } = resource;
        match group.is_empty() {
            true => Request::new(format!("/api/{version}/{plural}")),
            false => Request::new(format!("/apis/{group}/{version}/{plural}")),
        }
    }
}

/// The resource in the version that its group prefers; `None` where it is not served.
pub(super) async fn resource_of(
    client: &Client,
    group: &str,
    resource: &str,
) -> kube::Result<Option<ApiResource>> {
    Ok(served(client, group, resource).await?.map(|(resource, _)| resource))
}

/// The same, and whether its objects are in namespaces.
pub(crate) async fn served(
    client: &Client,
    group: &str,
    resource: &str,
) -> kube::Result<Option<(ApiResource, Scope)>> {
    let group = match discovery::group(client, group).await {
        Ok(group) => group,
        Err(kube::Error::Discovery(_)) => return Ok(None),
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut versions = group.versions();
    let found = versions.find_map(|version| {
        group.versioned_resources(version).into_iter().find(|(found, _)| found.plural == resource)
    });
    Ok(found.map(|(resource, capabilities)| (resource, capabilities.scope)))
}

/// Whether the objects of a kind are in namespaces; true where it is not served.
pub(super) async fn is_namespaced(client: &Client, group: &str, resource: &str) -> kube::Result<bool> {
    let found = served(client, group, resource).await?;
    Ok(found.is_none_or(|(_, scope)| scope == Scope::Namespaced))
}

/// The versions of now of all these kinds.
pub(super) async fn newest(
    client: &Client,
    kinds: &BTreeSet<Arc<Kind>>,
) -> kube::Result<BTreeMap<Arc<Kind>, u64>> {
    let mut versions = BTreeMap::new();
    for kind in kinds {
        let Some(resource) = resource_of(client, &kind.group, &kind.resource).await? else { continue };
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let list = api.list_metadata(&ListParams::default().limit(1)).await?;
        let version = list.metadata.resource_version.unwrap_or_default();
        versions.insert(Arc::clone(kind), version.parse().unwrap_or(u64::MAX));
    }
    Ok(versions)
}

fn bad_version(text: &str) -> Fault {
    Fault::Failed(format!(
        "the API server's resource version `{text}` is no number, versions cannot be compared"
    ))
}

fn version_of(object: &Raw) -> Option<u64> {
    Some(super::identity::Identity::of(object.get())?.version)
}
