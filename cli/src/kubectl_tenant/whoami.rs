use std::io::Write;

use serde::Serialize;
use tenancy::self_service::Whoami;

use super::Asked;
use crate::Exit;
use crate::output::{Cell, fields};

/// Who somebody is, and what in which tenant.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    me: Whoami,
    tenants: Vec<Membership>,
}

#[derive(Debug, Serialize)]
struct Membership {
    name: String,
    role: Option<String>,
}

pub(super) async fn run(asked: &mut Asked<'_, impl Write>) -> anyhow::Result<Exit> {
    let me = asked.session.whoami().await?;
    let tenants = asked.session.tenants().await?;
    let tenants: Vec<_> =
        tenants.into_iter().map(|tenant| Membership { name: tenant.name, role: tenant.role }).collect();
    let said: Vec<_> = tenants
        .iter()
        .map(|tenant| format!("{} ({})", tenant.name, tenant.role.as_deref().unwrap_or("no member")))
        .collect();
    let text = fields(
        &[
            ("User", Cell::plain(&me.username)),
            ("Groups", Cell::plain(me.groups.join(", "))),
            ("Tenants", Cell::plain(said.join(", "))),
        ],
        asked.colour,
    );
    let names = vec![me.username.clone()];
    asked.write(&Answer { me, tenants }, text, names)
}
