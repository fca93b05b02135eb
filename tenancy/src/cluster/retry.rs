use std::time::{Duration, Instant};

use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};

/// Pauses that double up to a longest one, and start anew after a while without any.
pub(crate) struct Retry {
    first: Duration,
    longest: Duration,
    next: Duration,
    last: Option<Instant>,
}

/// How long there must be no failure for the pauses to start anew.
const CALM: Duration = Duration::from_secs(30);

impl Retry {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first, last: None }
    }
}

impl Iterator for Retry {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.last.is_some_and(|last| last.elapsed() > CALM) {
            self.next = self.first;
        }
        self.last = Some(Instant::now());
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.longest);
        Some(pause)
    }
}

impl Backoff for Retry {
    /// Does nothing: a watch reports that it starts, which counts as a success, before it fails.
    fn reset(&mut self) {}
}

/// The pauses of a failing watch.
pub(crate) fn watch_pauses() -> Retry {
    Retry::new(Duration::from_millis(500), Duration::from_secs(8))
}

/// An error of a watch in one line.
pub(crate) fn shown(error: &watcher::Error) -> String {
    let cause = match error {
        watcher::Error::InitialListFailed(error) => api_message(error),
        watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => api_message(error),
        watcher::Error::WatchError(status) => status.message.clone(),
        watcher::Error::NoResourceVersion => "the API server names no resource version".to_owned(),
    };
    cause.replace('\n', " ")
}

/// What the API server says, without the debug text of the client's error.
pub(crate) fn api_message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// The HTTP status of a failed watch, where the API server gave one.
pub(crate) fn http_status(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => Some(status.code),
        watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}

/// What a watch tells, of other values.
pub(crate) fn map_event<A, B>(event: Event<A>, of: impl Fn(A) -> B) -> Event<B> {
    match event {
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(of(object)),
        Event::InitDone => Event::InitDone,
        Event::Apply(object) => Event::Apply(of(object)),
        Event::Delete(object) => Event::Delete(of(object)),
    }
}
