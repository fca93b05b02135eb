use std::io::Write;
use std::path::PathBuf;

use audit::{AuditReader, LimitName, UsageFilter, UsagePoint};
use clap::Args;
use quota::forecast::{Filling, Forecast, Interval, Options, Outlook, Sample, forecast};
use serde::Serialize;
use time::OffsetDateTime;

use crate::Exit;
use crate::output::{Cell, Colour, Table, note};
use crate::written::{Form, Written};

const DAY: i64 = 86_400;

/// Arguments of `bailey quota forecast`.
#[derive(Debug, Args)]
pub struct ForecastArgs {
    /// The file that `bailey serve` keeps decisions and the use of budgets in
    #[arg(long, env = "BAILEY_AUDIT_DB", value_name = "FILE", default_value = "bailey-audit.db")]
    audit_db: PathBuf,
    /// Only this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Only this resource, such as requests.cpu
    #[arg(long)]
    resource: Option<String>,
    /// Only budgets that may be full by then, such as 30d or 12h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    within: Option<i64>,
    /// Judge from the samples of this time
    #[arg(long, value_name = "TIME", default_value = "14d", value_parser = duration)]
    over: i64,
    /// The form of the output
    #[arg(short, long, value_enum, default_value = "table")]
    output: Form,
}

/// A limit and what is to be expected of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    tenant: String,
    band: String,
    resource: String,
    used: f64,
    budget: f64,
    outlook: &'static str,
    /// RFC 3339, as the two below.
    earliest: Option<String>,
    full: Option<String>,
    latest: Option<String>,
    trend_per_day: Option<Trend>,
    samples: usize,
    span_seconds: i64,
    #[serde(skip)]
    outlook_text: String,
    /// When it may be full at the soonest, for order.
    #[serde(skip)]
    soonest: i64,
}

#[derive(Debug, Serialize)]
struct Trend {
    low: f64,
    middle: f64,
    high: f64,
}

pub(super) async fn run(args: &ForecastArgs, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let filter = UsageFilter {
        tenant: args.tenant.clone(),
        resource: args.resource.clone(),
        since: Some(now.saturating_sub(args.over)),
    };
    let found = AuditReader::open(&args.audit_db).await?.usage(&filter).await?;
    if found.is_empty() {
        note(
            "nothing is known of such budgets yet: `bailey serve` in a cluster writes how they stand from time to time",
        );
    }
    let mut lines: Vec<Line> = found.iter().map(|(limit, points)| line(limit, points, now)).collect();
    if let Some(within) = args.within {
        lines.retain(|line| line.soonest <= now.saturating_add(within));
    }
    lines.sort_by_key(|line| line.soonest);
    let names = lines.iter().map(Line::name).collect();
    Written { value: &lines, text: table(&lines, colour), names }.write(args.output, out)?;
    Ok(Exit::Done)
}

fn line(limit: &LimitName, points: &[UsagePoint], now: i64) -> Line {
    let sample = |point: &UsagePoint| Sample { at: point.at, used: point.used, bound: point.bound };
    let samples: Vec<Sample> = points.iter().map(sample).collect();
    let found = forecast(&samples, now, &Options::default());
    let (outlook, [earliest, full, latest]) = match found.outlook {
        Outlook::Full => ("full", [Some(now); 3]),
        Outlook::Filling(Filling { earliest, line, latest }) => ("filling", [earliest, line, latest]),
        Outlook::Unclear { earliest } => ("unclear", [earliest, None, None]),
        Outlook::NotFilling => ("not-filling", [None; 3]),
        Outlook::NotEnough => ("not-enough-samples", [None; 3]),
    };
    let trend = |trend: Interval| Trend { low: trend.low, middle: trend.middle, high: trend.high };
    Line {
        tenant: limit.tenant.clone(),
        band: limit.band.clone(),
        resource: limit.resource.clone(),
        used: found.used,
        budget: found.bound,
        outlook,
        earliest: earliest.and_then(rfc3339),
        full: full.and_then(rfc3339),
        latest: latest.and_then(rfc3339),
        trend_per_day: found.trend.map(trend),
        samples: found.samples,
        span_seconds: found.span,
        outlook_text: text(&found, now),
        soonest: earliest.unwrap_or(i64::MAX),
    }
}

