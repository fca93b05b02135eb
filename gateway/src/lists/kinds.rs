//! Which kinds are in namespaces, as the API server says.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use moka::future::Cache;
use serde::Deserialize;

use crate::refusal::Refusal;
use crate::upstream::Upstream;

/// How long it is believed: as long a new kind may be unknown.
const BELIEVED: Duration = Duration::from_secs(30);
/// The most versions of API groups that are kept.
const MAX_GROUPS: u64 = 1_000;
/// The longest path of one, in bytes.
const MAX_PATH: usize = 400;

/// The kinds in namespaces, by the path of their API group's version.
pub(super) struct Kinds(Cache<String, Arc<HashSet<String>>>);

#[derive(Deserialize)]
struct Resources {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    namespaced: bool,
}

impl Kinds {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(MAX_GROUPS).time_to_live(BELIEVED).build())
    }

    /// Whether the objects of this path of a list are in namespaces; not where there are none of the kind.
    ///
    /// # Errors
    /// When the API server does not say.
    pub(super) async fn is_namespaced(&self, upstream: &Upstream, path: &str) -> Result<bool, Refusal> {
        let Some((group, resource)) = path.trim_end_matches('/').rsplit_once('/') else { return Ok(false) };
        if group.len() > MAX_PATH {
            return Ok(false);
        }
        if let Some(known) = self.0.get(group).await {
            return Ok(known.contains(resource));
        }
        let found = Arc::new(discover(upstream, group).await?);
        self.0.insert(group.to_owned(), Arc::clone(&found)).await;
        Ok(found.contains(resource))
    }
}

async fn discover(upstream: &Upstream, group: &str) -> Result<HashSet<String>, Refusal> {
    let (status, body) = upstream.get_json(group, "application/json").await?;
    if status == StatusCode::NOT_FOUND {
        return Ok(HashSet::new());
    }
    let read = serde_json::from_slice::<Resources>(&body).ok().filter(|_| status == StatusCode::OK);
    let read = read.ok_or_else(|| {
        let message = "the API server did not say which kinds are in namespaces";
        Refusal::unavailable(StatusCode::SERVICE_UNAVAILABLE, message)
    })?;
    Ok(read.resources.into_iter().filter(|kind| kind.namespaced).map(|kind| kind.name).collect())
}
