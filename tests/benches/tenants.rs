//! Questions, about a cluster with 2,000 tenants and 10,000 namespaces:
//! 1. How long does Bailey (release) take to give all of them their walls from nothing, beside an API server and
//!    etcd on the same machine, and how much memory does it take at most?
//! 2. How long until a restarted Bailey is ready over them, and what does it write?
//! 3. How long until a changed Tenant has reached all of its namespaces?
//!
//! `cargo xtask bench tenants`; `BAILEY_BENCH_TENANTS=200` for a smaller cluster.

#[path = "support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};
use tests::{ADMIN, World};

const NAMESPACES_EACH: usize = 5;
const WRITERS: usize = 16;
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
    runtime.block_on(populate(&client, tenants));
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
    println!("   most memory: {} MiB resident", peak_mib(&world));

    let before = writes(&world);
    let started = Instant::now();
    world.restart_bailey();
    println!("2. ready {:.1?} after a restart was asked for", started.elapsed());
    settle(&world);
    println!(
        "   writes after it: {}; most memory: {} MiB resident",
        writes(&world) - before,
        peak_mib(&world)
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

fn tenant_api(client: &Client) -> Api<DynamicObject> {
    let resource =
        kube::api::ApiResource::from_gvk(&GroupVersionKind::gvk("bailey.dev", "v1alpha1", "Tenant"));
    Api::all_with(client.clone(), &resource)
}

async fn populate(client: &Client, tenants: usize) {
    let (tenant_api, namespaces) = (tenant_api(client), Api::<Namespace>::all(client.clone()));
    let each = futures::stream::iter(0..tenants).map(|number| {
        let (tenant_api, namespaces) = (tenant_api.clone(), namespaces.clone());
        async move {
            let tenant = json!({
                "apiVersion": "bailey.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": format!("t{number}")},
                "spec": {"members": [
                    {"kind": "User", "name": format!("owner-{number}"), "role": "owner"},
                    {"kind": "Group", "name": format!("group-{number}"), "role": "editor"},
                ]},
            });
            create(&tenant_api, tenant).await;
            for space in 0..NAMESPACES_EACH {
                create(&namespaces, json!({
                    "apiVersion": "v1", "kind": "Namespace",
                    "metadata": {"name": format!("t{number}-{space}"), "labels": {"bailey.dev/tenant": format!("t{number}")}},
                }))
                .await;
            }
        }
    });
    each.buffer_unordered(WRITERS).collect::<Vec<()>>().await;
}

async fn create<K>(api: &Api<K>, object: Value)
where
    K: serde::de::DeserializeOwned + serde::Serialize + Clone + std::fmt::Debug,
{
    let object: K = serde_json::from_value(object).expect("a good object");
    api.create(&PostParams::default(), &object).await.expect("the object is created");
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

/// The most resident memory of the running process, as the kernel kept it.
fn peak_mib(world: &World) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.bailey.pid())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.split_whitespace().next().and_then(|text| text.parse::<u64>().ok()).expect("a number") / 1_024
}

/// How long each change took until every namespace had it.
async fn changes(client: &Client, tenants: usize) -> Vec<Duration> {
    let api = tenant_api(client);
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
