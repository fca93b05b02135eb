//! A store without room: losses are counted, nothing stops, and room brings it back.

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
use std::process::Command;
use std::time::Duration;

use audit::{AuditConfig, AuditMetrics, AuditReader, AuditSink, Filter, LossReason};
use model::Record;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use support::{LONG, config, flush, open, refusal};

const QUEUE: usize = 50;

fn large() -> Record {
    Record { message: "x".repeat(2_000), ..refusal() }
}

/// Records until the store refuses to write and the queue is full; returns how many were recorded.
async fn fill(sink: &AuditSink, metrics: &AuditMetrics) -> u64 {
    let mut recorded = 0;
    while metrics.lost(LossReason::StoreFailed) == 0 {
        sink.record(large());
        recorded += 1;
        // A full queue is waited for, so that only the store's refusal makes it overflow.
        if sink.waiting() == QUEUE {
            let _ = tokio::time::timeout(Duration::from_millis(100), sink.flush()).await;
        }
        assert!(recorded < 100_000, "the store never filled up");
    }
    recorded
}

async fn fills_and_recovers(config: AuditConfig, make_room: impl AsyncFnOnce() -> u64) {
    let path = config.path.clone();
    let (sink, task, metrics) = open(AuditConfig { queue_records: QUEUE, ..config }).await;
    let mut recorded = fill(&sink, &metrics).await;
    assert_eq!(sink.waiting(), QUEUE);
    // The daemon goes on: what comes now is counted, at once.
    (0..7).for_each(|_| sink.record(large()));
    recorded += 7;
    let lost = metrics.lost(LossReason::StoreFailed);
    assert!(lost >= 8);
    let deleted = make_room().await;
    flush(&sink).await;
    sink.record(large());
    recorded += 1;
    assert_eq!(task.shutdown(LONG).await, 0);
    assert_eq!(metrics.written() + lost, recorded);
    assert_eq!(metrics.lost(LossReason::QueueFull), 0);
    let mut reader = AuditReader::open(&path).await.unwrap();
    let kept = reader.tail(&Filter { limit: u32::MAX, ..Filter::default() }).await.unwrap();
    assert_eq!(u64::try_from(kept.len()).unwrap() + deleted, metrics.written());
}

async fn delete_half(path: &Path) -> u64 {
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let half = "DELETE FROM record WHERE seq % 2 = 0";
    sqlx::query(half).execute(&mut connection).await.unwrap().rows_affected()
}

#[tokio::test]
async fn a_store_at_its_limit_counts_and_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let config = AuditConfig { hard_limit_bytes: Some(1 << 20), ..config(directory.path()) };
    let path = config.path.clone();
    fills_and_recovers(config, async || delete_half(&path).await).await;
}

/// The same on a file system that really is full.
#[tokio::test]
#[ignore = "needs root: mounts a file system of 2 MiB"]
async fn a_full_disk_counts_and_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let mount = |arguments: &[&str]| {
        let outcome = Command::new(arguments[0]).args(&arguments[1..]).arg(directory.path()).status();
        assert!(outcome.unwrap().success(), "{arguments:?}");
    };
    mount(&["mount", "-t", "tmpfs", "-o", "size=2m", "none"]);
    let ballast = directory.path().join("ballast");
    std::fs::write(&ballast, vec![0; 512 << 10]).unwrap();
    fills_and_recovers(config(directory.path()), async || {
        std::fs::remove_file(&ballast).unwrap();
        0
    })
    .await;
    mount(&["umount"]);
}
