use std::io::Write;

use clap::Subcommand;

use super::fairness_plan::{self, PlanArgs};
use crate::Exit;

/// The commands below `bailey fairness`.
#[derive(Debug, Subcommand)]
pub enum FairnessCommand {
    /// What tenants get of the API server: what would be written, the seats of each level, and where tenants go
    Plan(PlanArgs),
}

pub(super) async fn run(
    command: FairnessCommand,
    out: &mut impl Write,
    colour: bool,
) -> anyhow::Result<Exit> {
    match command {
        FairnessCommand::Plan(args) => fairness_plan::run(&args, out, colour).await,
    }
}
