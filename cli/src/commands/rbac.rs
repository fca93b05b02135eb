use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use tenancy::rbac::{Dump, Rbac, read_dump};
use tenancy::self_service::{Fault, Session};

use super::rbac_what_can::{self, WhatCanArgs};
use super::rbac_who_can::{self, WhoCanArgs};
use crate::Exit;
use crate::connection::ConnectArgs;
use crate::output::note;
use crate::written::Form;

/// The commands below `bailey rbac`.
#[derive(Debug, Subcommand)]
pub enum RbacCommand {
    /// Who may do something, and through which binding and role
    WhoCan(WhoCanArgs),
    /// What somebody may do, and through which binding and role
    WhatCan(WhatCanArgs),
}

/// Where roles and bindings are read, and the form of the output.
#[derive(Debug, Args)]
pub(crate) struct RightsArgs {
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// Read a file or folder that `kubectl get roles,rolebindings,clusterroles,clusterrolebindings -A -o yaml` wrote,
    /// instead of the cluster
    #[arg(long, value_name = "PATH", conflicts_with_all = ["kubeconfig", "context"])]
    pub(crate) dump: Option<PathBuf>,
    /// The form of the output
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Form,
}

/// Roles and bindings, and where they are from.
pub(crate) enum Rights {
    Live(Box<Session>, Rbac),
    Dumped(Dump),
}

impl RightsArgs {
    pub(crate) async fn read(&self) -> anyhow::Result<Rights> {
        let Some(path) = &self.dump else {
            let session = self.connect.open(None).await?;
            let rbac = session.rbac().await?;
            return Ok(Rights::Live(Box::new(session), rbac));
        };
        let dump = read_dump(path)?;
        let dangling = dump.rbac.dangling().count();
        if dangling > 0 {
            // What is not in the dump may give rights in the cluster: the answer may lack some.
            note(&format!(
                "of {dangling} bindings the role is not in `{}`: what they give is not known",
                path.display()
            ));
        }
        Ok(Rights::Dumped(dump))
    }
}

impl Rights {
    pub(crate) fn rbac(&self) -> &Rbac {
        match self {
            Self::Live(_, rbac) => rbac,
            Self::Dumped(dump) => &dump.rbac,
        }
    }

    /// The namespaces of a tenant.
    pub(crate) async fn namespaces_of(&self, tenant: &str) -> Result<Vec<String>, Fault> {
        match self {
            Self::Live(session, _) => {
                session.tenant(tenant).await?;
                session.namespaces_of(tenant).await
            }
            Self::Dumped(dump) => match dump.namespaces.get(tenant) {
                Some(names) => Ok(names.iter().cloned().collect()),
                None => Err(Fault::NotFound(format!(
                    "the dump does not tell the namespaces of a tenant `{tenant}`: add what `kubectl get \
                     namespaces,tenants.bailey.dev -o yaml` writes to it"
                ))),
            },
        }
    }
}

pub(super) async fn run(command: RbacCommand, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    match command {
        RbacCommand::WhoCan(args) => rbac_who_can::run(&args, out, colour).await,
        RbacCommand::WhatCan(args) => rbac_what_can::run(&args, out, colour).await,
    }
}
