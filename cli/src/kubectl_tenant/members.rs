use std::io::Write;

use clap::{Args, Subcommand, ValueEnum};
use model::Subject;
use tenancy::self_service::{Change, MemberEntry, MemberRole};

use super::{Asked, TenantArg};
use crate::Exit;
use crate::output::{Cell, Table, one_line};
use crate::written::Form;

/// Arguments of `kubectl tenant members`.
#[derive(Debug, Args)]
pub(super) struct MembersArgs {
    #[command(subcommand)]
    command: Option<MembersCommand>,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Debug, Subcommand)]
enum MembersCommand {
    /// Add a member, or give one another role
    Add(AddArgs),
    /// Remove a member
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// Who: user:NAME, group:NAME or sa:NAMESPACE/NAME
    subject: Subject,
    /// What they may do; without it, a new member is a viewer
    #[arg(long, value_enum)]
    role: Option<RoleArg>,
    /// Also where no owner is left
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
struct RemoveArgs {
    /// Who: user:NAME, group:NAME or sa:NAMESPACE/NAME
    subject: Subject,
    /// Also where no owner is left
    #[arg(long)]
    force: bool,
}

/// The roles of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleArg {
    /// Creates and deletes namespaces, and gives rights inside of them
    Owner,
    /// Changes what is inside
    Editor,
    /// Reads what is inside, but no Secrets
    Viewer,
}

impl RoleArg {
    const fn role(self) -> MemberRole {
        match self {
            Self::Owner => MemberRole::Owner,
            Self::Editor => MemberRole::Editor,
            Self::Viewer => MemberRole::Viewer,
        }
    }
}

pub(super) async fn run(args: &MembersArgs, asked: &mut Asked<'_, impl Write>) -> anyhow::Result<Exit> {
    let tenant = asked.tenant(&args.tenant).await?;
    let (change, force, done) = match &args.command {
        None => return write(&tenant.members, asked),
        Some(MembersCommand::Add(add)) => {
            let role = add.role.map(RoleArg::role);
            let done = format!("{} is now {}", add.subject, role.unwrap_or(MemberRole::Viewer).as_str());
            (Change::Add(add.subject.clone(), role), add.force, done)
        }
        Some(MembersCommand::Remove(remove)) => {
            let done = format!("{} is no member any more", remove.subject);
            (Change::Remove(remove.subject.clone()), remove.force, done)
        }
    };
    let members = asked.session.change_members(&tenant.name, &change, force).await?;
    if asked.form == Form::Table {
        writeln!(asked.out, "tenant.bailey.dev/{}: {}", one_line(&tenant.name), one_line(&done))?;
        return Ok(Exit::Done);
    }
    write(&members, asked)
}

fn write(members: &[MemberEntry], asked: &mut Asked<'_, impl Write>) -> anyhow::Result<Exit> {
    let rows: Vec<_> = members
        .iter()
        .map(|member| {
            let of = member.cluster_role.as_deref().unwrap_or_default();
            vec![Cell::plain(&member.subject), Cell::plain(&member.role), Cell::plain(of)]
        })
        .collect();
    let text = Table::new(&["MEMBER", "ROLE", "CLUSTER ROLE"], asked.colour).render(&rows);
    let names = members.iter().map(|member| member.subject.clone()).collect();
    asked.write(&members, text, names)
}
