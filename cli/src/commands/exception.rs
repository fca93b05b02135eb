use std::io::Write;

use clap::{Args, Subcommand};
use tenancy::self_service::{Decided, ExceptionSummary};

use crate::Exit;
use crate::connection::ConnectArgs;
use crate::kubectl_tenant::{objects, state};
use crate::output::{Cell, Table, one_line};
use crate::written::{Form, Written};

/// The commands below `bailey exception`.
#[derive(Debug, Subcommand)]
pub enum ExceptionCommand {
    /// List exceptions, with who asked for them and why
    List(ListArgs),
    /// Let exceptions be in force until they end
    Approve(ApproveArgs),
    /// Refuse exceptions, or take an approval back
    Refuse(RefuseArgs),
}

/// Arguments of `bailey exception list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those in this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Only those that wait for a decision: new ones, and those that were changed since the last one
    #[arg(long)]
    pending: bool,
    /// The form of the output
    #[arg(short, long, value_enum, default_value = "table")]
    output: Form,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Which exceptions are decided on.
#[derive(Debug, Args)]
pub(crate) struct NamesArgs {
    /// The exceptions
    #[arg(required = true)]
    names: Vec<String>,
    /// Their namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: String,
    /// Only if it is still of this generation, which `list -o json` shows: not if it was changed since
    #[arg(long, value_name = "N")]
    generation: Option<i64>,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Arguments of `bailey exception approve`.
#[derive(Debug, Args)]
pub struct ApproveArgs {
    #[command(flatten)]
    which: NamesArgs,
    /// What whoever asked is told
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Arguments of `bailey exception refuse`.
#[derive(Debug, Args)]
pub struct RefuseArgs {
    #[command(flatten)]
    which: NamesArgs,
    /// What whoever asked is told
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) async fn run(
    command: ExceptionCommand,
    out: &mut impl Write,
    colour: bool,
) -> anyhow::Result<Exit> {
    match command {
        ExceptionCommand::List(args) => list(&args, out, colour).await,
        ExceptionCommand::Approve(args) => decide(&args.which, true, args.reason, out).await,
        ExceptionCommand::Refuse(args) => decide(&args.which, false, Some(args.reason), out).await,
    }
}

async fn list(args: &ListArgs, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    let session = args.connect.open(None).await?;
    let mut all = match &args.namespace {
        Some(namespace) => session.exceptions_in(std::slice::from_ref(namespace)).await?,
        None => session.all_exceptions().await?,
    };
    all.retain(|one| !args.pending || ["Pending", "Changed"].contains(&one.state.as_str()));
    let names = all.iter().map(|one| format!("policyexception.bailey.dev/{}", one.name)).collect();
    Written { value: &all, text: table(&all, colour), names }.write(args.output, out)?;
    Ok(Exit::Done)
}

fn table(all: &[ExceptionSummary], colour: bool) -> String {
    let headings = [
        "NAMESPACE",
        "NAME",
        "POLICY",
        "BINDING",
        "CODES",
        "OBJECTS",
        "STATE",
        "EXPIRES",
        "REQUESTED BY",
        "REASON",
    ];
    let rows: Vec<_> = all
        .iter()
        .map(|one| {
            vec![
                Cell::plain(&one.namespace),
                Cell::plain(&one.name),
                Cell::plain(&one.policy),
                Cell::plain(one.binding.as_deref().unwrap_or("*")),
                Cell::plain(if one.codes.is_empty() { "*".to_owned() } else { one.codes.join(",") }),
                Cell::plain(objects(one)),
                state(one),
                Cell::plain(&one.expires),
                Cell::plain(&one.requested_by),
                Cell::plain(&one.reason),
            ]
        })
        .collect();
    Table::new(&headings, colour).render(&rows)
}

async fn decide(
    which: &NamesArgs,
    approved: bool,
    message: Option<String>,
    out: &mut impl Write,
) -> anyhow::Result<Exit> {
    let session = which.connect.open(Some(which.namespace.clone())).await?;
    let decided = Decided { approved, message, generation: which.generation };
    for name in &which.names {
        let done = session.decide_exception(name, &decided).await?;
        let state = match approved {
            true => format!("approved, until {}", done.expires),
            false => "refused".to_owned(),
        };
        writeln!(out, "policyexception.bailey.dev/{} {state}", one_line(name))?;
    }
    Ok(Exit::Done)
}
