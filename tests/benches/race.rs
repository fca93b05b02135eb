//! Question: how do budgets of Bailey and plain ResourceQuotas fare under the same creators, in the same run: what is let
//! in, what is refused although there was room, what reaches clients as a conflict, and is a budget ever passed?
//!
//! `cargo xtask race`; `--help` has what can be set.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use kube::api::PostParams;
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::json;
use tests::race::{Outcome, Race, populate};
use tests::{ADMIN, Passage, Replicas, Standalone, World};
use xtask::daemon::{self, Policies};

#[derive(Debug, Deserialize)]
struct Settings {
    tenants: usize,
    namespaces: usize,
    creators: usize,
    replicas: usize,
    budget: usize,
    deletes: u64,
    seconds: u64,
    faults: Vec<String>,
    release: bool,
    native: bool,
}

impl Settings {
    fn has(&self, fault: &str) -> bool {
        self.faults.iter().any(|one| one == fault)
    }

    fn race(&self, prefix: &str, budget: usize) -> Race {
        Race {
            prefix: prefix.to_owned(),
            tenants: self.tenants,
            namespaces: self.namespaces,
            creators: self.creators,
            budget,
            deletes: self.deletes,
            time: Duration::from_secs(self.seconds),
            mixed: self.has("mixed"),
            native: self.native,
        }
    }
}

fn main() {
    // `cargo bench` passes flags of its own.
    let Some(text) = std::env::args().find(|argument| argument.starts_with('{')) else {
        println!("run by `cargo xtask race`");
        return;
    };
    let settings: Settings = serde_json::from_str(&text).expect("what `cargo xtask race` passes");
    let profile = if settings.release { "release" } else { "debug" };
    let world = World::start_binary(&daemon::built(profile).expect("a built binary"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    println!("{settings:?}");
    println!(
        "| run | created | a second | refused | of those with room | 409 | name taken | denied | failed | most | p50 | p99 |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let passage = runtime.block_on(Passage::to_api_server(&world));
    let mut replicas = Replicas::start_with(&world, settings.replicas, |number, replica| {
        if number == 1 && settings.has("silence") {
            replica.policies = Policies::Cluster(passage.kubeconfig().to_owned());
        }
    });
    let client = runtime.block_on(world.client(ADMIN));
    for (name, budget) in [("nothing full", 1_000_000), ("full", settings.budget)] {
        let plain = settings.race(if budget == settings.budget { "plain" } else { "plainfree" }, budget);
        runtime.block_on(native(&client, &plain));
        show(&format!("ResourceQuota, {name}"), &plain, &runtime.block_on(plain.run(&client)));
        let ours = settings.race(if budget == settings.budget { "race" } else { "racefree" }, budget);
        runtime.block_on(populate(&world, &ours, settings.replicas));
        let outcome =
            with_faults(&settings, &world, &mut replicas, &passage, || runtime.block_on(ours.run(&client)));
        show(&format!("Bailey, {name}"), &ours, &outcome);
        assert!(outcome.most <= ours.budget, "a budget was passed");
    }
    for port in replicas.http_ports() {
        let (_, metrics) = xtask::http::get(port, "/metrics").expect("metrics");
        let lines = metrics.lines().filter(|line| {
            [
                "bailey_quota_requests",
                "bailey_quota_share",
                "bailey_quota_wait_seconds_",
                "bailey_quota_grant",
            ]
            .iter()
            .any(|name| line.starts_with(name))
        });
        println!("{}", lines.collect::<Vec<_>>().join("  "));
    }
}

/// Namespaces of no tenant, each with its part of the budget as a ResourceQuota.
async fn native(client: &Client, race: &Race) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for tenant in 0..race.tenants {
        for number in 0..race.namespaces {
            let name = race.namespace(tenant, number);
            let object = json!({"metadata": {"name": name}});
            let object = serde_json::from_value(object).expect("a namespace");
            namespaces.create(&PostParams::default(), &object).await.expect("a namespace");
            // One more for Kubernetes' own ConfigMap.
            let hard = race.budget / race.namespaces + 1;
            let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), &name);
            let quota =
                json!({"metadata": {"name": "part"}, "spec": {"hard": {"configmaps": hard.to_string()}}});
            let quota = serde_json::from_value(quota).expect("a quota");
            quotas.create(&PostParams::default(), &quota).await.expect("a quota");
            tests::until("the quota is counted", async || {
                let found = quotas.get("part").await.expect("the quota");
                found.status.and_then(|status| status.used).is_some_and(|used| !used.is_empty())
            })
            .await;
        }
    }
}

