use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use model::LookupKind;

/// How long an error is believed that does not come again: a watch that goes on has nothing to say of it.
/// Longer than a connection attempt and the pause after it.
const ERROR_LIFE: Duration = Duration::from_secs(45);

/// How one watch stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WatchState {
    /// Whether all objects were listed.
    pub synced: bool,
    /// How many objects there are.
    pub objects: usize,
    /// When the API server last said something, a full list included.
    pub last_event: Option<SystemTime>,
    /// What keeps the watch from going on. It may be shown for 45 seconds after the watch goes on quietly.
    pub error: Option<String>,
    pub(super) failed: Option<Instant>,
}

/// How all watches stand.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClusterState {
    /// Policies.
    pub policies: WatchState,
    /// Bindings.
    pub bindings: WatchState,
    /// The cached kinds.
    pub kinds: BTreeMap<LookupKind, WatchState>,
}

impl WatchState {
    /// Notes that the API server said something.
    pub(super) fn heard(&mut self, objects: usize) {
        self.objects = objects;
        self.last_event = Some(SystemTime::now());
        (self.error, self.failed) = (None, None);
    }

    /// Notes an error; whether it is another one than before.
    pub(super) fn failing(&mut self, why: &str) -> bool {
        self.failed = Some(Instant::now());
        self.error.replace(why.to_owned()).as_deref() != Some(why)
    }

    /// The state without an error that has not come again for long.
    pub(super) fn current(&self) -> Self {
        let stale = self.synced && self.failed.is_some_and(|failed| failed.elapsed() > ERROR_LIFE);
        let mut state = self.clone();
        if stale {
            (state.error, state.failed) = (None, None);
        }
        state
    }
}
