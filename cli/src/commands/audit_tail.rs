use std::io::Write;
use std::time::Duration;

use audit::{AuditReader, Entry, Filter};
use clap::Args;
use model::Record;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::audit::{OutputForm, StoreArgs};
use crate::Exit;
use crate::output::{Cell, Table, instant, object, verdict};

/// How often a follower looks for new records.
const INTERVAL: Duration = Duration::from_millis(500);
/// The most records a follower takes at once.
const STRETCH: u32 = 1_000;

/// Arguments of `bailey audit tail`.
#[derive(Debug, Args)]
pub struct TailArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// How many decisions, at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    lines: u32,
    /// Go on with new decisions as they are written
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Which decisions.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters, all of which must fit")]
struct FilterArgs {
    /// Only refusals
    #[arg(long)]
    denied: bool,
    /// Only in this namespace
    #[arg(long, value_name = "NS")]
    namespace: Option<String>,
    /// Only of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Only by this user
    #[arg(long)]
    user: Option<String>,
    /// Only of this kind, such as Pod
    #[arg(long)]
    kind: Option<String>,
    /// Only where this policy was asked
    #[arg(long)]
    policy: Option<String>,
    /// Only since then: an age such as 90s, 15m, 24h or 7d, or a time such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = Since::parse)]
    since: Option<Since>,
}

/// From when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Age(Duration),
    Time(OffsetDateTime),
}

impl Since {
    fn parse(text: &str) -> Result<Self, String> {
        let error =
            || "give an age such as `90s`, `15m`, `24h` or `7d`, or a time such as `2026-01-31T12:00:00Z`";
        if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
            return Ok(Self::Time(time));
        }
        let seconds = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)]
            .into_iter()
            .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?.parse::<u32>().ok()?, seconds)))
            .map(|(count, seconds)| u64::from(count).saturating_mul(seconds));
        seconds.map(Duration::from_secs).map(Self::Age).ok_or_else(|| error().to_owned())
    }

    fn micros(self, now: OffsetDateTime) -> i64 {
        let time = match self {
            Self::Time(time) => Some(time),
            Self::Age(age) => age.try_into().ok().and_then(|age| now.checked_sub(age)),
        };
        let micros = time.map(|time| time.unix_timestamp_nanos().div_euclid(1_000));
        micros.and_then(|micros| i64::try_from(micros).ok()).unwrap_or(i64::MIN)
    }
}

impl FilterArgs {
    fn into_filter(self, limit: u32, now: OffsetDateTime) -> Filter {
        Filter {
            denied: self.denied,
            namespace: self.namespace,
            tenant: self.tenant,
            user: self.user,
            kind: self.kind,
            policy: self.policy,
            since: self.since.map(|since| since.micros(now)),
            limit,
        }
    }
}

pub(super) async fn run(args: TailArgs, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    let mut reader = AuditReader::open(&args.store.audit_db).await?;
    let filter = args.filter.into_filter(args.lines, OffsetDateTime::now_utc());
    // Looked up first: what is written in between is then in the first answer, not lost.
    let newest = reader.last().await?;
    let entries = reader.tail(&filter).await?;
    let mut table = table(colour);
    print(out, &mut table, args.store.output, &entries)?;
    if !args.follow {
        return Ok(Exit::Done);
    }
    let seen = entries.last().map_or(newest, |entry| entry.seq.max(newest));
    let mut follow = reader.follow_from(seen, Filter { limit: STRETCH, ..filter }, INTERVAL);
    loop {
        let entries = follow.next().await?;
        print(out, &mut table, args.store.output, &entries)?;
    }
}

fn table(colour: bool) -> Table {
    Table::new(&["TIME", "ID", "VERDICT", "OPERATION", "OBJECT", "USER", "REASON"], colour)
}

/// Records as rows of a table.
pub(crate) fn listed(records: &[Record], colour: bool) -> String {
    table(colour).render(&records.iter().map(row).collect::<Vec<_>>())
}

fn print(out: &mut impl Write, table: &mut Table, form: OutputForm, entries: &[Entry]) -> anyhow::Result<()> {
    match form {
        OutputForm::Table => {
            let rows: Vec<_> = entries.iter().map(|entry| row(&entry.record)).collect();
            out.write_all(table.render(&rows).as_bytes())?;
        }
        OutputForm::Json => {
            for entry in entries {
                writeln!(out, "{}", serde_json::to_string(&entry.record)?)?;
            }
        }
    }
    out.flush()?;
    Ok(())
}

