//! Processes that a task starts, watches and stops by their own ids.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

const POLL: Duration = Duration::from_millis(50);
const GRACE: Duration = Duration::from_secs(8);
const TAIL_LINES: usize = 15;

/// A running process with its own process group, which writes to its own log file.
///
/// Dropping it does not stop it: see [`Component::stop`] and [`Guard`].
#[derive(Debug)]
pub struct Component {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Component {
    /// Starts `command` with its output in `log`, which is replaced.
    ///
    /// # Errors
    /// When the program cannot be started or the log not be written.
    pub fn spawn(name: &'static str, command: &mut Command, log: PathBuf) -> Result<Self> {
        let file = File::create(&log).with_context(|| format!("cannot write `{}`", log.display()))?;
        let errors = file.try_clone()?;
        // Its own group: an interrupt typed into the terminal reaches the task, not the component.
        let child = command.stdin(Stdio::null()).stdout(file).stderr(errors).process_group(0).spawn();
        let child = child.with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child, log })
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The component's name, as in messages and log files.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The exit status, once it has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        tail(&self.log, TAIL_LINES)
    }

    /// The log file.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until `ready` says yes, and fails when the process ends or the time is over.
    ///
    /// # Errors
    /// With the tail of the log when the component ended or is not ready in `limit`.
    pub fn wait_ready(&mut self, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let start = Instant::now();
        while !ready() {
            if let Some(status) = self.exited() {
                bail!("{} ended with {status}; the end of its log:\n{}", self.name, self.log_tail());
            }
            if start.elapsed() > limit {
                bail!(
                    "{} is not ready after {} s; the end of its log:\n{}",
                    self.name,
                    limit.as_secs(),
                    self.log_tail()
                );
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Asks the process to end, waits some seconds, then ends it.
    pub fn stop(&mut self) {
        if self.exited().is_some() {
            return;
        }
        signal("TERM", self.pid());
        let start = Instant::now();
        while self.exited().is_none() {
            if start.elapsed() > GRACE {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            std::thread::sleep(POLL);
        }
    }

    /// Ends the process at once, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Stops registered processes and removes a folder when this process ends, however it ends.
///
/// A test's world is a static, which is never dropped, and a test can be killed. So a small shell
/// waits on a pipe: it closes when this process is gone, then the shell does what is left to do.
#[derive(Debug)]
pub struct Guard {
    shell: Child,
}

const GUARD_SCRIPT: &str = r#"
pids=""
while read -r word pid; do
  case "$word" in
    watch) pids="$pids $pid" ;;
    forget) next=""; for p in $pids; do [ "$p" = "$pid" ] || next="$next $p"; done; pids="$next" ;;
  esac
done
for p in $pids; do kill -TERM "$p" 2>/dev/null; done
round=0
while [ "$round" -lt 50 ]; do
  alive=""
  for p in $pids; do kill -0 "$p" 2>/dev/null && alive=1; done
  [ -z "$alive" ] && break
  sleep 0.1
  round=$((round + 1))
done
for p in $pids; do kill -KILL "$p" 2>/dev/null; done
[ -n "$1" ] && rm -rf -- "$1"
"#;

impl Guard {
    /// Starts the guard; `remove` is the folder to delete at the end, if any.
    ///
    /// # Errors
    /// When there is no `sh`.
    pub fn start(remove: Option<&Path>) -> Result<Self> {
        let folder = remove.map_or_else(|| OsStr::new(""), Path::as_os_str);
        let mut command = Command::new("sh");
        command.args(["-c", GUARD_SCRIPT, "guard"]).arg(folder).process_group(0);
        let shell = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Self { shell: shell.context("cannot start `sh`")? })
    }

    /// Adds a process to stop at the end.
    ///
    /// # Errors
    /// When the guard is gone.
    pub fn watch(&mut self, pid: u32) -> Result<()> {
        self.tell("watch", pid)
    }

    /// Takes a process out, because it has been stopped.
    ///
    /// # Errors
    /// When the guard is gone.
    pub fn forget(&mut self, pid: u32) -> Result<()> {
        self.tell("forget", pid)
    }

    fn tell(&mut self, word: &str, pid: u32) -> Result<()> {
        let pipe = self.shell.stdin.as_mut().context("the guard has no input")?;
        writeln!(pipe, "{word} {pid}").context("the guard of the control plane is gone")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// True when process `pid` runs and its command line contains `mark`.
///
/// Process ids are reused, so an id from a file is believed only together with something of ours in
/// the command line.
#[must_use]
pub fn runs(pid: u32, mark: &str) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    String::from_utf8_lossy(&line).contains(mark)
}

/// Ends process `pid` if it [`runs`] with `mark`: asks, waits, then insists. True if it ran.
pub fn stop(pid: u32, mark: &str) -> bool {
    if !runs(pid, mark) {
        return false;
    }
    signal("TERM", pid);
    let start = Instant::now();
    while runs(pid, mark) {
        if start.elapsed() > GRACE {
            signal("KILL", pid);
        }
        std::thread::sleep(POLL);
    }
    true
}

/// Polls `condition` until it is true or `limit` is over; says whether it became true.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(POLL);
    }
    true
}

