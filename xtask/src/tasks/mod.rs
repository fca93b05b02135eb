//! The tasks, one file each.

mod arrows;
mod bench;
mod generate;
mod lint;
mod owners;
mod race;
mod run;
mod state;
mod test;
mod try_out;
mod up;
mod up_standalone;

use anyhow::Result;
use clap::Parser;

/// Development tasks of Bailey.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) enum Task {
    /// Start a Kubernetes control plane on loopback with Bailey as its webhook and sample policies.
    Up(up::Arguments),
    /// Stop what `up` started.
    Down(up::DownArguments),
    /// Build what is missing, lint, and run every test.
    Test(test::Arguments),
    /// Check formatting, clippy, the allowed dependencies between crates, and generated files.
    Lint(lint::Arguments),
    /// Write the generated files: the custom resource definitions.
    Gen(generate::Arguments),
    /// Run the benchmarks.
    Bench(bench::Arguments),
    /// Have creators race each other for budgets, with faults beside them, and the same against ResourceQuota.
    Race(race::Arguments),
}

impl Task {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Up(arguments) => up::up(&arguments),
            Self::Down(arguments) => up::down(&arguments),
            Self::Test(arguments) => test::test(&arguments),
            Self::Lint(arguments) => lint::lint(&arguments),
            Self::Gen(arguments) => generate::generate(&arguments),
            Self::Bench(arguments) => bench::bench(&arguments),
            Self::Race(arguments) => race::race(&arguments),
        }
    }
}
