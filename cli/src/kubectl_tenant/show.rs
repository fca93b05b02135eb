use std::io::Write;

use tenancy::self_service::TenantSummary;

use super::{Asked, list};
use crate::Exit;
use crate::output::{Cell, fields};

/// Arguments of `kubectl tenant show`.
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The tenant; without it, your only one, or that of the namespace
    name: Option<String>,
}

pub(super) async fn run(args: &ShowArgs, asked: &mut Asked<'_, impl Write>) -> anyhow::Result<Exit> {
    let tenant = asked.session.tenant_meant(args.name.as_deref()).await?;
    let text = text(&tenant, asked.colour);
    let names = vec![format!("tenant.bailey.dev/{}", tenant.name)];
    asked.write(&tenant, text, names)
}

fn text(tenant: &TenantSummary, colour: bool) -> String {
    let limit = tenant.limit.map_or("no limit".to_owned(), |limit| limit.to_string());
    let prefix = if tenant.prefix.is_empty() { "any name" } else { &tenant.prefix };
    let mut rows = vec![
        ("Name", Cell::plain(&tenant.name)),
        ("Your role", Cell::plain(tenant.role.as_deref().unwrap_or_default())),
    ];
    rows.extend(tenant.parent.as_ref().map(|parent| ("Parent", Cell::plain(parent))));
    rows.extend([
        ("Ready", list::ready(tenant)),
        ("Message", Cell::plain(&tenant.message)),
        ("Suspended", list::suspended(tenant)),
        ("Profile", Cell::plain(tenant.isolation_profile.as_deref().unwrap_or("default"))),
        ("Prefix", Cell::plain(prefix)),
        ("Namespaces", Cell::plain(format!("{} of {limit}", tenant.namespace_count))),
    ]);
    rows.extend(tenant.namespaces.iter().map(|name| ("", Cell::plain(name))));
    rows.push(("Members", Cell::plain(tenant.members.len().to_string())));
    rows.extend(tenant.members.iter().map(|member| {
        let of = member.cluster_role.as_ref().map(|role| format!(" ({role})")).unwrap_or_default();
        ("", Cell::plain(format!("{} {}{of}", member.subject, member.role)))
    }));
    fields(&rows, colour)
}
