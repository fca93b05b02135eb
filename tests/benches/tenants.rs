//! Questions, about a cluster with 2,000 tenants and 10,000 namespaces:
//! 1. How long does Bailey (release) take to give all of them their walls from nothing, beside an API server and
//!    etcd on the same machine, and how much memory does it take at most?
//! 2. How long until a restarted Bailey is ready over them, and what does it write?
//! 3. How long until a changed Tenant has reached all of its namespaces?
//!
//! `cargo xtask bench tenants`; `BAILEY_BENCH_TENANTS=200` for a smaller cluster.

#[path = "support/crowd.rs"]
mod crowd;
#[path = "support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tests::{ADMIN, World};

use crowd::NAMESPACES_EACH;

const CHANGES: usize = 200;
/// How long the cluster has to be quiet before it counts as settled.
const QUIET: Duration = Duration::from_secs(10);
/// What only Bailey writes.
const OWN: [&str; 5] = ["networkpolicies", "rolebindings", "clusterroles", "clusterrolebindings", "tenants"];

fn main() {
    let tenants =
        std::env::var("BAILEY_BENCH_TENANTS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000);
    let world = World::start_binary(&support::release_binary());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    world.stop_bailey();
    world.remove_webhooks();
    let client = runtime.block_on(world.client(ADMIN));
    let started = Instant::now();
    runtime.block_on(crowd::populate(&client, tenants));
    println!(
        "{tenants} tenants, {} namespaces; made in {:.0?}",
        tenants * NAMESPACES_EACH,
        started.elapsed()
    );

    let started = Instant::now();
    world.start_bailey();
    runtime.block_on(until_standing(&client, tenants * NAMESPACES_EACH));
    let (took, written) = (started.elapsed(), writes(&world));
    println!(
        "1. all walls stand after {took:.1?}: {written} writes, {:.0} a second",
        written as f64 / took.as_secs_f64()
    );
    settle(&world);
    println!("   most memory: {} MiB resident", crowd::peak_mib(world.bailey.pid()));

    let before = writes(&world);
    let started = Instant::now();
    world.restart_bailey();
    println!("2. ready {:.1?} after a restart was asked for", started.elapsed());
    settle(&world);
    println!(
        "   writes after it: {}; most memory: {} MiB resident",
        writes(&world) - before,
        crowd::peak_mib(world.bailey.pid())
    );

    let mut times = runtime.block_on(changes(&client, tenants));
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!(
        "3. a new member has rights in all {NAMESPACES_EACH} namespaces after p50 {:.0?}, p99 {:.0?}, at most {:.0?} ({CHANGES} changes)",
        at(50),
        at(99),
        at(100)
    );
}

async fn until_standing(client: &Client, all: usize) {
    let api: Api<Namespace> = Api::all(client.clone());
    let standing = ListParams::default().labels("bailey.dev/walls=standing");
    while api.list_metadata(&standing).await.expect("namespaces are listed").items.len() < all {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Writes that the API server answered, of what only Bailey writes.
fn writes(world: &World) -> u64 {
    let output = world.kubectl(ADMIN, &["get", "--raw", "/metrics"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let counted = text.lines().filter(|line| {
        line.starts_with("apiserver_request_total{")
            && ["APPLY", "PATCH", "POST", "PUT", "DELETE"]
                .iter()
                .any(|verb| line.contains(&format!("verb=\"{verb}\"")))
            && OWN.iter().any(|name| line.contains(&format!("resource=\"{name}\"")))
    });
    counted.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
}

/// Waits until nothing is written for a while.
fn settle(world: &World) {
    let (mut last, mut since) = (writes(world), Instant::now());
    while since.elapsed() < QUIET {
        std::thread::sleep(Duration::from_secs(1));
        let now = writes(world);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}

/// How long each change took until every namespace had it.
async fn changes(client: &Client, tenants: usize) -> Vec<Duration> {
    let api = crowd::tenant_api(client);
    let mut times = Vec::new();
    for change in 0..CHANGES {
        let number = change * 7 % tenants;
        let name = format!("t{number}");
        let members = json!([
            {"kind": "User", "name": format!("owner-{number}"), "role": "owner"},
            {"kind": "User", "name": format!("new-{change}"), "role": "viewer"},
        ]);
        let patch = Patch::Merge(json!({"spec": {"members": members}}));
        let started = Instant::now();
        api.patch(&name, &PatchParams::default(), &patch).await.expect("the tenant is changed");
        for space in 0..NAMESPACES_EACH {
            let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), &format!("{name}-{space}"));
            while bindings.get_opt("bailey-viewers").await.expect("an answer").is_none() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        times.push(started.elapsed());
    }
    times
}
