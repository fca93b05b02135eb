//! Building the Go programs that tests start, once per machine and version.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::progress::say;
use crate::{workspace, workspace::find_program};

const REPORT_EVERY: Duration = Duration::from_secs(5);

/// True when the Go toolchain is installed, which the first build needs.
#[must_use]
pub fn is_installed() -> bool {
    find_program("go").is_some()
}

/// A Go module below `tests` that is one program.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its folder, and its own name.
    pub name: &'static str,
    /// What is said when it has to be built: what that is and how long it takes.
    pub announcement: &'static str,
    /// Flags of Go's linker.
    pub link_flags: String,
}

impl Program {
    /// The node that the API server sends exec, attach, port-forward and logs to.
    #[must_use]
    pub fn node() -> Self {
        let announcement = "the node of the streaming tests from source (once, up to a minute)";
        Self { name: "node", announcement, link_flags: "-s -w".to_owned() }
    }

    /// The provider that users of the gateway's tests log in at.
    #[must_use]
    pub fn provider() -> Self {
        let announcement = "the OpenID Connect provider of the tests from source (once, up to a minute)";
        Self { name: "provider", announcement, link_flags: "-s -w".to_owned() }
    }

    /// The binary: from the cache, else built into it with progress lines.
    ///
    /// # Errors
    /// When Go is missing or the build fails, with the end of what Go said.
    pub fn binary(&self) -> Result<PathBuf> {
        let module = self.module();
        let folder = workspace::cache()?.join(self.name).join(self.key(&module)?);
        let binary = folder.join(self.name);
        if binary.is_file() {
            return Ok(binary);
        }
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        // Test binaries ask at the same time: one builds, the others find the result.
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        if !binary.is_file() {
            let unfinished = folder.join(format!("{}.unfinished", self.name));
            self.build(&module, &unfinished)?;
            std::fs::rename(&unfinished, &binary)?;
        }
        Ok(binary)
    }

    /// The folder of its sources.
    pub(crate) fn module(&self) -> PathBuf {
        workspace::root().join("tests").join(self.name)
    }

    /// Names the inputs of the build: sources and compiler.
    fn key(&self, module: &Path) -> Result<String> {
        if !is_installed() {
            bail!(
                "Go is not installed, and `tests/{}` is built with it; install Go 1.26 or later (https://go.dev/dl)",
                self.name
            );
        }
        let version = Command::new("go").args(["env", "GOVERSION"]).current_dir(module).output()?;
        let mut hash = Sha256::new();
        hash.update(&version.stdout);
        for file in sources(module)? {
            let bytes = std::fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
            hash.update(bytes.len().to_le_bytes());
            hash.update(bytes);
        }
        hash.update(&self.link_flags);
        Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }

    fn build(&self, module: &Path, output: &Path) -> Result<()> {
        say(format!("building {}", self.announcement));
        let start = Instant::now();
        let total = package_count(module);
        let mut command = Command::new("go");
        command.current_dir(module).args(["build", "-v", "-ldflags", &self.link_flags, "-o"]);
        let mut child =
            command.arg(output).arg(".").stderr(Stdio::piped()).spawn().context("cannot start `go`")?;
        let said = child.stderr.take().map(|stream| follow(stream, total, start)).unwrap_or_default();
        if !child.wait()?.success() {
            bail!("`go build` in `{}` failed; the end of what it said:\n{said}", module.display());
        }
        say(format!("built {} in {} s", self.name, start.elapsed().as_secs()));
        Ok(())
    }
}

/// Every source of a module, and what it names of other modules, in the order of their names.
fn sources(module: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(module).with_context(|| format!("cannot read `{}`", module.display()))? {
        let file = entry?.path();
        if file.extension().is_some_and(|kind| ["go", "mod", "sum"].iter().any(|known| kind == *known)) {
            found.push(file);
        }
    }
    found.sort();
    Ok(found)
}

/// Reports progress while Go names packages, and returns the last lines.
fn follow(stream: ChildStderr, total: usize, start: Instant) -> String {
    let (mut done, mut fetched, mut reported) = (0_usize, 0_usize, start);
    let mut last: Vec<String> = Vec::new();
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        if line.starts_with("go: downloading") {
            fetched = fetched.saturating_add(1);
        } else {
            done = done.saturating_add(1);
        }
        last.push(line);
        if last.len() > 20 {
            last.remove(0);
        }
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            let seconds = start.elapsed().as_secs();
            say(format!(
                "  {fetched} modules fetched, {done} of at most {total} packages compiled, {seconds} s"
            ));
        }
    }
    last.join("\n")
}

/// How many packages the binary is made of; zero when unknown. Fetches the modules too.
fn package_count(module: &Path) -> usize {
    say("  fetching Go modules");
    let listed =
        Command::new("go").args(["list", "-deps", "."]).current_dir(module).stderr(Stdio::null()).output();
    listed.map_or(0, |output| output.stdout.split(|byte| *byte == b'\n').count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_those_of_go_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["main.go", "go.sum", "go.mod", "notes.txt", "a.go"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let names: Vec<_> = sources(folder.path()).unwrap();
        let names: Vec<_> = names.iter().filter_map(|file| file.file_name()?.to_str()).collect();
        assert_eq!(names, ["a.go", "go.mod", "go.sum", "main.go"]);
    }
}
