use std::io::Write;

use clap::Subcommand;

use super::quota_forecast::{self, ForecastArgs};
use super::quota_recommend::{self, RecommendArgs};
use crate::Exit;

/// The commands below `bailey quota`.
#[derive(Debug, Subcommand)]
pub enum QuotaCommand {
    /// Say when budgets will be full, from how they stood so far
    Forecast(ForecastArgs),
    /// Say what containers should request, from what they used
    Recommend(RecommendArgs),
}

pub(super) async fn run(command: QuotaCommand, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    match command {
        QuotaCommand::Forecast(args) => quota_forecast::run(&args, out, colour).await,
        QuotaCommand::Recommend(args) => quota_recommend::run(&args, out, colour),
    }
}
