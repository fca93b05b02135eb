use std::io::Write;

use clap::{Args, Subcommand};

use super::{Asked, TenantArg};
use crate::Exit;
use crate::output::{Cell, Table, note, one_line};

/// Arguments of `kubectl tenant namespaces`.
#[derive(Debug, Args)]
pub(super) struct NamespacesArgs {
    #[command(subcommand)]
    command: Option<NamespacesCommand>,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Debug, Subcommand)]
enum NamespacesCommand {
    /// Create a namespace and wait until its rights and walls are there
    Create(CreateArgs),
    /// Delete namespaces, and all that is in them
    Delete(NamesArgs),
    /// Give existing namespaces to the tenant: takes an administrator's rights
    Adopt(NamesArgs),
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Its name, which begins with the tenant's prefix
    name: String,
}

#[derive(Debug, Args)]
struct NamesArgs {
    /// The namespaces
    #[arg(required = true)]
    names: Vec<String>,
}

pub(super) async fn run(args: &NamespacesArgs, asked: &mut Asked<'_, impl Write>) -> anyhow::Result<Exit> {
    match &args.command {
        None => list(args, asked).await,
        Some(NamespacesCommand::Create(create_args)) => create(args, create_args, asked).await,
        Some(NamespacesCommand::Delete(names)) => {
            for name in &names.names {
                asked.session.delete_namespace(name).await?;
                writeln!(asked.out, "namespace/{} deleted", one_line(name))?;
            }
            Ok(Exit::Done)
        }
        Some(NamespacesCommand::Adopt(names)) => adopt(args, names, asked).await,
    }
}

async fn list(args: &NamespacesArgs, asked: &mut Asked<'_, impl Write>) -> anyhow::Result<Exit> {
    let tenant = asked.tenant(&args.tenant).await?;
    let row = |name: &String| vec![Cell::plain(name), Cell::plain(&tenant.name)];
    let rows: Vec<_> = tenant.namespaces.iter().map(row).collect();
    let text = Table::new(&["NAME", "TENANT"], asked.colour).render(&rows);
    let names = tenant.namespaces.iter().map(|name| format!("namespace/{name}")).collect();
    let exit = asked.write(&tenant.namespaces, text, names)?;
    if usize::try_from(tenant.namespace_count).is_ok_and(|count| count > tenant.namespaces.len()) {
        note(&format!("the tenant has {} namespaces; these are the first", tenant.namespace_count));
    }
    Ok(exit)
}

async fn create(
    args: &NamespacesArgs,
    of: &CreateArgs,
    asked: &mut Asked<'_, impl Write>,
) -> anyhow::Result<Exit> {
    let tenant = args.tenant.tenant.as_deref();
    let created = asked.session.create_namespace(&of.name, tenant).await?;
    let text = match (&created.tenant, created.ready) {
        (Some(tenant), true) => {
            format!("namespace/{} created for the tenant {tenant}, and ready\n", created.name)
        }
        (Some(tenant), false) => format!("namespace/{} created for the tenant {tenant}\n", created.name),
        (None, _) => format!("namespace/{} created, for no tenant\n", created.name),
    };
    let names = vec![format!("namespace/{}", created.name)];
    let exit = asked.write(&created, text, names)?;
    if created.tenant.is_some() && !created.ready {
        note("its rights and walls are not there yet, or you may not see it: look again in a moment");
    }
    Ok(exit)
}

async fn adopt(
    args: &NamespacesArgs,
    of: &NamesArgs,
    asked: &mut Asked<'_, impl Write>,
) -> anyhow::Result<Exit> {
    let tenant = asked.tenant(&args.tenant).await?.name;
    for name in &of.names {
        let adoption = asked.session.adopt(&tenant, name).await?;
        let state = if adoption.already { "belongs already" } else { "now belongs" };
        writeln!(asked.out, "namespace/{} {state} to the tenant {}", one_line(name), one_line(&tenant))?;
    }
    Ok(Exit::Done)
}
