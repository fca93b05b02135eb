//! `race`: creators who race each other for budgets, with faults beside them; the same against plain ResourceQuota.

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use super::run;

/// Arguments of `race`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Tenants
    #[arg(long, default_value_t = 1)]
    tenants: usize,
    /// Namespaces of each tenant
    #[arg(long, default_value_t = 4)]
    namespaces: usize,
    /// Creators in all, each doing one request after another
    #[arg(long, default_value_t = 8)]
    creators: usize,
    /// Replicas of Bailey
    #[arg(long, default_value_t = 1)]
    replicas: usize,
    /// The ConfigMaps that a tenant may have
    #[arg(long, default_value_t = 200)]
    budget: usize,
    /// Of a hundred operations, those that delete
    #[arg(long, default_value_t = 45)]
    deletes: u64,
    /// Seconds of each run
    #[arg(long, default_value_t = 25)]
    seconds: u64,
    /// What goes wrong beside it
    #[arg(long, value_enum, value_delimiter = ',')]
    faults: Vec<Fault>,
    /// What holds the budgets of Bailey's tenants
    #[arg(long, value_enum, default_value_t = Enforcement::Ledger)]
    enforcement: Enforcement,
    /// Run the release binary
    #[arg(long)]
    release: bool,
}

/// What holds budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Enforcement {
    /// Bailey's ledger
    Ledger,
    /// ResourceQuotas as well, with grants that move between namespaces
    Native,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Fault {
    /// Creates end in other ways: dry runs, names that are taken, generated names, changes
    Mixed,
    /// Another webhook refuses one create in ten, after Bailey let it in
    Deny,
    /// A replica is killed every three seconds, and starts again
    Kill,
    /// A replica stands still for two seconds out of five
    Pause,
    /// The API server ends as in a crash every eight seconds, and starts again
    ApiServer,
    /// The same for the controllers
    Controllers,
    /// The connections of a replica to the API server fall silent every ten seconds
    Silence,
}

/// As it is written on the command line.
fn name(fault: Fault) -> String {
    fault.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Runs the race.
pub(crate) fn race(arguments: &Arguments) -> Result<()> {
    let alone = [Fault::Kill, Fault::Pause, Fault::Silence];
    if let Some(fault) = arguments.faults.iter().find(|fault| alone.contains(fault) && arguments.replicas < 2)
    {
        bail!("--faults {} befalls one replica of several: give --replicas 2 or more", name(*fault));
    }
    let mut build = vec!["build", "--workspace", "--bins"];
    build.extend(arguments.release.then_some("--release"));
    run::show("cargo", &build)?;
    let faults: Vec<String> = arguments.faults.iter().copied().map(name).collect();
    let text = serde_json::json!({
        "tenants": arguments.tenants,
        "namespaces": arguments.namespaces,
        "creators": arguments.creators,
        "replicas": arguments.replicas,
        "budget": arguments.budget,
        "deletes": arguments.deletes,
        "seconds": arguments.seconds,
        "faults": faults,
        "release": arguments.release,
        "native": arguments.enforcement == Enforcement::Native,
    })
    .to_string();
    run::show("cargo", &["bench", "--workspace", "--profile", "dev", "--bench", "race", "--", &text])
}
