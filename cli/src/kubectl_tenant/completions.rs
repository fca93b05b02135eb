use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use super::TenantCli;
use crate::Exit;

/// Arguments of `kubectl tenant completions`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell the script is for
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut TenantCli::command(), "kubectl-tenant", &mut script);
    out.write_all(&script)?;
    Ok(Exit::Done)
}
