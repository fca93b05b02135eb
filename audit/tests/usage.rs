//! How limits stood: kept once, read back by limit, and gone when old.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

mod support;

use std::path::Path;
use std::time::Duration;

use audit::{AuditConfig, AuditReader, LimitName, Retention, UsageFilter, UsagePoint, UsageRow};
use support::{LONG, config, flush, open, record};

fn limit(tenant: &str, band: &str, resource: &str) -> LimitName {
    LimitName { tenant: tenant.into(), band: band.into(), resource: resource.into() }
}

fn row(at: i64, tenant: &str, used: f64) -> UsageRow {
    UsageRow { at, limit: limit(tenant, "", "pods"), used, bound: 10.0 }
}

async fn read(directory: &Path, filter: &UsageFilter) -> Vec<(LimitName, Vec<UsagePoint>)> {
    let mut reader = AuditReader::open(&directory.join("audit.db")).await.unwrap();
    reader.usage(filter).await.unwrap().into_iter().collect()
}

#[tokio::test]
async fn what_is_written_is_read_back_by_limit_and_time() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, task, metrics) = open(config(directory.path())).await;
    let cpu = UsageRow { limit: limit("physics", "batch", "cpu"), used: 0.25, ..row(600, "", 0.0) };
    sink.usage(vec![row(1200, "physics", 2.0), row(600, "physics", 1.0), cpu, row(600, "chemistry", 3.0)]);
    flush(&sink).await;

    let point = |at, used| UsagePoint { at, used, bound: 10.0 };
    let all = [
        (limit("chemistry", "", "pods"), vec![point(600, 3.0)]),
        (limit("physics", "", "pods"), vec![point(600, 1.0), point(1200, 2.0)]),
        (limit("physics", "batch", "cpu"), vec![point(600, 0.25)]),
    ];
    assert_eq!(read(directory.path(), &UsageFilter::default()).await, all);
    let tenant = UsageFilter { tenant: Some("physics".into()), ..UsageFilter::default() };
    assert_eq!(read(directory.path(), &tenant).await, all[1..]);
    let resource = UsageFilter { resource: Some("cpu".into()), ..UsageFilter::default() };
    assert_eq!(read(directory.path(), &resource).await, all[2..]);
    let since = UsageFilter { since: Some(601), ..UsageFilter::default() };
    assert_eq!(
        read(directory.path(), &since).await,
        [(limit("physics", "", "pods"), vec![point(1200, 2.0)])]
    );
    assert_eq!((metrics.usage(), task.shutdown(LONG).await), ((4, 0), 0));
}

#[tokio::test]
async fn of_one_limit_and_time_the_first_row_is_kept_whoever_writes() {
    let directory = tempfile::tempdir().unwrap();
    let (first, _first_task, _) = open(config(directory.path())).await;
    let (second, _second_task, _) = open(config(directory.path())).await;
    first.usage(vec![row(600, "physics", 1.0)]);
    flush(&first).await;
    second.usage(vec![row(600, "physics", 2.0), row(1200, "physics", 3.0)]);
    flush(&second).await;
    let found = read(directory.path(), &UsageFilter::default()).await;
    let used: Vec<_> = found[0].1.iter().map(|point| point.used).collect();
    assert_eq!(used, [1.0, 3.0]);
}

#[tokio::test]
async fn more_than_a_page_is_read_whole() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, _task, _) = open(config(directory.path())).await;
    sink.usage((0..6_001).flat_map(|at| [row(at, "a", 1.0), row(at, "b", 2.0)]).collect());
    flush(&sink).await;
    let found = read(directory.path(), &UsageFilter::default()).await;
    for (_, points) in &found {
        let times: Vec<_> = points.iter().map(|point| point.at).collect();
        assert_eq!(times, (0..6_001).collect::<Vec<_>>());
    }
    assert_eq!(found.len(), 2);
}

#[tokio::test]
async fn what_is_no_number_or_too_much_is_counted_as_lost() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, task, metrics) = open(config(directory.path())).await;
    sink.usage(vec![row(1, "a", f64::NAN), row(1, "b", f64::INFINITY), row(1, "c", 1.0)]);
    flush(&sink).await;
    assert_eq!(metrics.usage(), (1, 2));
    sink.usage((0..100_001).map(|at| row(at, "a", 1.0)).collect());
    flush(&sink).await;
    assert_eq!(metrics.usage(), (1, 100_003));
    assert_eq!(task.shutdown(LONG).await, 0);
    sink.usage(vec![row(2, "a", 1.0)]);
    assert_eq!(metrics.usage(), (1, 100_004));
}

#[tokio::test]
async fn rows_that_cannot_be_written_are_counted_and_records_are_written_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, _task, metrics) = open(config(directory.path())).await;
    let path = directory.path().join("audit.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::raw_sql("DROP TABLE usage").execute(&mut connection).await.unwrap();
    sink.usage(vec![row(1, "a", 1.0)]);
    sink.record(record());
    flush(&sink).await;
    sink.record(record());
    flush(&sink).await;
    assert_eq!((metrics.usage(), metrics.written()), ((0, 1), 2));
}

#[tokio::test]
async fn what_is_old_or_too_many_goes_moment_by_moment() {
    let directory = tempfile::tempdir().unwrap();
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let retention = Retention { max_age: Some(Duration::from_secs(3600)), max_bytes: None };
    let limits = AuditConfig { retention, usage_rows: 5, ..config(directory.path()) };
    let (sink, task, _) = open(config(directory.path())).await;
    let rows = |at: i64| [row(now.saturating_sub(at), "a", 1.0), row(now.saturating_sub(at), "b", 1.0)];
    sink.usage([7200, 5400, 400, 300, 200, 100].into_iter().flat_map(rows).collect());
    assert_eq!(task.shutdown(LONG).await, 0);

    // It looks when it starts, and goes on until nothing is too much.
    let (sink, _task, _) = open(limits).await;
    let deadline = tokio::time::Instant::now().checked_add(LONG).unwrap();
    loop {
        flush(&sink).await;
        let found = read(directory.path(), &UsageFilter::default()).await;
        let times: Vec<_> = found[0].1.iter().map(|point| now.saturating_sub(point.at)).collect();
        if times == [200, 100] {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{times:?} are left");
    }
}
