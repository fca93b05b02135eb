//! Reading beside the writer, and files that are no store.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

mod support;

use std::path::Path;
use std::time::Duration;

use audit::{AuditReader, Filter, ReadError};
use model::{GroupVersionKind, Record};
use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use support::{LONG, config, flush, open, record, refusal};

const INTERVAL: Duration = Duration::from_millis(20);

fn with_id(id: &str) -> Record {
    Record { id: id.into(), ..record() }
}

#[tokio::test]
async fn an_id_or_the_start_of_one_finds_its_record() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, _task, _) = open(config(directory.path())).await;
    let (first, second) = ("019470f2-0000-7000-8000-000000000001", "019470f2-0000-7000-8000-000000000002");
    for id in [first, second, "019470f3-0000-7000-8000-000000000003"] {
        sink.record(with_id(id));
    }
    flush(&sink).await;
    let mut reader = AuditReader::open(&directory.path().join("audit.db")).await.unwrap();

    assert_eq!(reader.get(second).await.unwrap().record.id, second);
    assert_eq!(reader.get(" 019470F3 ").await.unwrap().seq, 3);
    match reader.get("019470f2").await {
        Err(ReadError::Ambiguous { candidates, .. }) => assert_eq!(candidates, [first, second]),
        other => panic!("{other:?}"),
    }
    assert!(matches!(reader.get("019470ff").await, Err(ReadError::NotFound { .. })));
    for bad in ["", "019470f", "019470f2%", "'; DROP TABLE record", &"0".repeat(37)] {
        assert!(matches!(reader.get(bad).await, Err(ReadError::IdInvalid { .. })), "{bad}");
    }
}

#[tokio::test]
async fn the_start_of_an_id_finds_what_is_one_tenants_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, _task, _) = open(config(directory.path())).await;
    let (first, second) = ("019470f2-0000-7000-8000-000000000001", "019470f2-0000-7000-8000-000000000002");
    for (id, tenant) in [(first, Some("physics")), (second, Some("chemistry")), ("019470f2-ff", None)] {
        sink.record(Record { tenant: tenant.map(str::to_owned), ..with_id(id) });
    }
    flush(&sink).await;
    let mut reader = AuditReader::open(&directory.path().join("audit.db")).await.unwrap();

    let mut ids = async |id, tenant| -> Vec<String> {
        let found = reader.find(id, tenant).await.unwrap();
        found.into_iter().map(|entry| entry.record.id).collect()
    };
    assert_eq!(ids("019470f2", Some("physics")).await, [first]);
    assert_eq!(ids("019470f2", Some("chemistry")).await, [second]);
    assert_eq!(ids(second, Some("physics")).await, [""; 0]);
    assert_eq!(ids("019470f2", Some("")).await, ["019470f2-ff"]);
    assert_eq!(ids("019470f2", None).await, [first, second, "019470f2-ff"]);
    assert!(matches!(reader.find("019470f", Some("physics")).await, Err(ReadError::IdInvalid { .. })));
}

