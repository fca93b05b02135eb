//! A writer that is killed: what it said was written is there, once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use audit::{AuditReader, Filter};
use support::{LONG, config, flush, open, record};

const DIRECTORY: &str = "AUDIT_CRASH_DIRECTORY";

/// Not a test by itself: the process that [`what_was_confirmed_survives_a_kill`] starts and kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started and killed by another test"]
async fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let (sink, _task, _) = open(config(Path::new(&directory))).await;
    loop {
        let ids: Vec<_> = (0..50)
            .map(|_| {
                let record = record();
                let id = record.id.clone();
                sink.record(record);
                id
            })
            .collect();
        flush(&sink).await;
        let mut lines: String = ids.iter().map(|id| format!("id={id}\n")).collect();
        lines.push_str("confirmed\n");
        std::io::stdout().write_all(lines.as_bytes()).unwrap();
        // Some more that are under way when the kill comes.
        (0..20).for_each(|_| sink.record(record()));
    }
}

#[tokio::test]
async fn what_was_confirmed_survives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut confirmed = Vec::new();
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pending = Vec::new();
        let mut batches = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            match line.strip_prefix("id=") {
                Some(id) => pending.push(id.to_owned()),
                None if line == "confirmed" => {
                    confirmed.append(&mut pending);
                    batches += 1;
                    if batches == 10 * round {
                        child.kill().unwrap();
                    }
                }
                None => {}
            }
        }
        child.wait().unwrap();
        assert!(batches >= 10 * round);
    }

    // The next writer recovers the store, and goes on with it.
    let (sink, task, _) = open(config(directory.path())).await;
    sink.record(record());
    assert_eq!(task.shutdown(LONG).await, 0);
    let mut reader = AuditReader::open(&directory.path().join("audit.db")).await.unwrap();
    let everything = Filter { limit: u32::MAX, ..Filter::default() };
    let mut times_kept = BTreeMap::<String, usize>::new();
    for entry in reader.tail(&everything).await.unwrap() {
        *times_kept.entry(entry.record.id).or_default() += 1;
    }
    assert!(confirmed.len() >= 10 * 50);
    for id in &confirmed {
        assert_eq!(times_kept.get(id), Some(&1), "{id}");
    }
}
