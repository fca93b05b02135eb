//! What is kept, what is counted as lost, and that the two make up everything.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use audit::{AuditConfig, AuditReader, AuditSink, Filter, LossReason, StoreError};
use model::Record;
use support::{LONG, config, flush, open, record, refusal};

fn everything() -> Filter {
    Filter { limit: 1_000_000, ..Filter::default() }
}

#[tokio::test]
async fn a_record_is_read_back_whole() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, task, metrics) = open(config(directory.path())).await;
    let kept = refusal();
    sink.record(kept.clone());
    flush(&sink).await;

    let path = directory.path().join("audit.db");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let entry = AuditReader::open(&path).await.unwrap().get(&kept.id).await.unwrap();
    assert_eq!((entry.seq, entry.record), (1, kept));
    assert_eq!((metrics.written(), sink.waiting()), (1, 0));
    assert_eq!(task.shutdown(LONG).await, 0);
}

// The tests of exact counts run on one thread, where the writer cannot run between two records.

#[tokio::test]
async fn what_the_queue_cannot_hold_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, task, metrics) = open(AuditConfig { queue_records: 10, ..config(directory.path()) }).await;
    (0..15).for_each(|_| sink.record(record()));
    assert_eq!((sink.waiting(), metrics.lost(LossReason::QueueFull)), (10, 5));
    flush(&sink).await;
    sink.record(record());
    assert_eq!(task.shutdown(LONG).await, 0);
    assert_eq!((metrics.written(), metrics.lost(LossReason::QueueFull)), (11, 5));
}

#[tokio::test]
async fn bytes_are_bounded_too() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, _task, metrics) = open(AuditConfig { queue_bytes: 10_000, ..config(directory.path()) }).await;
    sink.record(Record { message: "x".repeat(20_000), ..refusal() });
    assert_eq!((sink.waiting(), metrics.lost(LossReason::QueueFull)), (0, 1));
    sink.record(refusal());
    assert_eq!((sink.waiting(), metrics.lost(LossReason::QueueFull)), (1, 1));
}

#[tokio::test]
async fn a_record_after_shutdown_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, task, metrics) = open(config(directory.path())).await;
    (0..600).for_each(|_| sink.record(record()));
    assert_eq!(task.shutdown(LONG).await, 0);
    sink.record(record());
    assert_eq!((metrics.written(), metrics.lost(LossReason::Shutdown)), (600, 1));
    sink.flush().await;
}

