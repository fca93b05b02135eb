use std::io::Write;

use tenancy::self_service::TenantSummary;

use super::Asked;
use crate::Exit;
use crate::output::{Cell, Colour, Table, note};

pub(super) async fn run(asked: &mut Asked<'_, impl Write>) -> anyhow::Result<Exit> {
    let all = asked.session.tenants().await?;
    let rows: Vec<_> = all
        .iter()
        .map(|tenant| {
            vec![
                Cell::plain(&tenant.name),
                Cell::plain(tenant.role.as_deref().unwrap_or_default()),
                Cell::plain(tenant.namespace_count.to_string()),
                Cell::plain(tenant.limit.map(|limit| limit.to_string()).unwrap_or_default()),
                suspended(tenant),
                ready(tenant),
            ]
        })
        .collect();
    let text = Table::new(&["NAME", "ROLE", "NAMESPACES", "LIMIT", "SUSPENDED", "READY"], asked.colour)
        .render(&rows);
    let names = all.iter().map(|tenant| format!("tenant.bailey.dev/{}", tenant.name)).collect();
    let exit = asked.write(&all, text, names)?;
    if all.is_empty() {
        note("you belong to no tenant");
    }
    Ok(exit)
}

/// Whether a tenant may not grow.
pub(super) fn suspended(tenant: &TenantSummary) -> Cell {
    if tenant.suspended { Cell::coloured("yes", Colour::Doubtful) } else { Cell::plain("no") }
}

/// Whether a tenant has what it should.
pub(crate) fn ready(tenant: &TenantSummary) -> Cell {
    match tenant.ready {
        Some(true) => Cell::coloured("yes", Colour::Good),
        Some(false) => Cell::coloured("no", Colour::Bad),
        None => Cell::plain(""),
    }
}
