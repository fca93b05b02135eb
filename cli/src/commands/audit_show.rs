use std::io::Write;

use audit::AuditReader;
use clap::Args;
use model::{Record, StageTimes};

use super::audit::{OutputForm, StoreArgs};
use crate::Exit;
use crate::output::{Cell, Table, fields, instant, object, verdict};

/// Arguments of `bailey audit show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The decision's id as the refusal shows it, or its first 8 characters or more
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) async fn run(args: &ShowArgs, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    let entry = AuditReader::open(&args.store.audit_db).await?.get(&args.id).await?;
    match args.store.output {
        OutputForm::Table => out.write_all(render(&entry.record, colour).as_bytes())?,
        OutputForm::Json => writeln!(out, "{}", serde_json::to_string(&entry.record)?)?,
    }
    Ok(Exit::Done)
}

/// The whole record, for a person.
pub(crate) fn render(record: &Record, colour: bool) -> String {
    let mut text = head(record, colour);
    if !record.policies.is_empty() {
        text.push_str("\npolicies asked\n");
        text.push_str(&policies(record, colour));
    }
    if !record.findings.is_empty() {
        text.push_str("\nfindings\n");
        text.push_str(&findings(record, colour));
    }
    text.push_str("\ntime by stage\n");
    text.push_str(&times(&record.times, colour));
    text
}

fn head(record: &Record, colour: bool) -> String {
    let operation = record.operation.map_or("-", model::Operation::as_str);
    let code = if record.code.is_empty() { String::new() } else { format!(" ({})", record.code) };
    let sub_resource = if record.sub_resource.is_empty() { "" } else { "/" };
    let dry_run = if record.dry_run { ", dry run" } else { "" };
    let changed = if record.patched { "yes" } else { "no" };
    let request = format!("{operation} {}{sub_resource}{}{dry_run}", object(record), record.sub_resource);
    fields(
        &[
            ("id", Cell::plain(&record.id)),
            ("time", Cell::plain(instant(record.time_micros))),
            ("verdict", verdict(record).followed_by(&code)),
            ("message", Cell::plain(&record.message)),
            ("request", Cell::plain(request)),
            ("user", Cell::plain(&record.username)),
            ("groups", Cell::plain(record.groups.join(", "))),
            ("tenant", Cell::plain(record.tenant.as_deref().unwrap_or_default())),
            ("phase", Cell::plain(&record.phase)),
            ("changed", Cell::plain(changed)),
            ("review uid", Cell::plain(&record.uid)),
        ],
        colour,
    )
}

fn policies(record: &Record, colour: bool) -> String {
    let rows: Vec<_> = record
        .policies
        .iter()
        .map(|used| {
            let outcome = match (&used.failure, &used.failure_message) {
                (None, _) => "answered".to_owned(),
                (Some(code), None) => format!("failed ({code})"),
                (Some(code), Some(message)) => format!("failed ({code}): {message}"),
            };
            let micros = format!("{} µs", used.micros);
            [&*used.binding, &*used.policy, &*used.version, micros.as_str(), outcome.as_str()]
                .map(Cell::plain)
                .into()
        })
        .collect();
    Table::new(&["BINDING", "POLICY", "VERSION", "TIME", "OUTCOME"], colour).render(&rows)
}

fn findings(record: &Record, colour: bool) -> String {
    let rows: Vec<_> = record
        .findings
        .iter()
        .map(|finding| {
            let enforcement = match finding.enforcement {
                model::Enforcement::Deny => "deny",
                model::Enforcement::Warn => "warn",
                model::Enforcement::Audit => "audit",
            };
            let details = match finding.details.is_empty() {
                true => String::new(),
                false => serde_json::to_string(&finding.details).unwrap_or_default(),
            };
            let effect = match &finding.exception {
                Some(exception) => format!("{enforcement}, but for the exception {exception}"),
                None => enforcement.to_owned(),
            };
            let texts = [&effect, &finding.binding, &finding.code, &finding.path, &finding.message, &details];
            texts.map(Cell::plain).into()
        })
        .collect();
    Table::new(&["EFFECT", "BINDING", "CODE", "PATH", "MESSAGE", "DETAILS"], colour).render(&rows)
}