/// What is to be expected, in words.
fn text(found: &Forecast, now: i64) -> String {
    let ahead = |at: Option<i64>| at.map_or_else(|| "years".to_owned(), |at| span(at.saturating_sub(now)));
    match found.outlook {
        Outlook::Full => "now".to_owned(),
        Outlook::Filling(Filling { earliest, line, latest }) => {
            format!("in {} ({} to {})", ahead(line), ahead(earliest), ahead(latest))
        }
        Outlook::Unclear { earliest } => format!("unclear, not before {}", ahead(earliest)),
        Outlook::NotFilling => "not by its trend".to_owned(),
        Outlook::NotEnough => "not enough samples".to_owned(),
    }
}

fn table(lines: &[Line], colour: bool) -> String {
    let headings = ["TENANT", "BAND", "RESOURCE", "USED", "BUDGET", "A DAY", "FULL", "SAMPLES"];
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            let day = line.trend_per_day.as_ref().map(|trend| {
                let sign = if trend.middle < 0.0 { "-" } else { "+" };
                format!("{sign}{}", amount(&line.resource, trend.middle.abs()))
            });
            let full = match line.outlook {
                "full" => Cell::coloured(&line.outlook_text, Colour::Bad),
                "filling" => Cell::coloured(&line.outlook_text, Colour::Doubtful),
                _ => Cell::plain(&line.outlook_text),
            };
            let samples = format!("{} over {}", line.samples, span(line.span_seconds));
            vec![
                Cell::plain(&line.tenant),
                Cell::plain(&line.band),
                Cell::plain(&line.resource),
                Cell::plain(amount(&line.resource, line.used)),
                Cell::plain(amount(&line.resource, line.budget)),
                Cell::plain(day.unwrap_or_default()),
                full,
                Cell::plain(samples),
            ]
        })
        .collect();
    Table::new(&headings, colour).render(&rows)
}

impl Line {
    fn name(&self) -> String {
        let parts = [&self.tenant, &self.band, &self.resource];
        parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("/")
    }
}

/// An amount of a resource for people: bytes with a binary suffix, everything else to three digits.
fn amount(resource: &str, amount: f64) -> String {
    if ["memory", "storage"].iter().any(|bytes| resource.ends_with(bytes)) {
        bytes(amount)
    } else {
        units(amount)
    }
}

/// Up to three digits behind the point.
pub(super) fn units(amount: f64) -> String {
    trimmed(&format!("{amount:.3}"))
}

/// Bytes with a binary suffix, and up to two digits behind the point.
pub(super) fn bytes(amount: f64) -> String {
    let (mut amount, mut suffix) = (amount, "");
    for larger in ["Ki", "Mi", "Gi", "Ti", "Pi"] {
        if amount.abs() < 1024.0 {
            break;
        }
        (amount, suffix) = (amount / 1024.0, larger);
    }
    trimmed(&format!("{amount:.2}")) + suffix
}

fn trimmed(number: &str) -> String {
    let number = number.trim_end_matches('0').trim_end_matches('.');
    if number == "-0" { "0".to_owned() } else { number.to_owned() }
}

/// A time for people: its largest unit, to two of them below a day.
pub(super) fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let of = |unit: i64| seconds.checked_div(unit).unwrap_or(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", of(60)),
        7_200..172_800 => format!("{}h", of(3_600)),
        172_800..63_072_000 => format!("{}d", of(DAY)),
        _ => format!("{}y", of(31_536_000)),
    }
}

/// Seconds of a text such as `12h`.
pub(super) fn duration(text: &str) -> Result<i64, String> {
    let seconds = [('m', 60), ('h', 3_600), ('d', DAY)]
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?.parse::<u32>().ok()?, seconds)))
        .map(|(count, seconds)| i64::from(count).saturating_mul(seconds));
    seconds
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| "give a time such as `90m`, `12h` or `30d`".to_owned())
}

