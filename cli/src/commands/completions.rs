use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{Cli, Exit};

/// Arguments of `bailey completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell the script is for
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "bailey", &mut script);
    out.write_all(&script)?;
    Ok(Exit::Done)
}
