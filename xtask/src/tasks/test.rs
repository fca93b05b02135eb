//! `test`: everything that has to be green, from a fresh clone.

use anyhow::Result;
use clap::Args;
use xtask::control_plane::build;
use xtask::go::Program;
use xtask::guests;
use xtask::progress::say;

use super::{lint, run};

/// Arguments of `test`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Leave out formatting, clippy, dependency and freshness checks.
    #[arg(long)]
    no_lint: bool,
    /// Leave out the whole-system tests, which need Go for the control plane.
    #[arg(long)]
    no_cluster: bool,
    /// Arguments for `cargo test`, for example `--package audit`.
    #[arg(last = true)]
    cargo: Vec<String>,
}

/// Builds what tests start as processes, lints, then runs `cargo test`.
pub(crate) fn test(arguments: &Arguments) -> Result<()> {
    if !arguments.no_cluster {
        build::binary()?;
        for program in [Program::node(), Program::provider()] {
            program.binary()?;
        }
    }
    guests::build()?;
    if !arguments.no_lint {
        lint::lint(&lint::Arguments::default())?;
    }
    say("building bailey and the tests");
    run::build_all()?;
    say("running the tests");
    let mut command = vec!["test", "--workspace", "--no-fail-fast"];
    if arguments.no_cluster {
        command.extend(["--exclude", "tests"]);
    }
    if arguments.cargo.is_empty() {
        // Examples in the documentation first: they are few, and what closes the run should tell of tests.
        run::show("cargo", &[&command[..], &["--doc"]].concat())?;
        command.extend(["--lib", "--bins", "--tests"]);
    }
    command.extend(arguments.cargo.iter().map(String::as_str));
    run::show("cargo", &command)
}
