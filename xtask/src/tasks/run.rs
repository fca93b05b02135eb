//! Running cargo and other programs in the root folder.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use xtask::{daemon, workspace};

/// Runs a program in the root folder with its output shown.
pub(super) fn show(program: &str, arguments: &[&str]) -> Result<()> {
    let line = format!("{program} {}", arguments.join(" "));
    let status = Command::new(program).args(arguments).current_dir(workspace::root()).status();
    let status = status.with_context(|| format!("cannot start `{program}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Runs a program in the root folder and returns its standard output.
pub(super) fn read(program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace::root()).stderr(Stdio::inherit());
    let output = command.output().with_context(|| format!("cannot start `{program}`"))?;
    if !output.status.success() {
        bail!("`{program} {}` failed ({})", arguments.join(" "), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Builds every binary and every test, and returns the `bailey` that the whole-system tests start.
///
/// One command for the whole workspace: cargo unifies features per command, and two commands that differ
/// would compile the engines twice.
pub(super) fn build_all() -> Result<PathBuf> {
    show("cargo", &["build", "--workspace", "--bins", "--tests"])?;
    daemon::built("debug")
}