/// The last `lines` lines of a file, or why it cannot be read.
#[must_use]
pub fn tail(file: &Path, lines: usize) -> String {
    match std::fs::read(file) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let all: Vec<&str> = text.lines().collect();
            let first = all.len().saturating_sub(lines);
            all.get(first..).unwrap_or_default().join("\n")
        }
        Err(error) => format!("(cannot read `{}`: {error})", file.display()),
    }
}

fn signal(name: &str, pid: u32) {
    // The shell's own `kill` is everywhere, a `kill` program is not.
    let _ = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).stderr(Stdio::null()).status();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(folder: &Path) -> Component {
        Component::spawn("sleeper", Command::new("sleep").arg("600"), folder.join("log")).unwrap()
    }

    #[test]
    fn stops_a_component() {
        let folder = tempfile::tempdir().unwrap();
        let mut component = sleeper(folder.path());
        // The command line of a process is set a moment after it was started.
        assert!(wait_until(Duration::from_secs(5), || runs(component.pid(), "sleep")));
        component.stop();
        assert!(component.exited().is_some());
    }

    #[test]
    fn a_failing_component_shows_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo port is taken >&2; exit 3"]);
        let mut component = Component::spawn("server", &mut command, folder.path().join("log")).unwrap();
        let error = component.wait_ready(Duration::from_secs(5), || false).unwrap_err().to_string();
        assert!(error.contains("server ended") && error.contains("port is taken"), "{error}");
    }

    #[test]
    fn the_guard_stops_what_it_watches_and_removes_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let owned = folder.path().join("world");
        std::fs::create_dir(&owned).unwrap();
        let (mut watched, mut forgotten) = (sleeper(folder.path()), sleeper(folder.path()));
        let mut guard = Guard::start(Some(&owned)).unwrap();
        guard.watch(watched.pid()).unwrap();
        guard.watch(forgotten.pid()).unwrap();
        guard.forget(forgotten.pid()).unwrap();
        // The guard sees its pipe close exactly as when this process dies. Reap in between, since a
        // dead child that nobody waited for still looks alive to the guard.
        let closer = std::thread::spawn(move || drop(guard));
        assert!(wait_until(Duration::from_secs(5), || watched.exited().is_some()));
        closer.join().unwrap();
        assert!(!owned.exists());
        assert!(forgotten.exited().is_none());
        forgotten.stop();
    }

    #[test]
    fn a_reused_process_id_is_not_believed() {
        assert!(!runs(std::process::id(), "no such mark on this command line \u{1}"));
    }

    #[test]
    fn tail_keeps_the_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log");
        std::fs::write(&file, "a\nb\nc\n").unwrap();
        assert_eq!(tail(&file, 2), "b\nc");
        assert_eq!(tail(&file, 9), "a\nb\nc");
    }
}