#[tokio::test]
async fn a_shutdown_that_cannot_write_says_how_many_are_lost() {
    use sqlx::Connection;
    let directory = tempfile::tempdir().unwrap();
    let (sink, task, metrics) = open(config(directory.path())).await;
    let mut other = raw(directory.path().join("audit.db").as_path()).await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    (0..3).for_each(|_| sink.record(record()));
    assert_eq!(task.shutdown(Duration::from_millis(100)).await, 3);
    assert_eq!((metrics.written(), metrics.lost(LossReason::Shutdown), sink.waiting()), (0, 3, 0));
    lock.rollback().await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_locked_at_the_start_is_opened_later() {
    use sqlx::Connection;
    let directory = tempfile::tempdir().unwrap();
    let mut other = raw(directory.path().join("audit.db").as_path()).await;
    let lock = other.begin_with("BEGIN EXCLUSIVE").await.unwrap();
    let (sink, task, metrics) = open(config(directory.path())).await;
    sink.record(record());
    lock.rollback().await.unwrap();
    flush(&sink).await;
    assert_eq!((task.shutdown(LONG).await, metrics.written()), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_many_threads_every_record_is_kept_or_counted() {
    const EACH: u64 = 3_000;
    let directory = tempfile::tempdir().unwrap();
    let (sink, task, metrics) = open(AuditConfig { queue_records: 500, ..config(directory.path()) }).await;
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let sink = sink.clone();
            std::thread::spawn(move || (0..EACH).for_each(|_| sink.record(record())))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(task.shutdown(LONG).await, 0);
    assert_eq!(metrics.written() + metrics.lost(LossReason::QueueFull), 4 * EACH);
    let mut reader = AuditReader::open(&directory.path().join("audit.db")).await.unwrap();
    let kept = reader.tail(&everything()).await.unwrap();
    assert_eq!(u64::try_from(kept.len()).unwrap(), metrics.written());
}

#[tokio::test]
async fn order_is_the_order_of_writing_whatever_the_clock_says_and_ids_are_unique() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, _task, _) = open(config(directory.path())).await;
    let times = [30, 20, 10];
    let records: Vec<_> = times.map(|time_micros| Record { time_micros, ..record() }).into();
    records.iter().chain(&records).for_each(|record| sink.record(record.clone()));
    flush(&sink).await;
    let mut reader = AuditReader::open(&directory.path().join("audit.db")).await.unwrap();
    let kept: Vec<_> = reader.tail(&everything()).await.unwrap();
    assert_eq!(kept.iter().map(|entry| entry.record.time_micros).collect::<Vec<_>>(), times);
}

#[tokio::test]
async fn a_store_that_is_moved_away_is_begun_anew_and_keeps_what_it_had() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.db");
    let (sink, task, _) = open(config(directory.path())).await;
    let (before, after) = (record(), record());
    sink.record(before.clone());
    flush(&sink).await;
    let aside = directory.path().join("aside.db");
    std::fs::rename(&path, &aside).unwrap();
    sink.record(after.clone());
    flush(&sink).await;
    assert_eq!(task.shutdown(LONG).await, 0);
    for (path, id) in [(aside, before.id), (path, after.id)] {
        let kept = AuditReader::open(&path).await.unwrap().tail(&everything()).await.unwrap();
        assert_eq!(
            kept.iter().map(|entry| &entry.record.id).collect::<Vec<_>>(),
            [&id],
            "{}",
            path.display()
        );
    }
}

#[tokio::test]
async fn a_damaged_store_holds_nobody_up_and_is_left_once_it_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.db");
    let (sink, task, metrics) = open(AuditConfig { queue_records: 4, ..config(directory.path()) }).await;
    let garbage = directory.path().join("garbage");
    std::fs::write(&garbage, "x".repeat(10_000)).unwrap();
    std::fs::rename(&garbage, &path).unwrap();
    (0..4).for_each(|_| sink.record(record()));
    assert!(tokio::time::timeout(Duration::from_millis(200), sink.flush()).await.is_err());
    (0..3).for_each(|_| sink.record(record()));
    assert_eq!((metrics.lost(LossReason::StoreFailed), sink.waiting()), (3, 4));
    std::fs::remove_file(&path).unwrap();
    flush(&sink).await;
    assert_eq!(task.shutdown(LONG).await, 0);
    assert_eq!(metrics.written(), 4);
}

#[tokio::test]
async fn another_programs_file_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.db");
    let metrics = audit::AuditMetrics::register(&mut prometheus_client::registry::Registry::default());
    let mut other = raw(&path).await;
    sqlx::raw_sql("CREATE TABLE theirs (a)").execute(&mut other).await.unwrap();
    let before = std::fs::read(&path).unwrap();
    let outcome = AuditSink::open(config(directory.path()), metrics.clone()).await;
    assert!(matches!(outcome, Err(StoreError::NotAStore { .. })), "{outcome:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let nowhere = AuditConfig::new(directory.path().join("absent/audit.db"));
    let error = AuditSink::open(nowhere, metrics).await.unwrap_err().to_string();
    assert!(error.contains("absent/audit.db` cannot be opened: No such file or directory"), "{error}");
}

async fn raw(path: &std::path::Path) -> sqlx::SqliteConnection {
    use sqlx::ConnectOptions;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    options.connect().await.unwrap()
}
