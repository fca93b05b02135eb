use std::io::Write;

use serde_json::Value;
use tenancy::self_service::{BudgetLine, ClassUse, Limits, NamespaceLimits, RateLine, Uses};

use super::{Asked, TenantArg};
use crate::Exit;
use crate::output::{Cell, Colour, Table, fields, note};
use crate::written::Form;

pub(super) async fn run(args: &TenantArg, asked: &mut Asked<'_, impl Write>) -> anyhow::Result<Exit> {
    let tenant = asked.tenant(args).await?;
    let limits = asked.session.limits(&tenant).await?;
    let text = text(&limits, asked.colour);
    let names = vec![format!("isolationprofile.bailey.dev/{}", limits.profile)];
    let exit = asked.write(&limits, text, names)?;
    if limits.uses.is_none() && !limits.rates.is_empty() && asked.form == Form::Table {
        note("what is in use now is not told: this cluster does not serve it, or you may not know it");
    }
    for at in limits.uses.iter().flatten().filter(|at| at.partial) {
        note(&format!(
            "{}: others do so much more there that some of this tenant's may be missing",
            at.ledger
        ));
    }
    let hidden: Vec<_> =
        limits.namespaces.iter().filter(|one| !one.readable).map(|one| one.namespace.as_str()).collect();
    if !hidden.is_empty() {
        note(&format!("you may not read the quotas or limit ranges of {}", hidden.join(", ")));
    }
    Ok(exit)
}

fn text(limits: &Limits, colour: bool) -> String {
    let most = limits.namespace_limit.map_or("no limit".to_owned(), |limit| limit.to_string());
    let prefix = if limits.prefix.is_empty() { "any name" } else { &limits.prefix };
    let built_in =
        if limits.isolation.is_none() { " (not to be read: built-in walls, if there is none)" } else { "" };
    let mut text = fields(
        &[
            ("Tenant", Cell::plain(&limits.tenant)),
            ("Namespaces", Cell::plain(most)),
            ("Prefix", Cell::plain(prefix)),
            ("Fairness", Cell::plain(limits.fairness_class.as_deref().unwrap_or("no class"))),
            ("Profile", Cell::plain(&limits.profile).followed_by(built_in)),
        ],
        colour,
    );
    if !limits.budget.is_empty() {
        let text_of = |text: &Option<String>| Cell::plain(text.as_deref().unwrap_or_default());
        let row = |line: &BudgetLine| {
            let (resource, hard) = (Cell::plain(&line.resource), Cell::plain(&line.hard));
            vec![resource, text_of(&line.band), hard, text_of(&line.granted)]
        };
        let cells: Vec<_> = limits.budget.iter().map(row).collect();
        text.push('\n');
        text.push_str(&Table::new(&["BUDGET", "BAND", "MOST", "GRANTED MORE"], colour).render(&cells));
    }
    if !limits.rates.is_empty() {
        let cells: Vec<_> = limits.rates.iter().map(rate).collect();
        let headings = ["REQUESTS", "TENANT", "AT ONCE", "EACH USER", "AT ONCE"];
        text.push('\n');
        text.push_str(&Table::new(&headings, colour).render(&cells));
    }
    uses(limits.uses.as_deref().unwrap_or_default(), colour, &mut text);
    let mut rows = Vec::new();
    if let Some(isolation) = &limits.isolation {
        leaves(isolation, &mut String::new(), &mut rows);
        if !rows.is_empty() {
            let cells: Vec<_> =
                rows.iter().map(|(name, value)| vec![Cell::plain(name), Cell::plain(value)]).collect();
            text.push('\n');
            text.push_str(&Table::new(&["WALL", "VALUE"], colour).render(&cells));
        }
    }
    let cells: Vec<_> = limits.namespaces.iter().flat_map(in_namespace).collect();
    if !cells.is_empty() {
        text.push('\n');
        text.push_str(&Table::new(&["NAMESPACE", "FROM", "WHAT", "MOST"], colour).render(&cells));
    }
    text
}

