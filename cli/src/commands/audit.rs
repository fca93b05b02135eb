use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::audit_show::{self, ShowArgs};
use super::audit_tail::{self, TailArgs};
use crate::Exit;

/// The commands below `bailey audit`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Show the last decisions, and with `-f` the next ones too
    Tail(TailArgs),
    /// Show one decision whole
    Show(ShowArgs),
}

/// The store and the form of the output.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// The file that `bailey serve` keeps decisions in
    #[arg(long, env = "BAILEY_AUDIT_DB", value_name = "FILE", default_value = "bailey-audit.db")]
    pub(crate) audit_db: PathBuf,
    /// The form of the output
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: OutputForm,
}

/// The forms of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputForm {
    /// For people
    Table,
    /// One JSON object a line, as it is stored
    Json,
}

pub(super) async fn run(command: AuditCommand, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    match command {
        AuditCommand::Tail(args) => audit_tail::run(args, out, colour).await,
        AuditCommand::Show(args) => audit_show::run(&args, out, colour).await,
    }
}
