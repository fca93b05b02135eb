//! One file per command.

pub(crate) mod audit;
mod audit_show;
mod audit_tail;
pub(crate) mod completions;
pub(crate) mod crds;
pub(crate) mod exception;
pub(crate) mod fairness;
mod fairness_plan;
pub(crate) mod quota;
mod quota_forecast;
mod quota_recommend;
mod quota_sample;
mod quota_usage_file;
pub(crate) mod rbac;
mod rbac_what_can;
mod rbac_who_can;
mod serve;
pub(crate) mod tenant;
mod tenant_graph;
pub(crate) mod top;
mod top_tenants;
mod version;

use std::io::Write;

pub(crate) use audit_show::render as render_decision;
pub(crate) use audit_tail::listed as decision_table;

use crate::{Command, Exit};

/// Runs a command, which writes its result to `out`.
pub(crate) async fn run(command: Command, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    match command {
        Command::Serve(args) => serve::run(*args).await,
        Command::Audit(command) => audit::run(command, out, colour).await,
        Command::Rbac(command) => rbac::run(command, out, colour).await,
        Command::Quota(command) => quota::run(command, out, colour).await,
        Command::Fairness(command) => fairness::run(command, out, colour).await,
        Command::Tenant(command) => tenant::run(command, out, colour).await,
        Command::Top(command) => top::run(command, out, colour).await,
        Command::Exception(command) => exception::run(command, out, colour).await,
        Command::Crds(args) => crds::run(&args, out),
        Command::Completions(args) => completions::run(&args, out),
        Command::Version => version::run(out),
    }
}
