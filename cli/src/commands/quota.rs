use std::io::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use tenancy::self_service::{Answer, RequestEntry};

use super::quota_forecast::{self, ForecastArgs};
use super::quota_recommend::{self, RecommendArgs};
use super::quota_sample::{self, SampleArgs};
use crate::Exit;
use crate::connection::ConnectArgs;
use crate::kubectl_tenant::duration;
use crate::kubectl_tenant::request_quota::{amount, amounts, object, state};
use crate::output::{Cell, Table, fields};
use crate::written::{Form, Written};

/// The commands below `bailey quota`.
#[derive(Debug, Subcommand)]
pub enum QuotaCommand {
    /// List what tenants ask for beyond their budgets
    List(ListArgs),
    /// One request, whole
    Show(ShowArgs),
    /// Grant what was asked for, or less
    Approve(ApproveArgs),
    /// Grant nothing; what was granted before ends
    Refuse(RefuseArgs),
    /// Say when budgets will be full, from how they stood so far
    Forecast(ForecastArgs),
    /// Say what containers should request, from what they used
    Recommend(RecommendArgs),
    /// Add what containers use now, by the cluster's metrics API, to a usage file
    Sample(SampleArgs),
}

/// Arguments of `bailey quota list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only this tenant's
    #[arg(short, long, value_name = "NAME")]
    tenant: Option<String>,
    /// Only those that wait for a decision
    #[arg(long)]
    pending: bool,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `bailey quota show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The request, as `bailey quota list` names it
    #[arg(value_name = "NAMESPACE/NAME", value_parser = place)]
    request: Place,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `bailey quota approve`.
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// The request, as `bailey quota list` names it
    #[arg(value_name = "NAMESPACE/NAME", value_parser = place)]
    request: Place,
    /// For how long, such as 12h or 7d, instead of what was asked for
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// What is granted, instead of all that was asked for; may be given several times
    #[arg(long = "amount", value_name = "NAME=QUANTITY", value_parser = amount)]
    amounts: Vec<(String, String)>,
    /// Why, for those who asked
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `bailey quota refuse`.
#[derive(Debug, Args)]
pub struct RefuseArgs {
    /// The request, as `bailey quota list` names it
    #[arg(value_name = "NAMESPACE/NAME", value_parser = place)]
    request: Place,
    /// Why, for those who asked
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// What every command takes.
#[derive(Debug, Args)]
struct Common {
    /// The form of the output
    #[arg(short, long, value_enum, default_value = "table")]
    output: Form,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// A request by namespace and name.
#[derive(Debug, Clone)]
struct Place {
    namespace: String,
    name: String,
}

fn place(text: &str) -> Result<Place, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(Place { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        _ => Err(format!("`{text}` names no request: write `NAMESPACE/NAME`, as `bailey quota list` does")),
    }
}

pub(super) async fn run(command: QuotaCommand, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    match command {
        QuotaCommand::Forecast(args) => quota_forecast::run(&args, out, colour).await,
        QuotaCommand::Recommend(args) => quota_recommend::run(&args, out, colour),
        QuotaCommand::Sample(args) => quota_sample::run(&args, out).await,
        QuotaCommand::List(args) => list(&args, out, colour).await,
        QuotaCommand::Show(args) => {
            let session = args.common.connect.open(None).await?;
            let entry = session.quota_request(&args.request.namespace, &args.request.name).await?;
            write(&entry, show(&entry, colour), args.common.output, out)
        }
        QuotaCommand::Approve(args) => {
            let ApproveArgs { request, time, amounts, reason, common } = args;
            let answer = Answer { approved: true, amounts, duration: time, reason };
            decide(&request, &answer, &common, out).await
        }
        QuotaCommand::Refuse(args) => {
            let RefuseArgs { request, reason, common } = args;
            let answer = Answer { approved: false, amounts: Vec::new(), duration: None, reason };
            decide(&request, &answer, &common, out).await
        }
    }
}

async fn list(args: &ListArgs, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    let mut all = args.common.connect.open(None).await?.all_requests().await?;
    all.retain(|entry| {
        let of_tenant = args.tenant.is_none() || entry.tenant == args.tenant;
        of_tenant && (!args.pending || entry.state == "Pending")
    });
    let names = all.iter().map(|entry| format!("{}/{}", entry.namespace, entry.name)).collect();
    let headings = ["REQUEST", "TENANT", "ASKED", "BAND", "FOR", "STATE", "UNTIL", "BY", "REASON"];
    let rows: Vec<_> = all.iter().map(row).collect();
    let text = Table::new(&headings, colour).render(&rows);
    Written { value: &all, text, names }.write(args.common.output, out)?;
    Ok(Exit::Done)
}

fn row(entry: &RequestEntry) -> Vec<Cell> {
    let text = |text: &Option<String>| Cell::plain(text.as_deref().unwrap_or_default());
    vec![
        Cell::plain(format!("{}/{}", entry.namespace, entry.name)),
        text(&entry.tenant),
        Cell::plain(amounts(&entry.amounts)),
        text(&entry.band),
        text(&entry.asked_for),
        state(&entry.state),
        text(&entry.until),
        text(&entry.requested_by),
        Cell::plain(&entry.reason),
    ]
}

fn show(entry: &RequestEntry, colour: bool) -> String {
    let text = |text: &Option<String>| Cell::plain(text.as_deref().unwrap_or_default());
    fields(
        &[
            ("Request", Cell::plain(format!("{}/{}", entry.namespace, entry.name))),
            ("Tenant", text(&entry.tenant)),
            ("Asked", Cell::plain(amounts(&entry.amounts))),
            ("Band", text(&entry.band)),
            ("For", text(&entry.asked_for)),
            ("Reason", Cell::plain(&entry.reason)),
            ("Asked by", text(&entry.requested_by)),
            ("Asked at", text(&entry.created)),
            ("State", state(&entry.state)),
            ("Granted", Cell::plain(amounts(&entry.granted))),
            ("Until", text(&entry.until)),
            ("Decided by", text(&entry.decided_by)),
            ("Decided at", text(&entry.decided_at)),
            ("Answer", text(&entry.answer)),
        ],
        colour,
    )
}

async fn decide(
    place: &Place,
    answer: &Answer,
    common: &Common,
    out: &mut impl Write,
) -> anyhow::Result<Exit> {
    let session = common.connect.open(None).await?;
    let entry = session.answer_request(&place.namespace, &place.name, answer).await?;
    let tenant = entry.tenant.as_deref().unwrap_or("nobody");
    let until = entry.until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
    let text = match answer.approved {
        true => format!("approved: {} for the tenant {tenant}{until}", amounts(&entry.granted)),
        false => "refused".to_owned(),
    };
    let text = format!("{} {text}", object(&entry));
    write(&entry, format!("{}\n", crate::output::one_line(&text)), common.output, out)
}

fn write(entry: &RequestEntry, text: String, form: Form, out: &mut impl Write) -> anyhow::Result<Exit> {
    let names = vec![format!("{}/{}", entry.namespace, entry.name)];
    Written { value: entry, text, names }.write(form, out)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_with_its_namespace() {
        let found = place("physics-web/quota-1").unwrap();
        assert_eq!((found.namespace.as_str(), found.name.as_str()), ("physics-web", "quota-1"));
        for bad in ["", "quota-1", "/quota-1", "physics-web/", "a/b/c"] {
            assert!(place(bad).unwrap_err().contains("write `NAMESPACE/NAME`"), "{bad}");
        }
    }
}
