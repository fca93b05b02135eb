//! `bench`: the measurements behind `docs/performance.md`.

use anyhow::Result;
use clap::Args;

use super::run;

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only the benchmark of this name.
    name: Option<String>,
    /// Arguments for criterion, for example a filter.
    #[arg(last = true)]
    criterion: Vec<String>,
}

/// Runs the criterion benchmarks of every crate.
pub(crate) fn bench(arguments: &Arguments) -> Result<()> {
    let mut command = vec!["bench", "--workspace", "--exclude", "tests", "--exclude", "xtask"];
    match &arguments.name {
        Some(name) => command.extend(["--bench", name]),
        None => command.extend(["--benches"]),
    }
    if !arguments.criterion.is_empty() {
        command.push("--");
        command.extend(arguments.criterion.iter().map(String::as_str));
    }
    run::show("cargo", &command)
}
