//! Building the control plane's Go binary, once per machine and version.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::progress::say;
use crate::{workspace, workspace::find_program};

/// The version that the API server reports; clients decide by it what it can do.
const KUBERNETES_VERSION: (&str, &str, &str) = ("1", "36", "v1.36.3");
const REPORT_EVERY: Duration = Duration::from_secs(5);
const SOURCES: [&str; 3] = ["go.mod", "go.sum", "main.go"];

/// True when the Go toolchain is installed, which the first build needs.
#[must_use]
pub fn go_is_installed() -> bool {
    find_program("go").is_some()
}

/// The control plane's binary: from the cache, else built into it with progress lines.
///
/// `BAILEY_CONTROL_PLANE` names a binary to use instead.
///
/// # Errors
/// When Go is missing or the build fails, with the end of what Go said.
pub fn binary() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("BAILEY_CONTROL_PLANE").map(PathBuf::from) {
        if given.is_file() {
            return Ok(given);
        }
        bail!("`BAILEY_CONTROL_PLANE` is `{}`, which is no file", given.display());
    }
    let module = workspace::root().join("tests/control-plane");
    let folder = workspace::cache()?.join("control-plane").join(key(&module)?);
    let binary = folder.join("control-plane");
    if binary.is_file() {
        return Ok(binary);
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    // Test binaries ask at the same time: one builds, the others find the result.
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    if !binary.is_file() {
        let unfinished = folder.join("control-plane.unfinished");
        build(&module, &unfinished)?;
        std::fs::rename(&unfinished, &binary)?;
    }
    Ok(binary)
}

/// Names the inputs of the build: sources and compiler.
fn key(module: &Path) -> Result<String> {
    if !go_is_installed() {
        bail!(
            "Go is not installed, and the control plane is built with it; install Go 1.26 or later (https://go.dev/dl)"
        );
    }
    let version = Command::new("go").args(["env", "GOVERSION"]).current_dir(module).output()?;
    let mut hash = Sha256::new();
    hash.update(&version.stdout);
    for name in SOURCES {
        let file = module.join(name);
        let bytes = std::fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
        hash.update(bytes.len().to_le_bytes());
        hash.update(bytes);
    }
    hash.update(link_flags());
    Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

fn link_flags() -> String {
    let (major, minor, version) = KUBERNETES_VERSION;
    let package = "k8s.io/component-base/version";
    format!(
        "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    )
}

fn build(module: &Path, output: &Path) -> Result<()> {
    say(
        "building etcd, kube-apiserver, kube-controller-manager and kubectl from source (once, 4 to 10 minutes)",
    );
    let start = Instant::now();
    let total = package_count(module);
    let mut command = Command::new("go");
    command.current_dir(module).args(["build", "-v", "-ldflags", &link_flags(), "-o"]).arg(output).arg(".");
    let mut child = command.stderr(Stdio::piped()).spawn().context("cannot start `go`")?;
    let said = child.stderr.take().map(|stream| follow(stream, total, start)).unwrap_or_default();
    if !child.wait()?.success() {
        bail!("`go build` in `{}` failed; the end of what it said:\n{said}", module.display());
    }
    say(format!("built the control plane in {} s", start.elapsed().as_secs()));
    Ok(())
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
    fn sources_name_the_version_that_is_linked() {
        let module = std::fs::read_to_string(workspace::root().join("tests/control-plane/go.mod")).unwrap();
        assert!(module.contains(&format!("k8s.io/kubernetes {}", KUBERNETES_VERSION.2)));
    }
}
