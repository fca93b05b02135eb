use std::io::Write;

use clap::Args;
use model::quantity;
use tenancy::self_service::{Fault, NewRequest, RequestEntry};

use super::kubeconfig::duration;
use super::{Asked, TenantArg};
use crate::Exit;
use crate::output::{Cell, Colour, Table, note, one_line};

/// Arguments of `kubectl tenant request quota`.
#[derive(Debug, Args)]
pub(super) struct QuotaArgs {
    /// How much more than now, such as requests.cpu=4 or pods=10; several of them
    #[arg(required = true, value_name = "NAME=QUANTITY", value_parser = amount)]
    amounts: Vec<(String, String)>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For how long, such as 12h or 7d; without it, for good
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: Option<String>,
    /// The band of the budget; without it, the whole
    #[arg(long, value_name = "NAME")]
    band: Option<String>,
}

pub(super) async fn run(
    args: &QuotaArgs,
    tenant: &TenantArg,
    given: bool,
    asked: &mut Asked<'_, impl Write>,
) -> anyhow::Result<Exit> {
    let tenant = asked.tenant(tenant).await?;
    let namespace = asked.session.namespace_in(&tenant, given)?;
    let new = NewRequest {
        amounts: args.amounts.clone(),
        band: args.band.clone(),
        reason: args.reason.clone(),
        duration: args.time.clone(),
    };
    let entry = asked.session.request_quota(&tenant.name, &namespace, &new).await?;
    let text = format!(
        "quotarequest.bailey.dev/{} asks for {} for the tenant {}, and waits for an administrator\n",
        one_line(&entry.name),
        one_line(&amounts(&entry.amounts)),
        one_line(&tenant.name),
    );
    let names = vec![object(&entry)];
    asked.write(&entry, text, names)
}

/// Writes the requests of a tenant.
pub(super) async fn list(args: &TenantArg, asked: &mut Asked<'_, impl Write>) -> anyhow::Result<Exit> {
    let tenant = asked.tenant(args).await?;
    let found = asked.session.quota_requests(&tenant).await?;
    let headings =
        ["NAMESPACE", "NAME", "ASKED", "BAND", "STATE", "GRANTED", "UNTIL", "DECIDED BY", "ANSWER", "REASON"];
    let rows: Vec<_> = found.items.iter().map(row).collect();
    let text = Table::new(&headings, asked.colour).render(&rows);
    let names = found.items.iter().map(object).collect();
    let exit = asked.write(&found.items, text, names)?;
    if !found.unread.is_empty() {
        note(&format!("you may not read the requests of {}", found.unread.join(", ")));
    }
    Ok(exit)
}

fn row(entry: &RequestEntry) -> Vec<Cell> {
    let text = |text: &Option<String>| Cell::plain(text.as_deref().unwrap_or_default());
    vec![
        Cell::plain(&entry.namespace),
        Cell::plain(&entry.name),
        Cell::plain(amounts(&entry.amounts)),
        text(&entry.band),
        state(&entry.state),
        Cell::plain(amounts(&entry.granted)),
        text(&entry.until),
        text(&entry.decided_by),
        text(&entry.answer),
        Cell::plain(&entry.reason),
    ]
}

/// The namespace of the tenant in which there is a request of this name.
pub(super) async fn place(
    name: &str,
    tenant: &TenantArg,
    asked: &mut Asked<'_, impl Write>,
) -> anyhow::Result<String> {
    let tenant = asked.tenant(tenant).await?;
    let found = asked.session.quota_requests(&tenant).await?.items;
    let mut places: Vec<_> =
        found.into_iter().filter(|entry| entry.name == name).map(|entry| entry.namespace).collect();
    match (places.len(), places.pop()) {
        (1, Some(place)) => Ok(place),
        (_, None) => {
            let text = format!("the tenant `{}` has no request `{name}`", tenant.name);
            Err(Fault::NotFound(text).into())
        }
        (_, Some(_)) => {
            let text = format!("several namespaces have a request `{name}`: say which with `--namespace`");
            Err(Fault::Usage(text).into())
        }
    }
}

/// A request as kubectl names it.
pub(crate) fn object(entry: &RequestEntry) -> String {
    format!("quotarequest.bailey.dev/{}", entry.name)
}

/// Amounts in one cell.
pub(crate) fn amounts<'a>(amounts: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let all: Vec<_> = amounts.into_iter().map(|(name, amount)| format!("{name} {amount}")).collect();
    all.join(", ")
}

/// A state, in its colour.
pub(crate) fn state(state: &str) -> Cell {
    match state {
        "Approved" => Cell::coloured(state, Colour::Good),
        "Pending" => Cell::coloured(state, Colour::Doubtful),
        "Refused" => Cell::coloured(state, Colour::Bad),
        other => Cell::plain(other),
    }
}

/// An amount such as `pods=10`.
pub(crate) fn amount(text: &str) -> Result<(String, String), String> {
    let fault = || format!("`{text}` is no amount: write it like `pods=10` or `requests.memory=4Gi`");
    let (name, amount) = text.split_once('=').ok_or_else(fault)?;
    let more = quantity(amount).is_some_and(|amount| amount > 0);
    if name.is_empty() || !more {
        return Err(fault());
    }
    Ok((name.to_owned(), amount.to_owned()))
}

/// A time, as it was written.
fn time(text: &str) -> Result<String, String> {
    duration(text).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read() {
        let read = |text: &str| amount(text).map(|(name, amount)| format!("{name} {amount}"));
        assert_eq!(read("pods=10").as_deref(), Ok("pods 10"));
        assert_eq!(read("requests.memory=4Gi").as_deref(), Ok("requests.memory 4Gi"));
        for bad in ["pods", "pods=", "=4", "pods=many", "pods=-1", "pods=0", "pods=1=2"] {
            assert!(amount(bad).unwrap_err().contains("write it like `pods=10`"), "{bad}");
        }
    }
}
