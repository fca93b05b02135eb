//! New versions under load: every answer is that of the old version or of the new one, never another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use kube::api::PostParams;
use tests::{Namespace, World, refusal, required_label};

const SWAPS: usize = 12;
const CLIENTS: usize = 4;

struct Load {
    stop: AtomicBool,
    asked: AtomicUsize,
}

/// Asks about a pod which every version allows and one which every version refuses, until told to stop.
async fn ask(namespace: Arc<Namespace>, load: Arc<Load>) {
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let good = namespace.pod("good", &[("a", "1"), ("b", "1")]);
    let bad = namespace.pod("bad", &[("c", "1")]);
    let pods = namespace.pods();
    while !load.stop.load(Ordering::Relaxed) {
        if let Err(error) = pods.create(&dry, &good).await {
            panic!("a pod that every version allows was refused: {error}");
        }
        let refused = refusal(pods.create(&dry, &bad).await);
        assert_eq!(refused.reason, "policy_denied", "{}", refused.message);
        let by_version = refused.message.matches("` is missing").count();
        assert_eq!(by_version, 1, "two versions answered: {}", refused.message);
        load.asked.fetch_add(1, Ordering::Relaxed);
    }
}

/// The version under test: the rule has the label in its text, so that both objects change together.
fn version(name: &str, label: &str) -> String {
    required_label(name, name, "unused", "deny")
        .replace("label := input.parameters.label", &format!("label := \"{label}\""))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wrong_answer_while_versions_change() {
    let namespace = Arc::new(World::shared().namespace("swap").await);
    namespace.policies(&version(&namespace.name, "a")).await;
    let load = Arc::new(Load { stop: AtomicBool::new(false), asked: AtomicUsize::new(0) });
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| tokio::spawn(ask(Arc::clone(&namespace), Arc::clone(&load)))).collect();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    for round in 0..SWAPS {
        let (wanted, other) = if round % 2 == 0 { ("b", "a") } else { ("a", "b") };
        let before = load.asked.load(Ordering::Relaxed);
        namespace.policies(&version(&namespace.name, wanted)).await;
        // Ready means decided with: from now on only the new version may answer.
        let pods = namespace.pods();
        pods.create(&dry, &namespace.pod("new", &[(wanted, "1")])).await.unwrap();
        let refused = refusal(pods.create(&dry, &namespace.pod("old", &[(other, "1")])).await);
        assert!(refused.message.contains(&format!("label `{wanted}` is missing")), "{}", refused.message);
        let progress =
            async || load.asked.load(Ordering::Relaxed) > before || clients.iter().any(|c| c.is_finished());
        tests::until("the load goes on", progress).await;
    }
    load.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!(load.asked.load(Ordering::Relaxed) >= SWAPS);
}
