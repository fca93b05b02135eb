//! `lint`: what is checked without running a test.

use anyhow::{Result, bail};
use clap::Args;
use xtask::progress::say;
use xtask::workspace;

use super::{arrows, generate, owners, run};

const CARGO_DENY: &str = "0.20.2";

/// Arguments of `lint`.
#[derive(Debug, Default, Args)]
pub(crate) struct Arguments {
    /// Also check licences, bans and duplicate versions with cargo-deny, installed if missing.
    #[arg(long)]
    deny: bool,
}

/// Runs every check and stops at the first that fails.
pub(crate) fn lint(arguments: &Arguments) -> Result<()> {
    say("checking formatting");
    run::show("cargo", &["fmt", "--all", "--check"])?;
    say("checking dependencies between crates");
    dependencies()?;
    say("checking with clippy");
    run::show("cargo", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"])?;
    say("checking generated files");
    generate::check()?;
    if arguments.deny {
        install_deny()?;
    }
    deny()
}

fn dependencies() -> Result<()> {
    let metadata = run::read("cargo", &["metadata", "--no-deps", "--format-version", "1"])?;
    let packages = arrows::packages(&metadata)?;
    let found = [arrows::violations(&packages), owners::violations(&packages)].concat();
    if !found.is_empty() {
        bail!("forbidden dependencies (see `docs/architecture.md`):\n  {}", found.join("\n  "));
    }
    Ok(())
}

fn deny() -> Result<()> {
    let Some(program) = deny_program()? else {
        say(
            "cargo-deny is not installed: licences and duplicate versions are not checked (`cargo xtask lint --deny`)",
        );
        return Ok(());
    };
    say("checking licences, bans and duplicate versions");
    run::show(&program, &["--log-level", "error", "--all-features", "check", "licenses", "bans", "sources"])
}

fn deny_program() -> Result<Option<String>> {
    let cached = workspace::cache()?.join("tools/bin/cargo-deny");
    if cached.is_file() {
        return Ok(Some(cached.to_string_lossy().into_owned()));
    }
    Ok(workspace::find_program("cargo-deny").map(|program| program.to_string_lossy().into_owned()))
}

fn install_deny() -> Result<()> {
    if deny_program()?.is_some() {
        return Ok(());
    }
    say(format!("installing cargo-deny {CARGO_DENY} (some minutes)"));
    let root = workspace::cache()?.join("tools");
    let root = root.to_string_lossy();
    run::show(
        "cargo",
        &["install", "--quiet", "--locked", "--version", CARGO_DENY, "--root", &root, "cargo-deny"],
    )
}