/// What the tenant does now: what it asks for by class, and what is under way.
fn uses(all: &[Uses], colour: bool, text: &mut String) {
    let asked: Vec<_> =
        all.iter().flat_map(|at| at.classes.iter().map(|class| class_use(&at.ledger, class))).collect();
    if !asked.is_empty() {
        text.push('\n');
        text.push_str(
            &Table::new(&["AT", "REQUESTS", "ASKED/S", "REFUSED/S", "OF RATE"], colour).render(&asked),
        );
    }
    let now = |at: &Uses| [at.under_way, at.waiting, at.seats, at.streams, at.bytes_per_second];
    let busy = all.iter().filter(|at| now(at).iter().any(|count| *count > 0));
    let row = |at: &Uses| {
        let counts = now(at).map(|count| Cell::plain(count.to_string()));
        std::iter::once(Cell::plain(&at.ledger)).chain(counts).collect()
    };
    let rows: Vec<Vec<Cell>> = busy.map(row).collect();
    if !rows.is_empty() {
        let headings = ["AT", "UNDER WAY", "WAITING", "SEATS", "STREAMS", "BYTES/S"];
        text.push('\n');
        text.push_str(&Table::new(&headings, colour).render(&rows));
    }
}

fn class_use(at: &str, class: &ClassUse) -> Vec<Cell> {
    let refused = class.refused.to_string();
    vec![
        Cell::plain(at),
        Cell::plain(&class.class),
        Cell::plain(class.asked.to_string()),
        if class.refused > 0.0 { Cell::coloured(&refused, Colour::Bad) } else { Cell::plain(refused) },
        Cell::plain(class.percent.map(|percent| format!("{percent}%")).unwrap_or_default()),
    ]
}

fn rate(line: &RateLine) -> Vec<Cell> {
    let at_once = line.user_burst.map(|burst| burst.to_string());
    vec![
        Cell::plain(&line.class),
        Cell::plain(&line.tenant),
        Cell::plain(line.burst.to_string()),
        Cell::plain(line.user.as_deref().unwrap_or("as the tenant")),
        Cell::plain(at_once.unwrap_or_default()),
    ]
}

fn in_namespace(limits: &NamespaceLimits) -> Vec<Vec<Cell>> {
    let row = |from: String, what: &str, most: &str| {
        vec![Cell::plain(&limits.namespace), Cell::plain(from), Cell::plain(what), Cell::plain(most)]
    };
    let mut rows = Vec::new();
    for (quota, hard) in &limits.quotas {
        rows.extend(hard.iter().map(|(what, most)| row(format!("ResourceQuota/{quota}"), what, most)));
    }
    for (range, items) in &limits.limit_ranges {
        for item in items {
            let mut values = Vec::new();
            leaves(item, &mut String::new(), &mut values);
            let of = item.get("type").and_then(Value::as_str).unwrap_or_default();
            let values = values.iter().filter(|(name, _)| name != "type");
            rows.extend(
                values
                    .map(|(name, value)| row(format!("LimitRange/{range}"), &format!("{of} {name}"), value)),
            );
        }
    }
    rows
}

/// The values of a structure by their paths, such as `network.mode`.
fn leaves(value: &Value, path: &mut String, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let length = path.len();
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
                leaves(value, path, rows);
                path.truncate(length);
            }
        }
        // What says nothing is in the way.
        Value::Object(_) => {}
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            let items: Vec<_> = items.iter().map(plain).collect();
            rows.push((path.clone(), items.join(", ")));
        }
        other => rows.push((path.clone(), plain(other))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_structure_is_shown_by_paths() {
        let mut rows = Vec::new();
        let value = json!({"network": {"mode": "Isolated", "egress": ["a", "b"]}, "allow": {}, "n": 3, "o": [{"a": 1}]});
        leaves(&value, &mut String::new(), &mut rows);
        let said: Vec<_> = rows.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = ["n=3", "network.egress=a, b", "network.mode=Isolated", "o=[{\"a\":1}]"];
        let mut sorted = said.clone();
        sorted.sort();
        assert_eq!(sorted, expected);
    }
}
