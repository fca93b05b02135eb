use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::Sources;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::FilesError;
use super::read::{self, Known};
use crate::tasks::{Task, Tasks};

/// How long changes are gathered: an editor or a copy writes in several steps.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How often the files are looked at without being told, for file systems that tell nothing, modules
/// outside of the directory, and a directory that was replaced.
const POLL: Duration = Duration::from_secs(2);

/// Policies and bindings of a directory, read again when its files change.
#[derive(Debug)]
pub struct Files {
    /// What the files say now, or said last while the directory cannot be read.
    pub sources: watch::Receiver<Arc<Sources>>,
    /// Why the directory cannot be read, while that is so.
    pub fault: watch::Receiver<Option<String>>,
    tasks: Tasks,
    _reload: Task,
}

impl Files {
    /// Waits until watching has ended by itself, and says why; it should not.
    pub async fn failed(&self) -> String {
        self.tasks.failed().await
    }
}

/// Reads a directory and keeps reading it when it changes. Needs a Tokio runtime.
///
/// # Errors
/// The directory cannot be read.
pub fn watch(directory: &Path) -> Result<Files, FilesError> {
    let seen = fingerprint(directory, &BTreeSet::new());
    let (sources, known, files) = read::read(directory, &Known::new())
        .map_err(|source| FilesError { path: directory.to_owned(), source })?;
    let (publish, receive) = watch::channel(Arc::new(sources));
    let (report, fault) = watch::channel(None);
    let reload = Reload { directory: directory.to_owned(), known, files, seen, publish, report };
    let tasks = Tasks::new();
    let task = tasks.spawn("policy files", reload.run());
    Ok(Files { sources: receive, fault, tasks, _reload: task })
}

/// What is looked at to see a change: a file's length, its time and its identity.
type Fingerprint = Vec<(PathBuf, Option<(u64, SystemTime, u64)>)>;

fn fingerprint(directory: &Path, files: &BTreeSet<PathBuf>) -> Option<Fingerprint> {
    let listed = read::files(directory).ok()?;
    let paths: BTreeSet<_> = listed.into_iter().chain(files.iter().cloned()).collect();
    Some(paths.into_iter().map(|path| (path.clone(), stamp(&path))).collect())
}

fn stamp(path: &Path) -> Option<(u64, SystemTime, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()?, metadata.ino()))
}

struct Reload {
    directory: PathBuf,
    known: Known,
    files: BTreeSet<PathBuf>,
    seen: Option<Fingerprint>,
    publish: watch::Sender<Arc<Sources>>,
    report: watch::Sender<Option<String>>,
}

impl Reload {
    async fn run(mut self) {
        let (told, mut changes) = mpsc::channel(1);
        let mut watcher = notices(&self.directory, told.clone());
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let noticed = tokio::select! {
                _ = changes.recv() => true,
                _ = poll.tick() => false,
            };
            if noticed {
                sleep(DEBOUNCE).await;
                while changes.try_recv().is_ok() {}
            }
            let pass = tokio::task::spawn_blocking(move || {
                let changed = self.pass();
                (self, changed)
            });
            let Ok((reload, changed)) = pass.await else { return };
            self = reload;
            if changed {
                // The directory or a folder in it may be another one than before.
                drop(watcher);
                watcher = notices(&self.directory, told.clone());
            }
        }
    }

    /// Reads the files if they changed; whether they did.
    fn pass(&mut self) -> bool {
        let now = fingerprint(&self.directory, &self.files);
        if now.is_some() && now == self.seen && self.report.borrow().is_none() {
            return false;
        }
        // Taken before the files are read: what changes meanwhile is seen next time, as are new modules.
        self.seen = now;
        match read::read(&self.directory, &self.known) {
            Ok((sources, known, files)) => {
                (self.known, self.files) = (known, files);
                self.report.send_if_modified(|fault| fault.take().is_some());
                let sources = Arc::new(sources);
                let changed = self.publish.send_if_modified(|last| {
                    let changed = **last != *sources;
                    *last = sources;
                    changed
                });
                tracing::info!(directory = %self.directory.display(), changed, "policy files read");
                true
            }
            Err(error) => {
                let why = format!("`{}` cannot be read: {error}", self.directory.display());
                let new =
                    self.report.send_if_modified(|fault| fault.replace(why.clone()).as_ref() != Some(&why));
                if new {
                    tracing::warn!(error = why, "policy files stay as they were read last");
                }
                self.seen = None;
                false
            }
        }
    }
}

/// Watches the directory as far as the system tells; polling does the rest.
fn notices(directory: &Path, told: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let handler = move |event: notify::Result<notify::Event>| {
        // Reading the files is an access: it must not lead to reading them again.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // A full channel already says that something changed.
            let _full = told.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(handler).ok()?;
    watcher.watch(directory, RecursiveMode::Recursive).ok()?;
    Some(watcher)
}
