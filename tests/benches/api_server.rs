//! Question: what does Bailey cost whoever creates Pods through a real API server?
//!
//! The same Pods (four containers) are created by the same user over the same eight connections: without a
//! webhook, with Bailey and no policy, and with 25 matching Rego bindings. API server, etcd, Bailey (release)
//! and the load share the machine. The rows take turns, several rounds in one run; each figure is the median
//! of its rounds.
//!
//! `cargo xtask bench api_server`

#[path = "support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};
use tests::{Namespace, World, until};

const CREATES: usize = 400;
const CONNECTIONS: usize = 8;
const ROUNDS: usize = 5;

/// One row of the table.
struct Row {
    name: &'static str,
    webhooks: bool,
    bindings: usize,
    rounds: Vec<Round>,
}

/// What one round of a row measured.
struct Round {
    per_second: f64,
    p50: f64,
    p99: f64,
}

fn main() {
    let world = World::start_binary(&support::release_binary());
    let mut rows =
        [("no webhook", false, 0), ("bailey, no policy", true, 0), ("bailey, 25 bindings", true, 25)]
            .map(|(name, webhooks, bindings)| Row { name, webhooks, bindings, rounds: Vec::new() });
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let namespace = world.namespace("bench").await;
        // The first round of each row warms up.
        for round in 0..=ROUNDS {
            for row in &mut rows {
                prepare(&world, &namespace, row).await;
                let measured = creates(&namespace).await;
                if round > 0 {
                    row.rounds.push(measured);
                }
            }
        }
    });
    println!("{CREATES} creates of a Pod over {CONNECTIONS} connections, medians of {ROUNDS} rounds\n");
    println!("{:<22} {:>10} {:>9} {:>9}", "row", "creates/s", "p50 ms", "p99 ms");
    for row in &rows {
        let figure = |of: fn(&Round) -> f64| median(row.rounds.iter().map(of).collect());
        let (rate, p50, p99) = (figure(|r| r.per_second), figure(|r| r.p50), figure(|r| r.p99));
        println!("{:<22} {rate:>10.0} {p50:>9.1} {p99:>9.1}", row.name);
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Puts the row's webhooks and policies in force, and waits until a create shows it.
async fn prepare(world: &World, namespace: &Namespace, row: &Row) {
    let yaml = support::documents(&support::library(25));
    if row.bindings > 0 {
        world.install_webhooks();
        namespace.policies(&yaml).await;
    } else {
        for object in tests::documents(&yaml).iter().rev() {
            let _absent_before = namespace.admin.delete(object).await;
        }
        if row.webhooks { world.install_webhooks() } else { world.remove_webhooks() }
    }
    // The 25 bindings want the label `owner`, which this Pod lacks.
    let mut bare = pod(namespace, 1);
    bare.metadata.labels = None;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    until("the row is in force", async || {
        let before = world.bailey.reviews();
        let refused = namespace.pods().create(&dry, &bare).await.is_err();
        let asked = world.bailey.reviews() > before;
        refused == (row.bindings > 0) && asked == row.webhooks
    })
    .await;
}

/// Creates the Pods, times each, and takes them away again.
async fn creates(namespace: &Namespace) -> Round {
    let pods = namespace.pods();
    let pod = Arc::new(pod(namespace, 4));
    let start = Instant::now();
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (pods, pod) = (pods.clone(), Arc::clone(&pod));
            tokio::spawn(async move {
                let mut latencies = Vec::with_capacity(CREATES / CONNECTIONS);
                for _ in 0..CREATES / CONNECTIONS {
                    let start = Instant::now();
                    pods.create(&PostParams::default(), &pod).await.expect("the Pod is created");
                    latencies.push(start.elapsed());
                }
                latencies
            })
        })
        .collect();
    let mut latencies: Vec<Duration> = Vec::with_capacity(CREATES);
    for task in tasks {
        latencies.extend(task.await.expect("a connection's work"));
    }
    let elapsed = start.elapsed();
    latencies.sort_unstable();
    remove_all(&pods).await;
    Round {
        per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
        p50: support::millis(latencies[latencies.len() / 2]),
        p99: support::millis(latencies[latencies.len() * 99 / 100]),
    }
}

async fn remove_all(pods: &Api<Pod>) {
    let now = DeleteParams::default().grace_period(0);
    until("the Pods are gone", async || {
        let _retried = pods.delete_collection(&now, &ListParams::default()).await;
        pods.list(&ListParams::default().limit(1)).await.is_ok_and(|list| list.items.is_empty())
    })
    .await;
}

/// The Pod of a sample review, as a user would send it.
fn pod(namespace: &Namespace, containers: usize) -> Pod {
    let mut review: Value = serde_json::from_slice(&support::review(containers)).expect("JSON");
    let mut object = review["request"]["object"].take();
    let labels = object["metadata"]["labels"].take();
    let annotations = object["metadata"]["annotations"].take();
    object["metadata"] = json!({
        "generateName": "web-", "namespace": namespace.name, "labels": labels, "annotations": annotations,
    });
    object["spec"]["serviceAccountName"] = json!("default");
    serde_json::from_value(object).expect("a Pod")
}
