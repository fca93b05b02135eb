//! What is in all namespaces of a user's tenants: one list, put together of the lists of each, asked for as the user.
//!
//! The promise: all of it is at one version, which is the list's. The first namespace is asked as the client asks; its list
//! says a version, and all others are asked for just that one (`resourceVersionMatch=Exact`), on every page.
//!
//! A watch is not put together: events of several watches come in no order of versions, and a client that goes on from the
//! last one it saw would miss what another watch had not brought yet.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use model::Code;

use super::membership::namespaces_of;
use super::page::{Page, accept_json, collect};
use super::position::Position;
use super::query::Query;
use super::{Asked, Lists};
use crate::body::Body;
use crate::forward::Asker;
use crate::limits::Place;
use crate::refusal::Refusal;
use crate::target::Verb;

/// The most namespaces of one list.
const MAX_NAMESPACES: usize = 1_000;
/// How many namespaces are asked for at once.
const AT_ONCE: usize = 4;
/// How long a list may wait for its tenant's rate.
const PATIENCE: Duration = Duration::from_secs(50);

/// A namespace's list, or what came instead.
enum Part {
    Page(Page, http::HeaderMap),
    /// Not for this user.
    Forbidden,
    /// Another answer, which is the client's.
    Other(Response<Incoming>),
}

/// What stands in place of a list.
enum Instead {
    Refusal(Refusal),
    Answer(Box<Response<Incoming>>),
    /// What the API server said to the request as it came.
    Whole,
}

impl From<Refusal> for Instead {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

/// One list that is put together.
struct Merge<'a> {
    asked: &'a Asked<'a>,
    query: Query,
    until: Instant,
    /// How long all parts are.
    bytes: AtomicUsize,
    version: String,
    merged: Option<(Page, http::HeaderMap)>,
}

impl Lists {
    /// Answers what is asked of all namespaces.
    pub(super) async fn everywhere(
        &self,
        asked: Asked<'_>,
        refused: Response<Incoming>,
        place: Place,
    ) -> Result<Response<Body>, Refusal> {
        let index = Arc::clone(&self.floors.tenants.borrow());
        let namespaces = namespaces_of(&index, asked.forward.user);
        let known = !namespaces.is_empty();
        if !known || !self.kinds.is_namespaced(asked.forward.upstream, asked.parts.uri.path()).await? {
            return Ok(asked.forward.carry(refused, place));
        }
        if namespaces.len() > MAX_NAMESPACES {
            let message = format!(
                "your tenants have {} namespaces; a list is put together for up to {MAX_NAMESPACES}: ask for one at a time",
                namespaces.len()
            );
            return Err(Refusal::new(Code::GatewayRequest, message));
        }
        if asked.target.verb == Verb::Watch {
            let message = format!(
                "what is in all namespaces of a tenant can be listed together, but not watched: watch them one by one, such as \
                 {:?}",
                namespaces.first().copied().unwrap_or_default()
            );
            return Err(Refusal::new(Code::GatewayScope, message));
        }
        let turn = self.turns.take(asked.tenant)?;
        let mut merge = Merge::new(&asked)?;
        match merge.run(&namespaces).await {
            Ok(response) => {
                asked.count();
                // The turn is the body's: it is held in memory until it was read.
                let response = response.map(|body| body.map_frame(move |frame| (&turn, frame).1));
                Ok(asked.forward.carry(response, place))
            }
            Err(Instead::Refusal(refusal)) => Err(refusal),
            Err(Instead::Answer(answer)) => Ok(asked.forward.carry(*answer, place)),
            Err(Instead::Whole) => Ok(asked.forward.carry(refused, place)),
        }
    }
}

impl<'a> Merge<'a> {
    fn new(asked: &'a Asked<'a>) -> Result<Self, Refusal> {
        let query = Query::read(&asked.parts.uri)?;
        let now = Instant::now();
        let until = now.checked_add(PATIENCE).unwrap_or(now);
        Ok(Self { asked, query, until, bytes: AtomicUsize::new(0), version: String::new(), merged: None })
    }

