use std::collections::BTreeMap;
use std::time::SystemTime;

use model::LookupKind;

/// How one watch stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WatchState {
    /// Whether all objects were listed.
    pub synced: bool,
    /// How many objects there are.
    pub objects: usize,
    /// When the API server last said something, a full list included.
    pub last_event: Option<SystemTime>,
    /// What keeps the watch from going on, until it does.
    pub error: Option<String>,
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
        self.error = None;
    }
}
