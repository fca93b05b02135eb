//! What does a decision pay to be kept, and how many records does the store take per second?
//!
//! `cargo bench -p audit`. The first figure is the price on the request path; the second is the
//! sustained rate of the one writer, on the disk that holds the temporary directory.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a bench may fail")]

use std::time::{Duration, Instant};

use audit::{AuditConfig, AuditMetrics, AuditSink, LossReason};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::{Enforcement, Finding, GroupVersionKind, Operation, PolicyUse, Record, StageTimes};
use prometheus_client::registry::Registry;

const BATCH: u64 = 2_000;

fn record() -> Record {
    let policy = |number: u32| PolicyUse {
        binding: format!("pods-need-label-{number}").into(),
        policy: "required-labels".into(),
        version: "3:0123456789ab".into(),
        micros: 12,
        failure: None,
        failure_message: None,
    };
    Record {
        id: uuid::Uuid::now_v7().to_string(),
        time_micros: 1_700_000_000_000_000,
        phase: "validate".into(),
        uid: "705ab4f5-6393-11e8-b7cc-42010a800002".into(),
        username: "system:serviceaccount:team-a:deployer".into(),
        groups: vec!["system:serviceaccounts".into(), "system:authenticated".into()],
        tenant: None,
        operation: Some(Operation::Create),
        kind: GroupVersionKind { group: String::new(), version: "v1".into(), kind: "Pod".into() },
        sub_resource: String::new(),
        namespace: "team-a".into(),
        name: "web-1".into(),
        dry_run: false,
        allowed: false,
        code: "policy_denied".into(),
        message: "required-labels: label `owner` is missing at metadata.labels, add it".into(),
        patched: false,
        policies: (0..25).map(policy).collect(),
        findings: vec![Finding {
            binding: "pods-need-label-1".into(),
            policy: "required-labels".into(),
            enforcement: Enforcement::Deny,
            code: "missing".into(),
            message: "label `owner` is missing at metadata.labels, add it".into(),
            path: "metadata.labels".into(),
            details: serde_json::Map::new(),
            exceptions: false,
            exception: None,
        }],
        times: StageTimes::default(),
    }
}

fn sink(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = AuditConfig::new(directory.path().join("audit.db"));
    let metrics = AuditMetrics::register(&mut Registry::default());
    let (sink, task) = runtime.block_on(AuditSink::open(config, metrics.clone())).unwrap();

    let mut group = criterion.benchmark_group("audit");
    group.bench_function("record", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for round in 0..rounds {
                // Made just before, as on the request path: its memory is warm.
                let record = record();
                let started = Instant::now();
                sink.record(record);
                spent += started.elapsed();
                // Not part of the figure: the queue must never be full, or the price of losing is measured.
                if round % BATCH == BATCH - 1 {
                    runtime.block_on(sink.flush());
                }
            }
            runtime.block_on(sink.flush());
            spent
        });
    });
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("written", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                let records: Vec<_> = (0..BATCH).map(|_| record()).collect();
                let started = Instant::now();
                records.into_iter().for_each(|record| sink.record(record));
                runtime.block_on(sink.flush());
                spent += started.elapsed();
            }
            spent
        });
    });
    group.finish();
    assert_eq!(runtime.block_on(task.shutdown(Duration::from_secs(60))), 0);
    assert_eq!(LossReason::ALL.map(|reason| metrics.lost(reason)), [0; 3]);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(5));
    targets = sink
}
criterion_main!(benches);