#[tokio::test]
async fn filters_let_through_what_fits_all_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, _task, _) = open(config(directory.path())).await;
    let mut other_policy = record();
    other_policy.policies[0].policy = "no-latest".into();
    let secret = GroupVersionKind { group: String::new(), version: "v1".into(), kind: "Secret".into() };
    let records = [
        refusal(),
        Record { namespace: "team-b".into(), ..refusal() },
        Record { username: "o'hara".into(), ..record() },
        Record { kind: secret, ..record() },
        other_policy,
        Record { time_micros: 1_800_000_000_000_000, ..record() },
        Record { tenant: Some("physics".into()), ..record() },
    ];
    records.into_iter().for_each(|record| sink.record(record));
    flush(&sink).await;
    let mut reader = AuditReader::open(&directory.path().join("audit.db")).await.unwrap();

    let text = |text: &str| Some(text.to_owned());
    let cases = [
        (Filter::default(), vec![1, 2, 3, 4, 5, 6, 7]),
        (Filter { tenant: text("physics"), ..Filter::default() }, vec![7]),
        (Filter { limit: 2, ..Filter::default() }, vec![6, 7]),
        (Filter { denied: true, ..Filter::default() }, vec![1, 2]),
        (Filter { denied: true, namespace: text("team-b"), ..Filter::default() }, vec![2]),
        (Filter { user: text("o'hara"), ..Filter::default() }, vec![3]),
        (Filter { kind: text("secret"), ..Filter::default() }, vec![4]),
        (Filter { policy: text("no-latest"), ..Filter::default() }, vec![5]),
        (Filter { since: Some(1_800_000_000_000_000), ..Filter::default() }, vec![6]),
        (Filter { policy: text("absent"), ..Filter::default() }, vec![]),
    ];
    for (filter, expected) in cases {
        let found: Vec<_> = reader.tail(&filter).await.unwrap().iter().map(|entry| entry.seq).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn a_follower_sees_every_new_record_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.db");
    let (sink, _task, _) = open(config(directory.path())).await;
    sink.record(record());
    flush(&sink).await;
    let filter = Filter { denied: true, limit: 2, ..Filter::default() };
    let mut follow = AuditReader::open(&path).await.unwrap().follow(filter, INTERVAL).await.unwrap();
    for _ in 0..5 {
        sink.record(refusal());
        sink.record(record());
    }
    let mut seen = Vec::new();
    while seen.len() < 5 {
        let entries = tokio::time::timeout(LONG, follow.next()).await.unwrap().unwrap();
        assert!(entries.len() <= 2);
        seen.extend(entries.iter().map(|entry| entry.seq));
    }
    assert_eq!(seen, [2, 4, 6, 8, 10]);
    assert!(tokio::time::timeout(INTERVAL * 3, follow.next()).await.is_err());

    std::fs::rename(&path, directory.path().join("aside.db")).unwrap();
    sink.record(refusal());
    flush(&sink).await;
    let entries = tokio::time::timeout(LONG, follow.next()).await.unwrap().unwrap();
    assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_store_whose_daemon_has_ended_is_read_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.db");
    let (sink, task, _) = open(config(directory.path())).await;
    sink.record(record());
    task.shutdown(LONG).await;
    let before = std::fs::read(&path).unwrap();
    let mut reader = AuditReader::open(&path).await.unwrap();
    assert_eq!(reader.tail(&Filter::default()).await.unwrap().len(), 1);
    drop(reader);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn what_is_no_store_is_said_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.db");
    assert!(matches!(AuditReader::open(&path).await, Err(ReadError::Missing { .. })));
    assert!(matches!(AuditReader::open(directory.path()).await, Err(ReadError::NotAStore { .. })));
    for content in [String::new(), "not a database, but long enough to be looked at".repeat(50)] {
        std::fs::write(&path, content).unwrap();
        let outcome = AuditReader::open(&path).await;
        assert!(matches!(outcome, Err(ReadError::NotAStore { .. })), "{outcome:?}");
    }
    std::fs::remove_file(&path).unwrap();
    let (_, task, _) = open(config(directory.path())).await;
    task.shutdown(LONG).await;
    pragma(&path, "PRAGMA user_version = 99").await;
    let error = AuditReader::open(&path).await.unwrap_err().to_string();
    assert!(error.starts_with("the audit store has schema version 99, this version reads 3"), "{error}");
    pragma(&path, "PRAGMA user_version = 0").await;
    assert!(matches!(AuditReader::open(&path).await, Err(ReadError::TooOld { found: 0 })));
    pragma(&path, "PRAGMA application_id = 7").await;
    assert!(matches!(AuditReader::open(&path).await, Err(ReadError::NotAStore { .. })));
}

#[tokio::test]
async fn a_store_of_the_first_version_is_brought_up_to_date_and_keeps_its_records() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.db");
    let (sink, task, _) = open(config(directory.path())).await;
    sink.record(record());
    task.shutdown(LONG).await;
    pragma(&path, "DROP TABLE usage; DROP INDEX record_tenant; PRAGMA user_version = 1").await;
    assert!(matches!(AuditReader::open(&path).await, Err(ReadError::TooOld { found: 1 })));
    let (sink, task, _) = open(config(directory.path())).await;
    sink.record(Record { tenant: Some("physics".into()), ..record() });
    task.shutdown(LONG).await;
    let mut reader = AuditReader::open(&path).await.unwrap();
    assert_eq!(reader.tail(&Filter::default()).await.unwrap().len(), 2);
    let of_tenant = Filter { tenant: Some("physics".into()), ..Filter::default() };
    assert_eq!(reader.tail(&of_tenant).await.unwrap().len(), 1);
    // The index is there again: making it once more fails.
    pragma(&path, "DROP INDEX record_tenant").await;
}

async fn pragma(path: &Path, sql: &'static str) {
    let mut connection: SqliteConnection =
        SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
}
