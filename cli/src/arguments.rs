use clap::{Parser, Subcommand};

use crate::commands::{audit, completions, crds, exception, fairness, quota, rbac, tenant, top};

/// Keeps a Kubernetes cluster safe for users who do not know or trust each other
#[derive(Debug, Parser)]
#[command(name = "bailey", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

pub(crate) const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 not found, 4 a check found a difference";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon: answer the API server's admission reviews
    Serve(Box<server::ServeArgs>),
    /// Read the decisions that were kept
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Ask who may do what, and through which binding
    #[command(subcommand)]
    Rbac(rbac::RbacCommand),
    /// Create, list, suspend, adopt, export and draw tenants, as an administrator
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// List, approve and refuse exceptions to policies, as an administrator
    #[command(subcommand)]
    Exception(exception::ExceptionCommand),
    /// Decide on what tenants ask for beyond their budgets, and see when budgets will be full
    #[command(subcommand)]
    Quota(quota::QuotaCommand),
    /// See what tenants get of the API server
    #[command(subcommand)]
    Fairness(fairness::FairnessCommand),
    /// See what tenants do now
    #[command(subcommand)]
    Top(top::TopCommand),
    /// Print, write or check the custom resource definitions
    Crds(crds::CrdsArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Print the version
    Version,
}
