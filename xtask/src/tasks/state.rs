//! What `up` left running, in a file, so that a later `up` or `down` finds it.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use xtask::process;

/// The processes of one `up`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// True when there is no cluster.
    pub(super) standalone: bool,
    /// The control plane's processes by name.
    pub(super) control_plane: Vec<(String, u32)>,
    /// The daemon, once started.
    pub(super) bailey: Option<Bailey>,
}

/// The running daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bailey {
    pub(super) pid: u32,
    pub(super) webhook_port: u16,
    pub(super) http_port: u16,
    pub(super) api_port: u16,
    /// Names the build of the binary that runs.
    pub(super) build: String,
}

impl State {
    fn file(folder: &Path) -> PathBuf {
        folder.join("state.json")
    }

    /// The state of `folder`; empty when there is none.
    pub(super) fn load(folder: &Path) -> Self {
        let text = std::fs::read_to_string(Self::file(folder)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub(super) fn save(&self, folder: &Path) -> Result<()> {
        let file = Self::file(folder);
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(&file, text).with_context(|| format!("cannot write `{}`", file.display()))
    }

    /// True when every process of the control plane still runs.
    pub(super) fn control_plane_runs(&self, folder: &Path) -> bool {
        let mark = mark(folder);
        !self.control_plane.is_empty() && self.control_plane.iter().all(|(_, pid)| process::runs(*pid, &mark))
    }

    /// True when the daemon runs, from this build of its binary.
    pub(super) fn bailey_runs(&self, folder: &Path, build: &str) -> bool {
        let mark = mark(folder);
        self.bailey.as_ref().is_some_and(|bailey| bailey.build == build && process::runs(bailey.pid, &mark))
    }

    /// Stops the daemon; says whether it ran.
    pub(super) fn stop_bailey(&mut self, folder: &Path) -> bool {
        self.bailey.take().is_some_and(|bailey| process::stop(bailey.pid, &mark(folder)))
    }

    /// Stops everything and returns the names of what ran.
    pub(super) fn stop(&mut self, folder: &Path) -> Vec<String> {
        let mut stopped = Vec::new();
        if self.stop_bailey(folder) {
            stopped.push("bailey".to_owned());
        }
        // In reverse: whoever depends on another goes first.
        while let Some((name, pid)) = self.control_plane.pop() {
            if process::stop(pid, &mark(folder)) {
                stopped.push(name);
            }
        }
        stopped
    }
}

/// Names the build of a binary by its size and time.
pub(super) fn build_of(binary: &Path) -> Result<String> {
    let data = std::fs::metadata(binary).with_context(|| format!("cannot read `{}`", binary.display()))?;
    let time = data.modified()?.duration_since(UNIX_EPOCH)?;
    Ok(format!("{}-{}", data.len(), time.as_nanos()))
}

/// What every process of `folder` has on its command line.
fn mark(folder: &Path) -> String {
    folder.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let bailey =
            Bailey { pid: 7, webhook_port: 8443, http_port: 8080, api_port: 8444, build: "1-2".to_owned() };
        let state =
            State { standalone: false, control_plane: vec![("etcd".to_owned(), 3)], bailey: Some(bailey) };
        state.save(folder.path()).unwrap();
        assert_eq!(State::load(folder.path()), state);
    }

    #[test]
    fn a_broken_file_is_an_empty_state() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("state.json"), "{").unwrap();
        assert_eq!(State::load(folder.path()), State::default());
    }

    #[test]
    fn another_process_with_the_same_id_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        // This process: alive, but it has nothing to do with the folder.
        let mut state =
            State { control_plane: vec![("etcd".to_owned(), std::process::id())], ..State::default() };
        assert!(!state.control_plane_runs(folder.path()));
        assert!(state.stop(folder.path()).is_empty());
    }
}
