use std::io::Write;

use clap::Args;
use tenancy::rates::{Busiest, Top};

use crate::Exit;
use crate::connection::ConnectArgs;
use crate::output::{Cell, Colour, Table, note};
use crate::written::{Form, Written};

/// Arguments of `bailey top tenants`.
#[derive(Debug, Args)]
pub struct TopTenantsArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Only what asks there: `gateway`, `webhook`, or what --gateway-ledger names
    #[arg(long, value_name = "NAME")]
    ledger: Option<String>,
    /// How many tenants of each ledger
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
    /// The form of the output
    #[arg(short, long, value_enum, default_value = "table")]
    output: Form,
}

pub(super) async fn run(args: &TopTenantsArgs, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    let session = args.connect.open(None).await?;
    let mut all = session.top(args.ledger.as_deref()).await?;
    for ledger in &mut all {
        ledger.tenants.truncate(args.limit.into());
    }
    let names = all
        .iter()
        .flat_map(|ledger| &ledger.tenants)
        .map(|busy| format!("tenant.bailey.dev/{}", busy.tenant));
    let names = names.collect();
    Written { value: &all, text: text(&all, colour), names }.write(args.output, out)?;
    for ledger in &all {
        if let Some(others) = ledger.others.as_ref().filter(|_| args.output == Form::Table) {
            note(&format!(
                "{}: others that are not told of each ask for {} a second, of which {} are refused",
                ledger.ledger, others.asked, others.refused
            ));
        }
    }
    Ok(Exit::Done)
}

fn text(all: &[Top], colour: bool) -> String {
    let rows =
        |ledger: &Top| -> Vec<_> { ledger.tenants.iter().map(|busy| row(&ledger.ledger, busy)).collect() };
    let rows: Vec<_> = all.iter().flat_map(rows).collect();
    if rows.is_empty() {
        return "No tenant asks for anything.\n".to_owned();
    }
    let headings = [
        "LEDGER",
        "TENANT",
        "ASKED/S",
        "REFUSED/S",
        "BY CLASS",
        "UNDER WAY",
        "WAITING",
        "SEATS",
        "STREAMS",
        "BYTES/S",
    ];
    Table::new(&headings, colour).render(&rows)
}

fn row(ledger: &str, busy: &Busiest) -> Vec<Cell> {
    let classes: Vec<_> = busy.classes.iter().map(|(class, asked)| format!("{class} {asked}")).collect();
    let refused = busy.refused.to_string();
    vec![
        Cell::plain(ledger),
        Cell::plain(&busy.tenant),
        Cell::plain(busy.asked.to_string()),
        if busy.refused > 0.0 { Cell::coloured(&refused, Colour::Bad) } else { Cell::plain(refused) },
        Cell::plain(classes.join(", ")),
        Cell::plain(busy.under_way.to_string()),
        Cell::plain(busy.waiting.to_string()),
        Cell::plain(busy.seats.to_string()),
        Cell::plain(busy.streams.to_string()),
        Cell::plain(busy.bytes_per_second.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: TopTenantsArgs,
    }

    #[test]
    fn wrong_flags_are_told() {
        let refused = |flags: &[&str]| {
            let all = std::iter::once("tenants").chain(flags.iter().copied());
            Command::try_parse_from(all).map(|command| command.args).unwrap_err().to_string()
        };
        assert!(refused(&["--limit=0"]).contains("0 is not in 1..=1000"));
        assert!(refused(&["--output=wide"]).contains("possible values: table, json, yaml, name"));
        assert!(refused(&["shop"]).contains("unexpected argument 'shop'"));
    }

    #[test]
    fn rows_are_those_of_each_ledger() {
        let busy = Busiest {
            tenant: "shop".to_owned(),
            asked: 12.5,
            refused: 2.0,
            classes: BTreeMap::from([("list".to_owned(), 2.5), ("write".to_owned(), 10.0)]),
            refused_by_class: BTreeMap::new(),
            under_way: 3,
            waiting: 7,
            seats: 2,
            streams: 1,
            bytes_per_second: 4_096,
        };
        let all = [Top { ledger: "gateway".to_owned(), replicas: 2, tenants: vec![busy], others: None }];
        assert_eq!(
            text(&all, false),
            "LEDGER   TENANT  ASKED/S  REFUSED/S  BY CLASS            UNDER WAY  WAITING  SEATS  STREAMS  BYTES/S\n\
             gateway  shop    12.5     2          list 2.5, write 10  3          7        2      1        4096\n"
        );
        assert_eq!(text(&[], false), "No tenant asks for anything.\n");
    }
}