    async fn run(&mut self, namespaces: &[&str]) -> Result<Response<Full<Bytes>>, Instead> {
        let position = self.query.get("continue").map(Position::read).transpose()?;
        let Position { version, namespace: from, mut rest } = position.unwrap_or_default();
        self.version = version;
        // With something left in it a namespace is gone on with, else it was done.
        let begin = namespaces.partition_point(|namespace| {
            *namespace < from.as_str() || (rest.is_none() && *namespace == from)
        });
        let mut todo = namespaces.get(begin..).unwrap_or_default();
        rest = rest.filter(|_| todo.first() == Some(&from.as_str()));
        let limit = self.asked.target.page;
        let mut last = from.as_str();
        while let Some((&namespace, behind)) = todo.split_first() {
            if limit.is_none() && self.merged.is_some() {
                break;
            }
            let left = limit.map(|limit| limit.saturating_sub(self.len()));
            if left == Some(0) {
                return self.end(Some((last, None)));
            }
            let part = self.ask(namespace, &self.narrowed(left, rest.take())).await?;
            rest = self.add(part)?;
            if rest.is_some() {
                return self.end(Some((namespace, rest)));
            }
            (last, todo) = (namespace, behind);
        }
        self.together(todo).await?;
        if self.merged.is_none() && !from.is_empty() {
            self.nothing_more(&from).await?;
        }
        self.end(None)
    }

    /// Adds all that is in these namespaces.
    async fn together(&mut self, namespaces: &[&str]) -> Result<(), Instead> {
        for some in namespaces.chunks(AT_ONCE) {
            let query = self.narrowed(None, None);
            let parts = some.iter().map(|namespace| self.ask(namespace, &query));
            for part in futures::future::try_join_all(parts).await? {
                self.add(part)?;
            }
        }
        Ok(())
    }

    /// A last page may be empty: what it looks like says the namespace that the page before ended with.
    async fn nothing_more(&mut self, namespace: &str) -> Result<(), Instead> {
        let part = self.ask(namespace, &self.narrowed(Some(1), None)).await?;
        self.add(part)?;
        self.merged.iter_mut().for_each(|(page, _)| page.clear());
        Ok(())
    }

    fn len(&self) -> u64 {
        self.merged.as_ref().map_or(0, |(page, _)| page.len() as u64)
    }

    /// Puts the list of a namespace behind the others; gives the API server's `continue` within it.
    fn add(&mut self, part: Part) -> Result<Option<String>, Instead> {
        let (mut page, headers) = match part {
            Part::Page(page, headers) => (page, headers),
            Part::Forbidden => return Ok(None),
            Part::Other(answer) => return Err(Instead::Answer(Box::new(answer))),
        };
        let rest = page.metadata.rest.take();
        if self.version.is_empty() {
            self.version.clone_from(&page.metadata.resource_version);
        }
        match &mut self.merged {
            Some((merged, _)) => merged.append(page),
            None => self.merged = Some((page, headers)),
        }
        Ok(rest)
    }

    /// The list, and where the next page goes on.
    fn end(&mut self, next: Option<(&str, Option<String>)>) -> Result<Response<Full<Bytes>>, Instead> {
        let (mut page, headers) = self.merged.take().ok_or(Instead::Whole)?;
        page.metadata.resource_version.clone_from(&self.version);
        page.metadata.rest = next.map(|(namespace, rest)| {
            Position { version: self.version.clone(), namespace: namespace.to_owned(), rest }.write()
        });
        Ok(page.respond(&headers))
    }

    /// The query for one namespace: at the version of the list, once that is known.
    fn narrowed(&self, limit: Option<u64>, rest: Option<String>) -> Query {
        let mut query = self.query.clone();
        query.set("limit", limit.map(|limit| limit.to_string()).as_deref());
        query.set("continue", rest.as_deref());
        if rest.is_some() {
            query.set("resourceVersion", None);
            query.set("resourceVersionMatch", None);
        } else if !self.version.is_empty() {
            query.set("resourceVersion", Some(&self.version));
            query.set("resourceVersionMatch", Some("Exact"));
        }
        query
    }

    async fn ask(&self, namespace: &str, query: &Query) -> Result<Part, Refusal> {
        let Asked { forward, accounts, tenant, target, .. } = self.asked;
        accounts.take(tenant, forward.user, target.class, self.until).await?;
        let mut parts = self.asked.parts.clone();
        accept_json(&mut parts.headers)?;
        let path = parts.uri.path().trim_end_matches('/');
        let (group, resource) = path.rsplit_once('/').unwrap_or((path, ""));
        parts.uri = query.target(&format!("{group}/namespaces/{namespace}/{resource}"));
        let answer = forward.ask(parts, Asker::User).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::FORBIDDEN => return Ok(Part::Forbidden),
            StatusCode::GONE => {
                let message = "the version of this list is no longer kept: list from the start";
                return Err(Refusal::new(Code::GatewayExpired, message));
            }
            _ => return Ok(Part::Other(answer)),
        }
        let (head, body) = answer.into_parts();
        Ok(Part::Page(Page::read(&collect(body, &self.bytes).await?)?, head.headers))
    }
}
