//! A cache of the objects of one kind, as the API server has them.
//!
//! The first request for a kind begins it: a list, and then a watch. After [`IDLE`] without one it is let go. What it gives
//! is as it was at its version, a few milliseconds behind the API server; who needs it to be at a version at least says so,
//! and where the watch does not get there at once, the objects are listed again.

pub(super) mod entry;
mod follow;
pub(super) mod history;
#[cfg(test)]
mod tests;
pub(super) mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use model::Code;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use self::entry::Entry;
use self::follow::Fault;
use self::history::{After, History};
use self::wire::{Shape, age_column};
use crate::refusal::Refusal;
use crate::target::Granted;
use crate::upstream::Upstream;

/// How long a cache is kept that nobody asks for.
const IDLE: Duration = Duration::from_secs(600);
/// The most caches: each version of each kind has one.
const MAX_CACHES: u64 = 64;
/// How long the watch may take to get to a version before objects are listed again.
const SOON: Duration = Duration::from_millis(50);
/// How long after one list another one begins at the earliest, whoever asks for which version.
const APART: Duration = Duration::from_secs(1);

/// The caches, by the path of their lists.
pub(super) struct Caches {
    upstream: Upstream,
    caches: moka::future::Cache<String, Arc<Cache>>,
}

/// The objects of one kind.
pub(super) struct Cache {
    pub(super) shape: Shape,
    upstream: Upstream,
    granted: Granted,
    path: String,
    history: Mutex<History>,
    moved: watch::Sender<()>,
    /// Held while all is listed; when that began last.
    listing: tokio::sync::Mutex<Option<Instant>>,
    follows: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Caches {
    pub(crate) fn new(upstream: Upstream) -> Self {
        let caches = moka::future::Cache::builder().max_capacity(MAX_CACHES).time_to_idle(IDLE).build();
        Self { upstream, caches }
    }

    /// The cache of the objects that are listed at a path.
    ///
    /// # Errors
    /// When they cannot be listed: there is no such kind, or the API server does not answer.
    pub(super) async fn get(&self, granted: Granted, path: &str) -> Result<Arc<Cache>, Refusal> {
        let path = path.trim_end_matches('/');
        if let Some(known) = self.caches.get(path).await {
            return Ok(known);
        }
        let begin = Cache::begin(self.upstream.clone(), granted, path.to_owned());
        let begun = self.caches.try_get_with(path.to_owned(), begin).await;
        begun.map_err(|refusal| Refusal::clone(&refusal))
    }
}

impl Cache {
    async fn begin(upstream: Upstream, granted: Granted, path: String) -> Result<Arc<Self>, Refusal> {
        let listed = follow::list(&upstream, granted, &path).await.map_err(|fault| refused(&path, &fault))?;
        let columns = listed.columns.unwrap_or_else(|| RawValue::NULL.to_owned());
        let group = path.rsplit_once('/').map_or("", |(group, _)| group);
        let api_version = group.trim_start_matches("/apis/").trim_start_matches("/api/").to_owned();
        let mut history = History::default();
        history.list(listed.entries, listed.version);
        let cache = Arc::new(Self {
            shape: Shape { api_version, kind: granted.kind(), age: age_column(&columns), columns },
            upstream,
            granted,
            path,
            history: Mutex::new(history),
            moved: watch::Sender::new(()),
            listing: tokio::sync::Mutex::default(),
            follows: Mutex::default(),
        });
        let task = tokio::spawn(follow::run(Arc::downgrade(&cache)));
        *cache.follows.lock().unwrap_or_else(PoisonError::into_inner) = Some(AbortOnDropHandle::new(task));
        Ok(cache)
    }

    /// What there is, and was.
    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn version(&self) -> u64 {
        self.history().version()
    }

    /// Tells of each change.
    pub(crate) fn moved(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }

    /// Reads one object at the API server, or gives what that answered instead.
    pub(super) async fn read(&self, name: &str) -> Result<Result<Entry, (StatusCode, Bytes)>, Refusal> {
        let read = follow::one(&self.upstream, self.granted, &format!("{}/{name}", self.path)).await;
        read.map_err(|fault| refused(&self.path, &fault))
    }

    /// Waits until it has everything up to a version.
    ///
    /// # Errors
    /// 504 where the API server is not there itself, as that says it; or when it does not answer.
    pub(super) async fn at_least(&self, version: u64) -> Result<(), Refusal> {
        let mut moved = self.moved();
        let reached = async { while self.version() < version && moved.changed().await.is_ok() {} };
        if self.version() >= version || tokio::time::timeout(SOON, reached).await.is_ok() {
            return Ok(());
        }
        let came = Instant::now();
        let mut listing = self.listing.lock().await;
        // One that began later says for all who wait how it is.
        if self.version() < version && listing.is_none_or(|begun| begun < came) {
            if let Some(next) = listing.and_then(|begun| begun.checked_add(APART)) {
                tokio::time::sleep_until(next).await;
            }
            *listing = Some(Instant::now());
            self.list_again().await?;
        }
        drop(listing);
        let now = self.version();
        if now < version {
            let message = format!("Too large resource version: {version}, current: {now}");
            return Err(Refusal::new(Code::GatewayExpired, message)
                .with_status(StatusCode::GATEWAY_TIMEOUT)
                .after(Duration::from_secs(1))
                .because("ResourceVersionTooLarge"));
        }
        Ok(())
    }

    async fn list_again(&self) -> Result<(), Refusal> {
        let listed = follow::list(&self.upstream, self.granted, &self.path).await;
        let listed = listed.map_err(|fault| refused(&self.path, &fault))?;
        self.history().list(listed.entries, listed.version);
        self.moved.send_replace(());
        Ok(())
    }

    fn change(&self, version: u64, after: After) {
        if self.history().change(version, after) {
            self.moved.send_replace(());
        }
    }

    fn reach(&self, version: u64) {
        if self.history().reach(version) {
            self.moved.send_replace(());
        }
    }
}

fn refused(path: &str, fault: &Fault) -> Refusal {
    if let Fault::Status(StatusCode::NOT_FOUND) = fault {
        let message = "the server could not find the requested resource";
        return Refusal::new(Code::GatewayRequest, message).with_status(StatusCode::NOT_FOUND);
    }
    tracing::error!(path, %fault, "what the gateway shows of cannot be listed");
    Refusal::unavailable(StatusCode::SERVICE_UNAVAILABLE, "the API server does not answer now")
}
