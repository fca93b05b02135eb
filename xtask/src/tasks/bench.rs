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

/// Loads on a whole release server; all other benchmarks measure inside of one process.
const WHOLE: [&str; 6] = ["webhook", "api_server", "flood", "gateway", "turns", "tenants"];

/// Runs the criterion benchmarks of every crate, or the one that is named.
pub(crate) fn bench(arguments: &Arguments) -> Result<()> {
    if let Some(name) = arguments.name.as_deref().filter(|name| WHOLE.contains(name)) {
        run::show("cargo", &["build", "--release", "--package", "cli"])?;
        return run::show("cargo", &["bench", "--workspace", "--profile", "dev", "--bench", name]);
    }
    // By pattern, so that only benchmarks are run and not the tests of libraries in bench mode.
    let name = arguments.name.as_deref().unwrap_or("*");
    let mut command = vec!["bench", "--workspace", "--bench", name];
    if !arguments.criterion.is_empty() {
        command.push("--");
        command.extend(arguments.criterion.iter().map(String::as_str));
    }
    run::show("cargo", &command)
}
