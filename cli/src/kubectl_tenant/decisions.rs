use std::io::Write;

use clap::Args;
use model::Record;
use tenancy::self_service::{DecisionFilter, Decisions, Fault};

use super::{Asked, TenantArg};
use crate::Exit;
use crate::commands::{decision_table, render_decision};
use crate::output::note;

/// Arguments of `kubectl tenant denials`.
#[derive(Debug, Args)]
pub(super) struct DenialsArgs {
    #[command(flatten)]
    tenant: TenantArg,
    /// What was admitted too
    #[arg(long)]
    all: bool,
    /// Only requests of this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The most decisions
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
}

/// Arguments of `kubectl tenant explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The decision's id as the refusal shows it, or its first 8 characters or more
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    tenant: TenantArg,
}

/// What was refused, the oldest first.
pub(super) async fn denials(
    args: &DenialsArgs,
    namespace: Option<String>,
    asked: &mut Asked<'_, impl Write>,
) -> anyhow::Result<Exit> {
    let tenant = asked.tenant(&args.tenant).await?;
    let filter = DecisionFilter {
        id: None,
        denied: !args.all,
        namespace,
        user: args.user.clone(),
        limit: Some(args.limit),
    };
    let records = told(asked.session.decisions(&tenant.name, &filter).await?);
    if records.is_empty() {
        note(&format!(
            "nothing that was asked of the tenant {} was refused, as far as it is kept",
            tenant.name
        ));
    }
    let text = decision_table(&records, asked.colour);
    asked.write(&records, text, names(&records))
}

/// One decision, whole. Without a tenant every tenant of the user is asked.
pub(super) async fn explain(args: &ExplainArgs, asked: &mut Asked<'_, impl Write>) -> anyhow::Result<Exit> {
    let filter = DecisionFilter { id: Some(args.id.clone()), ..DecisionFilter::default() };
    let tenants = match &args.tenant.tenant {
        Some(name) => vec![name.clone()],
        None => asked.session.tenants().await?.into_iter().map(|tenant| tenant.name).collect(),
    };
    let mut last = Fault::NotFound("you belong to no tenant, whose decisions you could read".to_owned());
    for tenant in tenants {
        match asked.session.decisions(&tenant, &filter).await {
            Ok(found) => {
                let records = told(found);
                let text = records.iter().map(|record| render_decision(record, asked.colour)).collect();
                return asked.write(&records, text, names(&records));
            }
            Err(fault @ Fault::NotFound(_)) => last = fault,
            Err(fault) => return Err(fault.into()),
        }
    }
    Err(last.into())
}

/// The decisions, after a note where some are missing.
fn told(found: Decisions) -> Vec<Record> {
    if let Some(warning) = &found.warning {
        note(warning);
    }
    found.records
}

fn names(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| format!("decision/{}", record.id)).collect()
}
