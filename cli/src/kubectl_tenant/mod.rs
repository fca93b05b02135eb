//! `kubectl tenant`: what the members of a tenant do themselves, with their own rights. One file per command.

mod check;
mod completions;
mod decisions;
mod exceptions;
mod kubeconfig;
mod limits;
mod list;
mod members;
mod namespaces;
mod request;
pub(crate) mod request_quota;
mod show;
mod usage;
mod whoami;

use std::io::Write;

use clap::{Args, Parser, Subcommand};
use tenancy::self_service::{Fault, Session, TenantSummary};

use crate::Exit;
use crate::arguments::EXIT_CODES;
use crate::connection::ConnectArgs;
use crate::written::{Form, Written};

pub(crate) use exceptions::{objects, state};
pub(crate) use kubeconfig::duration;
pub(crate) use list::ready;

/// See and change the tenants that you belong to, with your own rights
#[derive(Debug, Parser)]
#[command(name = "kubectl-tenant", bin_name = "kubectl tenant", version, after_help = EXIT_CODES)]
pub struct TenantCli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

/// What every command takes.
#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    connect: ConnectArgs,
    /// The namespace; without it, that of the context
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The form of the output
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    output: Form,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Who the cluster says that you are, and your tenants
    Whoami,
    /// Your tenants
    List,
    /// One tenant: members, namespaces, walls, state
    Show(show::ShowArgs),
    /// The namespaces of a tenant; create and delete them
    Namespaces(namespaces::NamespacesArgs),
    /// The members of a tenant; add and remove them
    Members(members::MembersArgs),
    /// What a tenant may do at most: namespaces, isolation, quotas, limit ranges
    Limits(TenantArg),
    /// What a tenant uses of it, or which objects make that up
    Usage(usage::UsageArgs),
    /// Ask an administrator for something, or withdraw what was asked for
    Request(request::RequestArgs),
    /// What was asked for, and what became of it
    Requests(TenantArg),
    /// Would the cluster admit these objects? Nothing is stored; exits with 4 where one would be refused
    Check(check::CheckArgs),
    /// What was refused lately, and to whom
    Denials(decisions::DenialsArgs),
    /// One decision, whole: why it was refused and what would pass
    Explain(decisions::ExplainArgs),
    /// The exceptions that were asked for, and how they stand
    Exceptions(TenantArg),
    /// A kubeconfig for one namespace: your own, or a service account's
    Kubeconfig(kubeconfig::KubeconfigArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

/// Which tenant.
#[derive(Debug, Args)]
struct TenantArg {
    /// The tenant; without it, your only one, or that of the namespace
    #[arg(short, long, global = true, value_name = "NAME")]
    tenant: Option<String>,
}

/// A connection, and how the result is written.
struct Asked<'a, W> {
    session: Session,
    form: Form,
    colour: bool,
    out: &'a mut W,
}

impl<W: Write> Asked<'_, W> {
    /// Writes the result of a command.
    fn write<T: serde::Serialize>(
        &mut self,
        value: &T,
        text: String,
        names: Vec<String>,
    ) -> anyhow::Result<Exit> {
        Written { value, text, names }.write(self.form, self.out)?;
        Ok(Exit::Done)
    }

    async fn tenant(&self, arg: &TenantArg) -> Result<TenantSummary, Fault> {
        self.session.tenant_meant(arg.tenant.as_deref()).await
    }
}

/// Runs a command, which writes its result to `out`.
pub(crate) async fn run(cli: TenantCli, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    if let Command::Completions(args) = &cli.command {
        return completions::run(args, out);
    }
    let namespace = cli.common.namespace.clone();
    let session = cli.common.connect.open(cli.common.namespace).await?;
    let mut asked = Asked { session, form: cli.common.output, colour, out };
    match cli.command {
        Command::Whoami => whoami::run(&mut asked).await,
        Command::List => list::run(&mut asked).await,
        Command::Show(args) => show::run(&args, &mut asked).await,
        Command::Namespaces(args) => namespaces::run(&args, &mut asked).await,
        Command::Members(args) => members::run(&args, &mut asked).await,
        Command::Limits(args) => limits::run(&args, &mut asked).await,
        Command::Usage(args) => usage::run(&args, &mut asked).await,
        Command::Request(args) => request::run(&args, namespace, &mut asked).await,
        Command::Requests(args) => request_quota::list(&args, &mut asked).await,
        Command::Check(args) => check::run(&args, &mut asked).await,
        Command::Denials(args) => decisions::denials(&args, namespace, &mut asked).await,
        Command::Explain(args) => decisions::explain(&args, &mut asked).await,
        Command::Exceptions(args) => exceptions::list(&args, namespace, &mut asked).await,
        Command::Kubeconfig(args) => kubeconfig::run(&args, &mut asked).await,
        Command::Completions(args) => completions::run(&args, asked.out),
    }
}
