//! Watches of what a user sees of a kind.
//!
//! An object that comes to be seen is ADDED, whatever became of it, and one that ceases to be seen is DELETED, as it was seen
//! last. When what the user may see of the objects that there are changes, by members, profiles or namespaces, the watch
//! ends: clients then list again.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use futures::stream::BoxStream;
use http_body::Frame;
use http_body_util::StreamBody;
use model::Code;
use tokio::sync::watch;
use tokio::time::Instant;
use tower::BoxError;

use super::page::number;
use super::{Look, Tenants, expired};
use crate::lists::cache::entry::Entry;
use crate::lists::cache::history::{After, Change, History};
use crate::lists::cache::wire;
use crate::lists::sight::Sight;
use crate::refusal::Refusal;

/// How long a watch goes on that does not say it.
const LONG: Duration = Duration::from_secs(2_400);
/// How often a client is told at which version it is, where that moves.
const BOOKMARKS: Duration = Duration::from_secs(30);

/// What a client is told next.
enum Told {
    Event(&'static str, Arc<Entry>),
    /// What was there at first has been told.
    Initial,
}

/// An open watch.
struct Watch {
    look: Look,
    tenants: Tenants,
    moved: watch::Receiver<()>,
    /// All up to this version was told, or is about to be.
    seen: u64,
    telling: VecDeque<Told>,
    bookmarks: bool,
    bookmarked: Instant,
    /// Whether nothing was told yet.
    first: bool,
    until: Instant,
    over: bool,
}

/// The body of a watch.
pub(super) struct Events(BoxStream<'static, Bytes>);

impl Stream for Events {
    type Item = Result<Frame<Bytes>, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl Look {
    /// Begins the watch that is asked for.
    ///
    /// # Errors
    /// For versions that are not kept any more, or that were narrowed otherwise.
    pub(super) async fn watch(self, tenants: Tenants) -> Result<StreamBody<Events>, Refusal> {
        let truth = |name: &str| self.query.get(name).is_some_and(|value| !matches!(value, "false" | "0"));
        let (bookmarks, said) = (truth("allowWatchBookmarks"), self.query.get("sendInitialEvents").is_some());
        let matching = self.query.get("resourceVersionMatch");
        if said != (matching == Some("NotOlderThan")) || (!said && matching.is_some()) {
            let message =
                "`sendInitialEvents` and `resourceVersionMatch=NotOlderThan` go together in a watch";
            return Err(Refusal::new(Code::GatewayRequest, message));
        }
        let version = self.query.get("resourceVersion").map(number).transpose()?.unwrap_or_default();
        let initial = if said { truth("sendInitialEvents") } else { version == 0 };
        let from = (!initial && version > 0).then_some(version);
        self.cache.at_least(if initial { version.max(self.floor) } else { self.floor }).await?;
        let mut watch = Watch {
            moved: self.cache.moved(),
            tenants,
            seen: from.unwrap_or_default(),
            telling: VecDeque::new(),
            bookmarks,
            bookmarked: Instant::now(),
            first: true,
            until: deadline(self.query.get("timeoutSeconds"))?,
            over: false,
            look: self,
        };
        watch.begin(from, initial, initial && said && bookmarks)?;
        let stream = futures::stream::unfold(watch, async |mut watch| Some((watch.next().await?, watch)));
        Ok(StreamBody::new(Events(Box::pin(stream))))
    }
}

fn deadline(seconds: Option<&str>) -> Result<Instant, Refusal> {
    let seconds = seconds.map(str::parse::<u32>).transpose().map_err(|_| {
        Refusal::new(Code::GatewayRequest, "`timeoutSeconds` is not a whole number of seconds")
    })?;
    let long =
        seconds.filter(|seconds| *seconds > 0).map_or(LONG, |seconds| Duration::from_secs(seconds.into()));
    let now = Instant::now();
    Ok(now.checked_add(long).unwrap_or(now))
}

impl Watch {
    /// Looks at where it begins.
    fn begin(&mut self, from: Option<u64>, initial: bool, mark: bool) -> Result<(), Refusal> {
        let cache = Arc::clone(&self.look.cache);
        let history = cache.history();
        if let Some(from) = from {
            if from < self.look.floor || from < history.oldest() {
                return Err(expired(
                    "this `resourceVersion` is too old, or what your tenants may see has changed since: list again, and \
                     watch from there",
                ));
            }
            return Ok(());
        }
        self.seen = history.version();
        if initial {
            let seen = history.objects().filter(|entry| self.look.sees(entry));
            self.telling.extend(seen.map(|entry| Told::Event("ADDED", Arc::clone(entry))));
        }
        self.telling.extend(mark.then_some(Told::Initial));
        Ok(())
    }

    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        while !self.over {
            // INVARIANT: before each piece, so that none is given which was made by what is no longer so.
            if self.tenants.has_changed().ok()? && !self.look_anew() {
                return None;
            }
            if let Some(told) = self.telling.pop_front() {
                return Some(self.write(&told));
            }
            self.moved.mark_unchanged();
            if let Err(error) = self.take_in() {
                self.over = true;
                return Some(error);
            }
            if !self.telling.is_empty() {
                continue;
            }
            if self.bookmarks
                && self.bookmarked.elapsed() >= BOOKMARKS
                && self.look.cache.version() == self.seen
            {
                self.bookmarked = Instant::now();
                return Some(self.look.cache.shape.bookmark(self.look.form, self.seen, false));
            }
            tokio::select! {
                moved = self.moved.changed() => moved.ok()?,
                changed = self.tenants.changed() => {
                    changed.ok()?;
                    self.tenants.mark_changed();
                }
                () = tokio::time::sleep_until(self.until) => return None,
            }
        }
        None
    }

    /// Takes in what has changed.
    fn take_in(&mut self) -> Result<(), Bytes> {
        let cache = Arc::clone(&self.look.cache);
        let history = cache.history();
        let Some(changes) = history.since(self.seen) else {
            return Err(wire::error(&expired("the watch was read too slowly: list again")));
        };
        self.telling.extend(changes.filter_map(|change| self.look.told(change)));
        self.seen = self.seen.max(history.version());
        Ok(())
    }

    /// Sees by the newest snapshot from here on; not where something of what there is or was would be seen otherwise.
    fn look_anew(&mut self) -> bool {
        let index = Arc::clone(&self.tenants.borrow_and_update());
        let Ok(sight) = self.look.sight.by(&index) else { return false };
        let same = sight.is_like(&self.look.sight) || self.is_same(&self.look.cache.history(), &sight);
        self.look.sight = sight;
        same
    }

    fn is_same(&self, history: &History, sight: &Sight) -> bool {
        let old = &self.look.sight;
        let same = |entry: &Arc<Entry>| old.sees(entry) == sight.sees(entry);
        let told = self.telling.iter().all(|told| match told {
            Told::Event(_, entry) => same(entry),
            Told::Initial => true,
        });
        let Some(mut changes) = history.since(self.seen) else { return false };
        told && history.objects().all(same) && changes.all(|change| change.before.iter().all(same))
    }

    fn write(&mut self, told: &Told) -> Bytes {
        let (shape, form) = (&self.look.cache.shape, self.look.form);
        match told {
            Told::Event(what, entry) => {
                let first = std::mem::take(&mut self.first);
                shape.event(form, what, entry, first)
            }
            Told::Initial => shape.bookmark(form, self.seen, true),
        }
    }
}

impl Look {
    /// What the client is told of a change, if it sees any of it.
    fn told(&self, change: &Change) -> Option<Told> {
        let before = change.before.as_ref().filter(|entry| self.sees(entry));
        match (before, &change.after) {
            (None, After::Is(entry)) if self.sees(entry) => Some(Told::Event("ADDED", Arc::clone(entry))),
            (Some(_), After::Is(entry)) if self.sees(entry) => {
                Some(Told::Event("MODIFIED", Arc::clone(entry)))
            }
            (Some(before), _) => Some(Told::Event("DELETED", Arc::new(before.at_version(change.version)))),
            (None, _) => None,
        }
    }
}