fn times(times: &StageTimes, colour: bool) -> String {
    let stages = [
        ("decode", times.decode),
        ("queue", times.queue),
        ("matching", times.matching),
        ("evaluate", times.evaluate),
        ("total", times.total),
    ];
    fields(&stages.map(|(stage, micros)| (stage, Cell::plain(format!("{micros} µs")))), colour)
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use audit::{AuditConfig, AuditMetrics, AuditSink, ReadError};
    use clap::Parser;
    use model::{Enforcement, Finding, GroupVersionKind, Operation, PolicyUse};
    use tempfile::TempDir;

    use super::*;
    use crate::{Cli, Command};

    /// A Pod refused by one policy while another one failed.
    pub(in crate::commands) fn refused() -> Record {
        let failure = Some("policy_timeout".to_owned());
        let used = |binding: &str, policy: &str, failure: Option<String>| PolicyUse {
            binding: binding.into(),
            policy: policy.into(),
            version: "3:0123456789ab".into(),
            micros: 42,
            failure_message: failure.as_ref().map(|_| "it ran longer than 100 ms".into()),
            failure,
        };
        let details = serde_json::Map::from_iter([("label".to_owned(), "owner".into())]);
        Record {
            id: "019470f2-0000-7000-8000-000000000001".into(),
            time_micros: 1_769_860_800_250_000,
            phase: "validate".into(),
            uid: "705ab4f5".into(),
            username: "ada".into(),
            groups: vec!["dev".into(), "system:authenticated".into()],
            tenant: None,
            operation: Some(Operation::Create),
            kind: GroupVersionKind { group: String::new(), version: "v1".into(), kind: "Pod".into() },
            sub_resource: String::new(),
            namespace: "team-a".into(),
            name: "web".into(),
            dry_run: false,
            allowed: false,
            code: "policy_denied".into(),
            message: "required-labels: label `owner` is missing".into(),
            patched: false,
            policies: vec![
                used("pods-need-owner", "required-labels", None),
                used("slow", "slow-policy", failure),
            ],
            findings: vec![Finding {
                binding: "pods-need-owner".into(),
                policy: "required-labels".into(),
                enforcement: Enforcement::Deny,
                code: "missing".into(),
                message: "label `owner` is missing".into(),
                path: "metadata.labels".into(),
                details,
                exceptions: false,
                exception: None,
            }],
            times: StageTimes { decode: 10, queue: 2, matching: 3, evaluate: 85, total: 100 },
        }
    }

    /// A dry-run update of a Deployment that nobody minds.
    pub(in crate::commands) fn allowed() -> Record {
        Record {
            id: "019470f2-0000-7000-8000-000000000002".into(),
            time_micros: 1_769_860_801_000_000,
            username: "bob".into(),
            operation: Some(Operation::Update),
            kind: GroupVersionKind { group: "apps".into(), version: "v1".into(), kind: "Deployment".into() },
            name: "api".into(),
            dry_run: true,
            allowed: true,
            code: String::new(),
            message: String::new(),
            policies: Vec::new(),
            findings: Vec::new(),
            ..refused()
        }
    }

    /// A folder whose `audit.db` holds these records.
    pub(in crate::commands) async fn stored(records: &[Record]) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        let metrics = AuditMetrics::register(&mut prometheus_client::registry::Registry::default());
        let config = AuditConfig {
            retention: audit::Retention { max_age: None, max_bytes: None },
            ..AuditConfig::new(directory.path().join("audit.db"))
        };
        let (sink, task) = AuditSink::open(config, metrics).await.unwrap();
        records.iter().for_each(|record| sink.record(record.clone()));
        assert_eq!(task.shutdown(Duration::from_secs(60)).await, 0);
        directory
    }

    #[test]
    fn a_refusal_is_shown_whole() {
        let expected = "\
id          019470f2-0000-7000-8000-000000000001
time        2026-01-31T12:00:00.250Z
verdict     denied (policy_denied)
message     required-labels: label `owner` is missing
request     CREATE v1 Pod team-a/web
user        ada
groups      dev, system:authenticated
tenant      -
phase       validate
changed     no
review uid  705ab4f5

policies asked
BINDING          POLICY           VERSION         TIME   OUTCOME
pods-need-owner  required-labels  3:0123456789ab  42 µs  answered
slow             slow-policy      3:0123456789ab  42 µs  failed (policy_timeout): it ran longer than 100 ms

findings
EFFECT  BINDING          CODE     PATH             MESSAGE                   DETAILS
deny    pods-need-owner  missing  metadata.labels  label `owner` is missing  {\"label\":\"owner\"}

time by stage
decode    10 µs
queue     2 µs
matching  3 µs
evaluate  85 µs
total     100 µs
";
        assert_eq!(render(&refused(), false), expected);
    }

    #[test]
    fn what_an_exception_covers_is_shown_with_its_name() {
        let mut record = refused();
        record.findings[0].exception = Some("owner-x7k2p".to_owned());
        assert!(render(&record, false).contains("deny, but for the exception owner-x7k2p"));
    }

    #[test]
    fn what_a_user_wrote_cannot_steer_the_terminal() {
        let record = Record { name: "a\u{1b}[2Jb\n\u{202e}c".into(), ..refused() };
        let text = render(&record, true);
        assert!(text.contains("v1 Pod team-a/a\\u{1b}[2Jb\\n\\u{202e}c"), "{text}");
    }

    #[tokio::test]
    async fn what_is_not_found_has_its_exit_code() {
        let directory = stored(&[refused(), allowed()]).await;
        let path = directory.path().join("audit.db");
        let show = async |id: &str, path: &str| {
            let Command::Audit(command) =
                Cli::try_parse_from(["bailey", "audit", "show", id, "--audit-db", path]).unwrap().command
            else {
                panic!("not audit")
            };
            super::super::audit::run(command, &mut Vec::new(), false).await
        };
        let path = path.to_str().unwrap();
        assert_eq!(show("019470f2-0000-7000-8000-000000000001", path).await.unwrap(), Exit::Done);
        let exit = async |id, path| Exit::of(&show(id, path).await.unwrap_err());
        assert_eq!(exit("ffffffff", path).await, Exit::NotFound);
        assert_eq!(exit("019470f2", path).await, Exit::Usage);
        assert_eq!(exit("web", path).await, Exit::Usage);
        assert_eq!(exit("ffffffff", "absent.db").await, Exit::NotFound);
        let ambiguous = show("019470f2", path).await.unwrap_err().downcast::<ReadError>().unwrap();
        assert!(
            ambiguous.to_string().ends_with("000000000001, 019470f2-0000-7000-8000-000000000002"),
            "{ambiguous}"
        );
    }
}
