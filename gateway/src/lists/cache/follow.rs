//! Follows a kind at the API server: a list, and then a watch from its version, for ever.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::ACCEPT;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tower::BoxError;

use super::Cache;
use super::entry::{Entry, Table};
use super::history::After;
use crate::body::Body;
use crate::target::Granted;
use crate::upstream::Upstream;

const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";
/// How many objects are listed at once, and the longest answer to that, in bytes.
const PAGE: usize = 200;
const MAX_PAGE: usize = 64 << 20;
/// How long a watch goes on, in seconds, before another one is opened.
const WATCH: u32 = 240;
/// How long nothing may come: longer than the time between two bookmarks.
const SILENCE: Duration = Duration::from_secs(100);
/// How long it waits after a fault, at first and at most.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("the API server answered {0}")]
    Status(StatusCode),
    #[error("it was not understood")]
    Unread,
    #[error(transparent)]
    Failed(#[from] BoxError),
}

/// A whole list.
pub(super) struct Listed {
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) version: u64,
    pub(super) columns: Option<Box<RawValue>>,
}

/// Lists all objects of a path.
pub(super) async fn list(upstream: &Upstream, kind: Granted, path: &str) -> Result<Listed, Fault> {
    let mut listed = Listed { entries: Vec::new(), version: 0, columns: None };
    let mut rest = String::new();
    loop {
        let target = page(path, &rest);
        let (status, body) = upstream.read(&target, TABLE, MAX_PAGE).await?;
        match status {
            StatusCode::OK => {}
            // The version is kept no longer.
            StatusCode::GONE if !rest.is_empty() => {
                (listed.entries, rest) = (Vec::new(), String::new());
                continue;
            }
            other => return Err(Fault::Status(other)),
        }
        let mut table: Table = serde_json::from_slice(&body).map_err(|_| Fault::Unread)?;
        listed.version = table.metadata.resource_version.parse().map_err(|_| Fault::Unread)?;
        listed.columns = listed.columns.or(table.columns.take());
        rest = std::mem::take(&mut table.metadata.rest);
        let entries = table.entries(kind).ok_or(Fault::Unread)?;
        listed.entries.extend(entries.into_iter().map(Arc::new));
        if rest.is_empty() {
            return Ok(listed);
        }
    }
}

/// The target of a page that goes on from a `continue`, if that is not empty.
fn page(path: &str, rest: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("includeObject", "Object").append_pair("limit", &PAGE.to_string());
    if !rest.is_empty() {
        query.append_pair("continue", rest);
    }
    format!("{path}?{}", query.finish())
}

/// Reads one object, or gives what the API server answered instead.
pub(super) async fn one(
    upstream: &Upstream,
    kind: Granted,
    path: &str,
) -> Result<Result<Entry, (StatusCode, Bytes)>, Fault> {
    let (status, body) = upstream.read(&format!("{path}?includeObject=Object"), TABLE, MAX_PAGE).await?;
    if status != StatusCode::OK {
        return Ok(Err((status, body)));
    }
    let table: Table = serde_json::from_slice(&body).map_err(|_| Fault::Unread)?;
    let entries = table.entries(kind).ok_or(Fault::Unread)?;
    entries.into_iter().next().map(Ok).ok_or(Fault::Unread)
}

/// Keeps a cache up to date as long as it is there.
pub(super) async fn run(cache: Weak<Cache>) {
    let mut pause = PAUSE;
    loop {
        let Some(strong) = cache.upgrade() else { return };
        let (upstream, path, version) = (strong.upstream.clone(), strong.path.clone(), strong.version());
        drop(strong);
        let begun = Instant::now();
        match watch(&cache, &upstream, &path, version).await {
            Ok(()) if begun.elapsed() > LONGEST_PAUSE => pause = PAUSE,
            Ok(()) => tokio::time::sleep(PAUSE).await,
            Err(fault) => {
                tracing::warn!(path, %fault, "a watch broke off, and is begun again");
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                let Some(strong) = cache.upgrade() else { return };
                // It is too old, or from before the API server's store was set back.
                if matches!(fault, Fault::Status(_)) {
                    // The next round says so if this fails.
                    let _failed = strong.list_again().await;
                }
            }
        }
    }
}

/// Takes in what changes, until the watch has ended.
async fn watch(cache: &Weak<Cache>, upstream: &Upstream, path: &str, version: u64) -> Result<(), Fault> {
    let target = format!(
        "{path}?watch=true&allowWatchBookmarks=true&includeObject=Object&resourceVersion={version}&timeoutSeconds={WATCH}"
    );
    let empty = Body::new(Empty::new().map_err(|never| match never {}));
    let request = Request::get(target).header(ACCEPT, TABLE).body(empty).map_err(BoxError::from)?;
    let answer = upstream.send(request).await.map_err(|refusal| BoxError::from(refusal.message))?;
    if answer.status() != StatusCode::OK {
        return Err(Fault::Status(answer.status()));
    }
    let mut body = answer.into_body();
    let mut read = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(SILENCE, body.frame()).await.map_err(BoxError::from)?;
        let Some(frame) = frame else { return Ok(()) };
        let Ok(data) = frame.map_err(BoxError::from)?.into_data() else { continue };
        let before = read.len();
        read.extend_from_slice(&data);
        let mut from = before;
        while let Some(end) = read.get(from..).and_then(|new| new.iter().position(|byte| *byte == b'\n')) {
            let line = read.split_to(from.saturating_add(end).saturating_add(1));
            from = 0;
            let Some(cache) = cache.upgrade() else { return Ok(()) };
            take(&cache, &line)?;
        }
        if read.len() > MAX_PAGE {
            return Err(Fault::Unread);
        }
    }
}

/// Takes in one event.
fn take(cache: &Cache, line: &[u8]) -> Result<(), Fault> {
    #[derive(Deserialize)]
    struct Event<'a> {
        r#type: String,
        #[serde(borrow)]
        object: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct Status {
        code: Option<u16>,
    }
    let event: Event<'_> = serde_json::from_slice(line).map_err(|_| Fault::Unread)?;
    if event.r#type == "ERROR" {
        let status = serde_json::from_str::<Status>(event.object.get()).ok().and_then(|status| status.code);
        let status = status.and_then(|code| StatusCode::from_u16(code).ok());
        return Err(status.map_or(Fault::Unread, Fault::Status));
    }
    let table: Table = serde_json::from_str(event.object.get()).map_err(|_| Fault::Unread)?;
    let version = table.metadata.resource_version.parse().map_err(|_| Fault::Unread)?;
    if event.r#type == "BOOKMARK" {
        cache.reach(version);
        return Ok(());
    }
    let entries = table.entries(cache.granted).ok_or(Fault::Unread)?;
    for entry in entries {
        let entry = Arc::new(entry);
        let after = if event.r#type == "DELETED" { After::Gone(entry) } else { After::Is(entry) };
        cache.change(version, after);
    }
    Ok(())
}
