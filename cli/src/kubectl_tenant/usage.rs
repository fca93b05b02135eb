use std::io::Write;

use tenancy::self_service::{QuotaLine, Usage};

use super::{Asked, TenantArg};
use crate::Exit;
use crate::output::{Cell, Colour, Table, note};

pub(super) async fn run(args: &TenantArg, asked: &mut Asked<'_, impl Write>) -> anyhow::Result<Exit> {
    let tenant = asked.tenant(args).await?;
    let usage = asked.session.usage(&tenant).await?;
    let text = text(&usage, asked.colour);
    let names = usage.by_namespace.keys().map(|name| format!("namespace/{name}")).collect();
    let exit = asked.write(&usage, text, names)?;
    if !usage.unread.is_empty() {
        note(&format!("you may not read the quotas of {}", usage.unread.join(", ")));
    }
    Ok(exit)
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