fn rfc3339(at: i64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp(at).ok()?;
    time.format(&time::format_description::well_known::Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use audit::{AuditConfig, AuditMetrics, AuditSink, UsageRow};
    use clap::Parser;
    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;
    use crate::{Cli, Command};

    /// A store with three limits of a day until now: one fills by a Pod an hour, one stays, one is full.
    async fn stored() -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        let metrics = AuditMetrics::register(&mut prometheus_client::registry::Registry::default());
        let config = AuditConfig::new(directory.path().join("audit.db"));
        let (sink, task) = AuditSink::open(config, metrics).await.unwrap();
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let rows = (0..=24_i64).flat_map(|hour| {
            let row = move |tenant: &str, band: &str, resource: &str, used: f64, bound: f64| {
                let [tenant, band, resource] = [tenant, band, resource].map(str::to_owned);
                let at = now.saturating_sub(24_i64.saturating_sub(hour).saturating_mul(3600));
                UsageRow { at, limit: LimitName { tenant, band, resource }, used, bound }
            };
            let grown = f64::from(u8::try_from(hour).unwrap());
            [
                row("chemistry", "", "requests.memory", 3.0 * 1024.0 * 1024.0 * 1024.0, 1e13),
                row("physics", "batch", "pods", 10.0 + grown, 106.0),
                row("physics", "", "requests.cpu", 1.5, 1.5),
            ]
        });
        sink.usage(rows.collect());
        sink.flush().await;
        assert_eq!(task.shutdown(std::time::Duration::from_secs(60)).await, 0);
        directory
    }

    async fn run_with(directory: &TempDir, arguments: &[&str]) -> String {
        let path = directory.path().join("audit.db");
        let all = ["bailey", "quota", "forecast", "--audit-db", path.to_str().unwrap()];
        let cli = Cli::parse_from(all.iter().chain(arguments));
        let Command::Quota(command) = cli.command else { panic!("another command") };
        let mut out = Vec::new();
        super::super::quota::run(command, &mut out, false).await.unwrap();
        String::from_utf8(out).unwrap()
    }

    #[tokio::test]
    async fn budgets_are_shown_with_those_first_that_are_full_the_soonest() {
        let directory = stored().await;
        let expected = "\
TENANT     BAND   RESOURCE         USED  BUDGET  A DAY  FULL                 SAMPLES
physics    -      requests.cpu     1.5   1.5     +0     now                  25 over 24h
physics    batch  pods             34    106     +24    in 3d (3d to 3d)     25 over 24h
chemistry  -      requests.memory  3Gi   9.09Ti  +0     not by its trend     25 over 24h
";
        let text = run_with(&directory, &[]).await;
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        // A second may pass between writing and reading: three days are then a second less.
        let text = text.replace("2d (2d to 2d)", "3d (3d to 3d)");
        assert_eq!(plain(&text), plain(expected), "{text}");
    }

    #[tokio::test]
    async fn filters_narrow_and_json_has_the_interval() {
        let directory = stored().await;
        let lines = |text: &str| serde_json::from_str::<Vec<Value>>(text).unwrap();
        let within = lines(&run_with(&directory, &["--within", "30d", "-o", "json"]).await);
        assert_eq!(within.len(), 2);
        let hour = lines(&run_with(&directory, &["--within", "1h", "-o", "json"]).await);
        assert_eq!((hour.len(), &hour[0]["outlook"]), (1, &Value::from("full")));
        let physics = lines(&run_with(&directory, &["--tenant", "physics", "-o", "json"]).await);
        assert_eq!(physics.len(), 2);
        let pods = lines(&run_with(&directory, &["--resource", "pods", "-o", "json"]).await);
        assert_eq!((&pods[0]["outlook"], &pods[0]["samples"]), (&"filling".into(), &25.into()));
        assert!((pods[0]["trendPerDay"]["low"].as_f64().unwrap() - 24.0).abs() < 1e-6);
        for end in ["earliest", "full", "latest"] {
            assert!(pods[0][end].as_str().unwrap().ends_with('Z'), "{pods:?}");
        }
        assert_eq!(
            run_with(&directory, &["--tenant", "physics", "-o", "name"]).await,
            "physics/requests.cpu\nphysics/batch/pods\n"
        );
        assert_eq!(run_with(&directory, &["--tenant", "nobody", "-o", "json"]).await, "[]\n");
        let short =
            lines(&run_with(&directory, &["--over", "90m", "-o", "json", "--resource", "pods"]).await);
        assert_eq!(short[0]["outlook"], "not-enough-samples");
    }

    #[test]
    fn amounts_and_times_are_for_people() {
        for (resource, number, text) in [
            ("requests.cpu", 0.25, "0.25"),
            ("pods", 100.0, "100"),
            ("pods", -0.0001, "0"),
            ("limits.memory", 1_610_612_736.0, "1.5Gi"),
            ("gold.storageclass.storage.k8s.io/requests.storage", 512.0, "512"),
        ] {
            assert_eq!(amount(resource, number), text);
        }
        for (seconds, text) in [
            (-5, "0s"),
            (119, "119s"),
            (3_600, "60m"),
            (86_400, "24h"),
            (172_800, "2d"),
            (i64::MAX, "292471208677y"),
        ] {
            assert_eq!(span(seconds), text);
        }
        assert_eq!((duration("90m"), duration("30d")), (Ok(5_400), Ok(2_592_000)));
        for bad in ["", "30", "0d", "-1d", "1w", "99999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
