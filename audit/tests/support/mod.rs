//! Records and stores for the tests of this crate.

#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::path::Path;
use std::time::Duration;

use audit::{AuditConfig, AuditMetrics, AuditSink, AuditTask, Retention};
use model::{GroupVersionKind, Operation, PolicyUse, Record, StageTimes};
use prometheus_client::registry::Registry;

/// Longer than any test may take; nothing waits for it to pass.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// An allowed Pod of a user, with an id of its own.
pub(crate) fn record() -> Record {
    Record {
        id: uuid::Uuid::now_v7().to_string(),
        time_micros: 1_700_000_000_000_000,
        phase: "validate".into(),
        uid: "u".into(),
        username: "ada".into(),
        groups: vec!["system:authenticated".into()],
        tenant: None,
        operation: Some(Operation::Create),
        kind: GroupVersionKind { group: String::new(), version: "v1".into(), kind: "Pod".into() },
        sub_resource: String::new(),
        namespace: "team-a".into(),
        name: "web".into(),
        dry_run: false,
        allowed: true,
        code: String::new(),
        message: String::new(),
        patched: false,
        policies: vec![PolicyUse {
            binding: "pods-need-owner".into(),
            policy: "required-labels".into(),
            version: "1:0123456789ab".into(),
            micros: 40,
            failure: None,
            failure_message: None,
        }],
        findings: Vec::new(),
        times: StageTimes::default(),
    }
}

/// A refusal of such a Pod.
pub(crate) fn refusal() -> Record {
    let message = "required-labels: label `owner` is missing".into();
    Record { allowed: false, code: "policy_denied".into(), message, ..record() }
}

/// A store without retention in this directory.
pub(crate) fn config(directory: &Path) -> AuditConfig {
    AuditConfig {
        retention: Retention { max_age: None, max_bytes: None },
        hard_limit_bytes: None,
        batch_age: Duration::from_millis(5),
        ..AuditConfig::new(directory.join("audit.db"))
    }
}

/// Opens a sink with figures of its own.
pub(crate) async fn open(config: AuditConfig) -> (AuditSink, AuditTask, AuditMetrics) {
    let metrics = AuditMetrics::register(&mut Registry::default());
    let (sink, task) = AuditSink::open(config, metrics.clone()).await.unwrap();
    (sink, task, metrics)
}

/// Waits for the writer, but not for ever.
pub(crate) async fn flush(sink: &AuditSink) {
    tokio::time::timeout(LONG, sink.flush()).await.expect("the store takes what waits");
}
