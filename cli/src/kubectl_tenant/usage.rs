use std::io::Write;

use clap::Args;
use tenancy::self_service::{Explained, QuotaLine, TenantSummary, Usage};

use super::{Asked, TenantArg};
use crate::Exit;
use crate::output::{Cell, Colour, Table, note};

/// Arguments of `kubectl tenant usage`.
#[derive(Debug, Args)]
pub(super) struct UsageArgs {
    /// Which objects make up what is used of this resource, such as requests.cpu or count/jobs.batch
    #[arg(long, value_name = "RESOURCE")]
    of: Option<String>,
    #[command(flatten)]
    tenant: TenantArg,
}

pub(super) async fn run(args: &UsageArgs, asked: &mut Asked<'_, impl Write>) -> anyhow::Result<Exit> {
    let tenant = asked.tenant(&args.tenant).await?;
    if let Some(resource) = &args.of {
        return explain(&tenant, resource, asked).await;
    }
    let usage = asked.session.usage(&tenant).await?;
    let text = text(&usage, asked.colour);
    let names = usage.by_namespace.keys().map(|name| format!("namespace/{name}")).collect();
    let exit = asked.write(&usage, text, names)?;
    if !usage.unread.is_empty() {
        note(&format!("you may not read the quotas of {}", usage.unread.join(", ")));
    }
    Ok(exit)
}

async fn explain(
    tenant: &TenantSummary,
    resource: &str,
    asked: &mut Asked<'_, impl Write>,
) -> anyhow::Result<Exit> {
    let explained = asked.session.explain(tenant, resource).await?;
    let names =
        explained.objects.iter().map(|part| format!("{}/{}/{}", part.kind, part.namespace, part.name));
    let exit = asked.write(&explained, objects(&explained, asked.colour), names.collect())?;
    if !explained.unread.is_empty() {
        let unread: Vec<&str> = explained.unread.iter().map(String::as_str).collect();
        note(&format!("you may not read the objects in {}", unread.join(", ")));
    } else if let Some(reported) = explained.reported.filter(|reported| *reported != explained.total) {
        note(&format!(
            "the tenant's status says {reported}: it is a few seconds behind, or more is under way"
        ));
    }
    Ok(exit)
}

fn objects(explained: &Explained, colour: bool) -> String {
    let cells = |cells: [&str; 4]| cells.map(Cell::plain).to_vec();
    let mut rows: Vec<_> = explained
        .objects
        .iter()
        .map(|part| cells([&part.kind, &part.namespace, &part.name, &part.amount]))
        .collect();
    rows.push(cells(["all", "", "", &explained.total]));
    Table::new(&["KIND", "NAMESPACE", "NAME", "USED"], colour).render(&rows)
}

fn text(usage: &Usage, colour: bool) -> String {
    let percent = |limit: u32| usage.namespaces.saturating_mul(100).checked_div(limit);
    let namespaces = QuotaLine {
        resource: "namespaces".to_owned(),
        used: usage.namespaces.to_string(),
        hard: usage.namespace_limit.map_or("no limit".to_owned(), |limit| limit.to_string()),
        percent: usage.namespace_limit.and_then(percent),
    };
    let of = format!("tenant {}", usage.tenant);
    let mut rows = vec![row(&of, &namespaces)];
    let budget = format!("budget {}", usage.tenant);
    rows.extend(usage.budget.iter().map(|line| row(&budget, line)));
    rows.extend(usage.total.iter().map(|line| row(&of, line)));
    for (namespace, lines) in &usage.by_namespace {
        rows.extend(lines.iter().map(|line| row(namespace, line)));
    }
    Table::new(&["WHERE", "RESOURCE", "USED", "MOST", "PERCENT"], colour).render(&rows)
}

fn row(place: &str, line: &QuotaLine) -> Vec<Cell> {
    let percent = match line.percent {
        Some(percent) if percent >= 100 => Cell::coloured(&percent.to_string(), Colour::Bad),
        Some(percent) if percent >= 80 => Cell::coloured(&percent.to_string(), Colour::Doubtful),
        Some(percent) => Cell::plain(percent.to_string()),
        None => Cell::plain(""),
    };
    vec![
        Cell::plain(place),
        Cell::plain(&line.resource),
        Cell::plain(&line.used),
        Cell::plain(&line.hard),
        percent,
    ]
}