fn row(record: &Record) -> Vec<Cell> {
    let operation = record.operation.map_or("-", model::Operation::as_str);
    let dry_run = if record.dry_run { " (dry run)" } else { "" };
    vec![
        Cell::plain(instant(record.time_micros)),
        Cell::plain(&record.id),
        verdict(record),
        Cell::plain(format!("{operation}{dry_run}")),
        Cell::plain(object(record)),
        Cell::plain(&record.username),
        Cell::plain(reason(record)),
    ]
}

/// Why it was refused, or what was found although it was not, in a few words.
fn reason(record: &Record) -> String {
    const LONGEST: usize = 80;
    let text = match (&record.findings.first(), record.message.is_empty()) {
        (_, false) => record.message.clone(),
        (Some(finding), true) => format!("{}: {}", finding.policy, finding.message),
        (None, true) => String::new(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use time::macros::datetime;

    use super::*;
    use crate::commands::audit_show::tests::{allowed, refused, stored};
    use crate::{Cli, Command};

    #[test]
    fn ages_and_times_are_read() {
        let now = datetime!(2026-01-31 12:00 UTC);
        let micros = |text| Since::parse(text).map(|since| since.micros(now));
        assert_eq!(micros("0s"), Ok(1_769_860_800_000_000));
        assert_eq!(micros("15m"), Ok(1_769_859_900_000_000));
        assert_eq!(micros("7d"), Ok(1_769_256_000_000_000));
        assert_eq!(micros("2026-01-31T13:00:00+01:00"), Ok(1_769_860_800_000_000));
        assert_eq!(micros("4294967295d"), Ok(i64::MIN));
        for bad in ["", "5", "-5m", "1w", "yesterday", "m"] {
            assert!(Since::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_table_is_aligned_and_without_colour_when_piped() {
        let mut out = Vec::new();
        let entries = [refused(), allowed()].map(|record| Entry { seq: 1, record });
        print(&mut out, &mut table(false), OutputForm::Table, &entries).unwrap();
        let expected = "\
TIME                      ID                                    VERDICT  OPERATION         OBJECT                         USER  REASON
2026-01-31T12:00:00.250Z  019470f2-0000-7000-8000-000000000001  denied   CREATE            v1 Pod team-a/web              ada   required-labels: label `owner` is missing
2026-01-31T12:00:01.000Z  019470f2-0000-7000-8000-000000000002  allowed  UPDATE (dry run)  apps/v1 Deployment team-a/api  bob   -
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    async fn tail(arguments: &[&str]) -> anyhow::Result<String> {
        let directory = stored(&[refused(), allowed()]).await;
        let path = directory.path().join("audit.db");
        let path = path.to_str().unwrap();
        let arguments = [&["bailey", "audit", "tail", "--audit-db", path], arguments].concat();
        let Command::Audit(command) = Cli::try_parse_from(arguments)?.command else { panic!("not audit") };
        let mut out = Vec::new();
        super::super::audit::run(command, &mut out, false).await?;
        Ok(String::from_utf8(out)?)
    }

    #[tokio::test]
    async fn json_is_one_record_a_line_as_it_is_stored() {
        let text = tail(&["-o", "json"]).await.unwrap();
        let records: Vec<Record> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(records, [refused(), allowed()]);
        let denied =
            tail(&["-o", "json", "--denied", "--namespace", "team-a", "--user", "ada", "-n", "5"]).await;
        assert_eq!(denied.unwrap().lines().count(), 1);
        assert_eq!(tail(&["-o", "json", "--kind", "Secret"]).await.unwrap(), "");
    }

    #[tokio::test]
    async fn wrong_flags_say_what_would_be_right() {
        for (arguments, expected) in [
            (&["--namespaces", "a"][..], "a similar argument exists: '--namespace'"),
            (&["-n", "0"][..], "0 is not in 1..=100000"),
            (&["-o", "yaml"][..], "[possible values: table, json]"),
            (&["--since", "1w"][..], "give an age such as `90s`, `15m`, `24h` or `7d`"),
        ] {
            let error = tail(arguments).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
