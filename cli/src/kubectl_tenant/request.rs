use std::io::Write;

use clap::{Args, Subcommand};
use tenancy::self_service::Fault;

use super::{Asked, TenantArg, exceptions, request_quota};
use crate::Exit;
use crate::output::one_line;

/// Arguments of `kubectl tenant request`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct RequestArgs {
    #[command(subcommand)]
    command: Option<RequestCommand>,
    /// Withdraw a request for quota: what it granted ends
    #[arg(long, value_name = "NAME")]
    delete: Option<String>,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Debug, Subcommand)]
enum RequestCommand {
    /// Ask for more than the tenant's budget
    Quota(request_quota::QuotaArgs),
    /// That findings of a policy refuse nothing in this namespace, for a time
    Exception(exceptions::ExceptionArgs),
}

pub(super) async fn run(
    args: &RequestArgs,
    namespace: Option<String>,
    asked: &mut Asked<'_, impl Write>,
) -> anyhow::Result<Exit> {
    match (&args.command, &args.delete) {
        (Some(RequestCommand::Quota(of)), None) => {
            request_quota::run(of, &args.tenant, namespace.is_some(), asked).await
        }
        (Some(RequestCommand::Exception(of)), None) => exceptions::request(of, asked).await,
        (None, Some(name)) => withdraw(name, args, namespace, asked).await,
        _ => {
            let text = "say what is asked for, such as `kubectl tenant request quota`, or what is withdrawn with `--delete NAME`";
            Err(Fault::Usage(text.to_owned()).into())
        }
    }
}

async fn withdraw(
    name: &str,
    args: &RequestArgs,
    namespace: Option<String>,
    asked: &mut Asked<'_, impl Write>,
) -> anyhow::Result<Exit> {
    let place = match namespace {
        Some(namespace) => namespace,
        None => request_quota::place(name, &args.tenant, asked).await?,
    };
    asked.session.withdraw_request(&place, name).await?;
    writeln!(asked.out, "quotarequest.bailey.dev/{} deleted", one_line(name))?;
    Ok(Exit::Done)
}
