use std::io::Write;

use clap::Subcommand;

use super::top_tenants::{self, TopTenantsArgs};
use crate::Exit;

/// The commands below `bailey top`.
#[derive(Debug, Subcommand)]
pub enum TopCommand {
    /// Which tenants ask most now, at all gateways and webhooks, and what of it is refused
    Tenants(TopTenantsArgs),
}

pub(super) async fn run(command: TopCommand, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    match command {
        TopCommand::Tenants(args) => top_tenants::run(&args, out, colour).await,
    }
}
