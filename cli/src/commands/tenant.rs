use std::io::Write;

use clap::{Args, Subcommand};
use model::Subject;
use tenancy::self_service::{BudgetLine, NewTenant, TenantUsage};

use super::tenant_graph::{self, GraphArgs};
use crate::Exit;
use crate::connection::ConnectArgs;
use crate::output::{Cell, Table, note, one_line};
use crate::written::{Form, Written, yaml};

/// The commands below `bailey tenant`.
#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Create a tenant
    Create(CreateArgs),
    /// List all tenants with what they use
    List(ListArgs),
    /// Let a tenant not grow: what it has stays, nothing new is created
    Suspend(NameArgs),
    /// Let a suspended tenant grow again
    Resume(NameArgs),
    /// Give existing namespaces to a tenant
    Adopt(AdoptArgs),
    /// Write a tenant, its namespaces, its isolation profile and its fairness class as YAML that can be applied elsewhere
    Export(NameArgs),
    /// Draw who may do what in a tenant's namespaces
    Graph(GraphArgs),
}

/// Arguments of `bailey tenant create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The tenant
    name: String,
    /// An owner: user:NAME, group:NAME or sa:NAMESPACE/NAME; may be given several times
    #[arg(long = "owner", value_name = "SUBJECT")]
    owners: Vec<Subject>,
    /// Its IsolationProfile; without it, the one named `default`
    #[arg(long)]
    profile: Option<String>,
    /// Its FairnessClass; without it, the default one
    #[arg(long, value_name = "CLASS")]
    fairness_class: Option<String>,
    /// The most namespaces; without it, no limit
    #[arg(long)]
    limit: Option<u32>,
    /// What the names of its namespaces begin with; without it, the tenant's name and a dash
    #[arg(long)]
    prefix: Option<String>,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Arguments of `bailey tenant list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The form of the output
    #[arg(short, long, value_enum, default_value = "table")]
    output: Form,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Arguments of commands about one tenant.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// The tenant
    name: String,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Arguments of `bailey tenant adopt`.
#[derive(Debug, Args)]
pub struct AdoptArgs {
    /// The tenant
    tenant: String,
    /// The namespaces
    #[arg(required = true)]
    namespaces: Vec<String>,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) async fn run(command: TenantCommand, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    match command {
        TenantCommand::Create(args) => create(args, out).await,
        TenantCommand::List(args) => list(&args, out, colour).await,
        TenantCommand::Suspend(args) => suspend(&args, true, out).await,
        TenantCommand::Resume(args) => suspend(&args, false, out).await,
        TenantCommand::Adopt(args) => adopt(&args, out).await,
        TenantCommand::Export(args) => export(&args, out).await,
        TenantCommand::Graph(args) => tenant_graph::run(&args, out).await,
    }
}

async fn create(args: CreateArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let session = args.connect.open(None).await?;
    let CreateArgs { name, owners, profile, fairness_class, limit, prefix, .. } = args;
    let tenant = NewTenant { name, owners, profile, fairness_class, limit, prefix };
    session.create_tenant(&tenant).await?;
    writeln!(out, "tenant.bailey.dev/{} created", one_line(&tenant.name))?;
    if tenant.owners.is_empty() {
        note("it has no owner, so that nobody but administrators can create namespaces for it");
    }
    Ok(Exit::Done)
}

async fn list(args: &ListArgs, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    let all = args.connect.open(None).await?.usage_of_all().await?;
    let names = all.iter().map(|one| format!("tenant.bailey.dev/{}", one.tenant.name)).collect();
    Written { value: &all, text: table(&all, colour), names }.write(args.output, out)?;
    Ok(Exit::Done)
}

fn table(all: &[TenantUsage], colour: bool) -> String {
    let headings =
        ["NAME", "OWNERS", "MEMBERS", "NAMESPACES", "LIMIT", "BUDGET", "QUOTA USED", "SUSPENDED", "READY"];
    let rows: Vec<_> = all
        .iter()
        .map(|TenantUsage { tenant, usage }| {
            let owners = tenant.members.iter().filter(|member| member.role == "owner");
            let owners: Vec<_> = owners.map(|member| member.subject.as_str()).collect();
            let used: Vec<_> =
                usage.iter().map(|line| format!("{} {}/{}", line.resource, line.used, line.hard)).collect();
            vec![
                Cell::plain(&tenant.name),
                Cell::plain(owners.join(",")),
                Cell::plain(tenant.members.len().to_string()),
                Cell::plain(tenant.namespace_count.to_string()),
                Cell::plain(tenant.limit.map(|limit| limit.to_string()).unwrap_or_default()),
                Cell::plain(tenant.budget.iter().map(budget).collect::<Vec<_>>().join(", ")),
                Cell::plain(used.join(", ")),
                Cell::plain(if tenant.suspended { "yes" } else { "no" }),
                crate::kubectl_tenant::ready(tenant),
            ]
        })
        .collect();
    Table::new(&headings, colour).render(&rows)
}

/// A resource of a budget, such as `pods 20 +5`.
fn budget(line: &BudgetLine) -> String {
    let band = line.band.as_ref().map(|band| format!(" ({band})")).unwrap_or_default();
    let granted = line.granted.as_ref().map(|granted| format!(" +{granted}")).unwrap_or_default();
    format!("{}{band} {}{granted}", line.resource, line.hard)
}

async fn suspend(args: &NameArgs, suspended: bool, out: &mut impl Write) -> anyhow::Result<Exit> {
    let changed = args.connect.open(None).await?.set_suspended(&args.name, suspended).await?;
    let state = match (suspended, changed) {
        (true, true) => "suspended",
        (true, false) => "is suspended already",
        (false, true) => "resumed",
        (false, false) => "is not suspended",
    };
    writeln!(out, "tenant.bailey.dev/{} {state}", one_line(&args.name))?;
    Ok(Exit::Done)
}

async fn adopt(args: &AdoptArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let session = args.connect.open(None).await?;
    for namespace in &args.namespaces {
        let adoption = session.adopt(&args.tenant, namespace).await?;
        let state = if adoption.already { "belongs already" } else { "now belongs" };
        writeln!(out, "namespace/{} {state} to the tenant {}", one_line(namespace), one_line(&args.tenant))?;
    }
    Ok(Exit::Done)
}

async fn export(args: &NameArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    for object in args.connect.open(None).await?.export(&args.name).await? {
        write!(out, "---\n{}", yaml(&object)?)?;
    }
    Ok(Exit::Done)
}