/// Runs with what goes wrong beside it.
fn with_faults(
    settings: &Settings,
    world: &World,
    replicas: &mut Replicas<'_>,
    passage: &Passage,
    run: impl FnOnce() -> Outcome,
) -> Outcome {
    let denier = settings.has("deny").then(|| deny(world));
    let stop = Arc::new(AtomicBool::new(false));
    let outcome = std::thread::scope(|scope| {
        let ended = Arc::clone(&stop);
        let faults = scope.spawn(move || {
            while !ended.load(Ordering::Acquire) {
                disturb(settings, world, replicas, passage);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let outcome = run();
        stop.store(true, Ordering::Release);
        faults.join().expect("the faults");
        outcome
    });
    if denier.is_some() {
        world
            .access()
            .run(&["delete", "validatingwebhookconfiguration", "denier"])
            .expect("the webhook goes");
    }
    outcome
}

/// Each of the faults once, one after the other.
fn disturb(settings: &Settings, world: &World, replicas: &mut Replicas<'_>, passage: &Passage) {
    let more = settings.replicas > 1;
    let pause = |seconds| std::thread::sleep(Duration::from_secs(seconds));
    if settings.has("kill") && more {
        pause(3);
        replicas.crash(1);
    }
    if settings.has("pause") && more {
        pause(3);
        let pid = replicas.pid(settings.replicas - 1).to_string();
        signal("-STOP", &pid);
        pause(2);
        signal("-CONT", &pid);
    }
    for (fault, component) in [("api-server", "kube-apiserver"), ("controllers", "kube-controller-manager")] {
        if settings.has(fault) {
            pause(8);
            world.crash(component);
            world.revive(component);
        }
    }
    if settings.has("silence") && more {
        pause(10);
        passage.fall_silent();
    }
}

fn signal(signal: &str, pid: &str) {
    std::process::Command::new("kill").args([signal, pid]).status().expect("kill");
}

/// Another webhook, asked at the same time as Bailey, that refuses names which end in 7.
fn deny(world: &World) -> Standalone {
    let policy = r#"
apiVersion: bailey.dev/v1alpha1
kind: Policy
metadata: {name: no-sevens}
spec:
  messages: {seven: "it ends in 7"}
  rego:
    source: |
      package no_sevens

      violation contains {"code": "seven"} if endswith(input.review.object.metadata.name, "7")
---
apiVersion: bailey.dev/v1alpha1
kind: PolicyBinding
metadata: {name: no-sevens}
spec:
  policy: no-sevens
  match:
    resources: [{apiGroups: [""], kinds: [ConfigMap]}]
"#;
    let denier =
        Standalone::start(|folder| std::fs::write(folder.join("deny.yaml"), policy).expect("a file"));
    let port = denier.settings.webhook_port;
    let authority = std::fs::read(&denier.authority).expect("the authority");
    xtask::install::denier(world.access(), port, &authority).expect("the webhook");
    denier
}

fn show(name: &str, race: &Race, outcome: &Outcome) {
    let Outcome { created, refused, falsely, taken, conflicts, denied, failed, most, times, fault } = outcome;
    println!(
        "| {name} | {created} | {:.0} | {refused} | {falsely} | {conflicts} | {taken} | {denied} | {failed} | {most} | {:.1?} | {:.1?} |",
        *created as f64 / race.time.as_secs_f64(),
        times.0,
        times.1
    );
    if !fault.is_empty() {
        println!("  the last fault: {fault}");
    }
}
