//! Questions, of a gateway (release) before a real API server with 2,000 tenants and 10,000 namespaces:
//! 1. How much longer is a GET through it than one to the API server, at 1,000 a second?
//! 2. How many GETs pass in a second at most, and how much processor time does each take, there and here?
//! 3. How long does the list of a user's five namespaces take, with 300 groups, beside a GET of the API server?
//! 4. How much memory do many open watches take, and does each hear of a change?
//!
//! Load, gateway, API server and etcd share the machine. Rows that are compared take turns in one run.
//!
//! `cargo xtask bench gateway`; `BAILEY_BENCH_TENANTS=200` for a smaller cluster, `BAILEY_BENCH_WATCHES=1000`.

#[path = "support/crowd.rs"]
mod crowd;
#[path = "support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use reqwest::Client;
use serde_json::{Value, json};
use tests::gateway::Gateway;
use tests::issuer::{Issuer, Signer};
use tests::{ADMIN, ALICE, Objects, World, https_client, until};
use tokio::time::MissedTickBehavior;

const ROUNDS: usize = 5;
/// Requests of a round at a fixed rate, and the rate.
const REQUESTS: u32 = 5_000;
const PER_SECOND: u32 = 1_000;
/// Connections, each with one request after the other where there is no rate.
const CONNECTIONS: usize = 8;
const FULL: Duration = Duration::from_secs(5);
const LISTS: usize = 300;
/// Of one connection: the gateway takes 250.
const WATCHES_EACH: usize = 200;

const GET: &str = "/api/v1/namespaces/shop-0/configmaps/one";

fn main() {
    let number =
        |name: &str, usual| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (tenants, watches) = (number("BAILEY_BENCH_TENANTS", 2_000), number("BAILEY_BENCH_WATCHES", 10_000));
    // The guard of the control plane ends it with this process.
    let world: &'static World = Box::leak(Box::new(World::start_binary(&support::release_binary())));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        // What is measured is no webhook's, and walls around 10,000 namespaces take minutes.
        world.stop_bailey();
        world.remove_webhooks();
        set_up(world, tenants).await;
        let signer = Signer::new("bench");
        let issuer = Issuer::start(world, &signer).await;
        let gateway = start(world, &issuer);
        let bench = Bench::new(world, &gateway, &issuer, &signer);
        bench.until_allowed().await;
        bench.at_a_rate().await;
        bench.in_full(&gateway).await;
        bench.lists().await;
        bench.watches(world, &gateway, watches).await;
    });
}

/// Many tenants, and alice's with five namespaces, in which she may read, and an object to read.
async fn set_up(world: &World, tenants: usize) {
    let client = world.client(ADMIN).await;
    crowd::populate(&client, tenants).await;
    let admin = Objects::new(client);
    let members = json!([
        {"kind": "User", "name": "alice", "role": "owner"}, {"kind": "Group", "name": "corp:staff", "role": "editor"},
    ]);
    let tenant = json!({
        "apiVersion": "bailey.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": "shop"}, "spec": {"members": members},
    });
    admin.apply(&tenant).await.expect("the tenant");
    for number in 0..crowd::NAMESPACES_EACH {
        let labels = json!({"bailey.dev/tenant": "shop"});
        let name = format!("shop-{number}");
        let space =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        admin.apply(&space).await.expect("the namespace");
    }
    let user = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice"});
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "alice", "namespace": "shop-0"}, "subjects": [user],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
    });
    admin.apply(&binding).await.expect("her rights");
    admin.apply(&object("one", "first")).await.expect("an object");
    println!("{tenants} tenants with {} namespaces", tenants * crowd::NAMESPACES_EACH);
}

fn object(name: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop-0"},
        "data": {"value": value},
    })
}

/// A gateway without rates, which trusts the issuer.
fn start(world: &'static World, issuer: &Issuer) -> Gateway {
    let trusted = json!({
        "url": issuer.url, "certificateAuthorityFile": world.access().authority(), "audiences": ["bailey"],
        "username": {"claim": "sub", "prefix": "corp:"}, "groups": {"claim": "groups", "prefix": "corp:"},
        "algorithms": ["ES256"],
    });
    let file = world.access().folder().join("issuers.yaml");
    std::fs::write(&file, json!({"issuers": [trusted]}).to_string()).expect("the file of issuers");
    // A class that is not named has no limit.
    let limits = ["--gateway-rates=exec=1:1", "--gateway-requests=100000", "--gateway-streams=100000"];
    let file = format!("--gateway-issuers={}", file.display());
    Gateway::start_in(world, "bench", &[&limits[..], &[&file]].concat())
}

/// A way to the API server, with who asks.
struct Way {
    name: &'static str,
    url: String,
    token: String,
    clients: Vec<Client>,
}

impl Way {
    fn get(&self, client: usize, path: &str) -> reqwest::RequestBuilder {
        self.clients[client % self.clients.len()].get(format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    /// How long an answer takes, with its body; `None` where there were too many requests.
    async fn try_time(&self, client: usize, path: &str, since: Instant) -> Option<Duration> {
        let answer = self.get(client, path).send().await.expect("an answer");
        let status = answer.status();
        assert!(status == 200 || status == 429, "{}: {path}: {status}", self.name);
        answer.bytes().await.expect("its body");
        (status == 200).then(|| since.elapsed())
    }

    /// The same where there are never too many.
    async fn time(&self, client: usize, path: &str) -> Duration {
        self.try_time(client, path, Instant::now()).await.expect("a few requests are let in")
    }
}

struct Bench {
    direct: Way,
    through: Way,
    /// Somebody in 300 groups, one of which is alice's tenant's.
    grouped: Way,
    /// The administrator, at the API server.
    admin: Way,
}

impl Bench {
    fn new(world: &World, gateway: &Gateway, issuer: &Issuer, signer: &Signer) -> Self {
        let authority = world.access().authority();
        let server =
            gateway.kubeconfig_of(ALICE)["clusters"][0]["cluster"]["server"].as_str().map(str::to_owned);
        let server = server.expect("an address");
        let mut claims = issuer.claims("ann");
        claims["exp"] = (claims["exp"].as_u64().expect("a time") + 3_600).into();
        claims["groups"] =
            (0..299).map(|number| format!("team-{number}")).chain(["staff".to_owned()]).collect();
        let way = |name, url: &str, token| {
            let clients = (0..CONNECTIONS).map(|_| https_client(&authority)).collect();
            Way { name, url: url.to_owned(), token, clients }
        };
        Self {
            direct: way("direct", &server, gateway.token(ALICE)),
            through: way("gateway", &gateway.url(""), gateway.token(ALICE)),
            grouped: way("gateway, 300 groups", &gateway.url(""), signer.sign(&claims)),
            admin: way("direct, as administrator", &server, gateway.token(ADMIN)),
        }
    }

    async fn until_allowed(&self) {
        for (way, path) in [(&self.direct, GET), (&self.through, GET), (&self.grouped, "/api/v1/namespaces")]
        {
            until("requests are allowed", async || {
                way.get(0, path).send().await.is_ok_and(|answer| answer.status() == 200)
            })
            .await;
        }
        let answer = self.grouped.get(0, "/api/v1/namespaces").send().await.expect("an answer");
        let listed: Value = answer.json().await.expect("a list");
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(crowd::NAMESPACES_EACH));
    }

    async fn at_a_rate(&self) {
        println!("\n1. GET of a ConfigMap at {PER_SECOND} a second, medians of {ROUNDS} rounds");
        let ways = [&self.direct, &self.through];
        let mut rounds = [Vec::new(), Vec::new()];
        for round in 0..=ROUNDS {
            for (way, rounds) in ways.iter().zip(&mut rounds) {
                let times = paced(way).await;
                // The first one warms up.
                if round > 0 {
                    rounds.push(times);
                }
            }
        }
        for (way, rounds) in ways.iter().zip(&rounds) {
            let answered: usize = rounds.iter().map(Vec::len).sum();
            let refused = ROUNDS * REQUESTS as usize - answered;
            println!("   {}, {refused} were too many", figures(way.name, rounds));
        }
    }

    async fn in_full(&self, gateway: &Gateway) {
        println!("\n2. the same as fast as {CONNECTIONS} connections go, for {FULL:?}, twice by turns");
        for _ in 0..2 {
            for way in [&self.direct, &self.through] {
                let (server, own) = (self.server_cpu().await, cpu(gateway.pid()));
                let started = Instant::now();
                let all = (0..CONNECTIONS).map(|client| async move {
                    let mut count = 0_u32;
                    while started.elapsed() < FULL {
                        way.time(client, GET).await;
                        count += 1;
                    }
                    count
                });
                let count: u32 = futures::future::join_all(all).await.into_iter().sum();
                let rate = f64::from(count) / started.elapsed().as_secs_f64();
                let each = |seconds: f64| seconds * 1e6 / f64::from(count);
                println!(
                    "   {:<8} {rate:.0} a second; processor time each: API server {:.0} µs, gateway {:.0} µs",
                    way.name,
                    each(self.server_cpu().await - server),
                    each(cpu(gateway.pid()) - own),
                );
            }
        }
    }

    async fn lists(&self) {
        println!("\n3. one after the other, medians of {ROUNDS} rounds of {LISTS}");
        let namespaces = "/api/v1/namespaces";
        let selected = "/api/v1/namespaces?labelSelector=bailey.dev/tenant=shop";
        let rows = [
            ("GET of a ConfigMap", &self.direct, GET),
            ("list of five namespaces", &self.through, namespaces),
            ("list of five namespaces", &self.grouped, namespaces),
            ("list of them by label", &self.admin, selected),
        ];
        let mut rounds: Vec<Vec<Vec<Duration>>> = vec![Vec::new(); rows.len()];
        for _ in 0..ROUNDS {
            for ((_, way, path), rounds) in rows.iter().zip(&mut rounds) {
                let mut times = Vec::with_capacity(LISTS);
                for _ in 0..LISTS {
                    times.push(way.time(0, path).await);
                }
                rounds.push(times);
            }
        }
        for ((what, way, _), rounds) in rows.iter().zip(&rounds) {
            println!("   {}", figures(&format!("{what}, {}", way.name), rounds));
        }
    }

    async fn watches(&self, world: &World, gateway: &Gateway, watches: usize) {
        let before = crowd::resident_mib(gateway.pid());
        let authority = world.access().authority();
        let path = format!(
            "{}/api/v1/namespaces/shop-0/configmaps?watch=true&fieldSelector=metadata.name=two",
            self.through.url
        );
        let started = Instant::now();
        let opened = (0..watches.div_ceil(WATCHES_EACH)).map(|number| {
            let (client, path) = (https_client(&authority), &path);
            let count = WATCHES_EACH.min(watches - number * WATCHES_EACH);
            async move {
                let open = (0..count).map(|_| client.get(path).bearer_auth(&self.through.token).send());
                futures::stream::iter(open)
                    .buffer_unordered(8)
                    .map(|answer| answer.expect("a watch"))
                    .collect::<Vec<_>>()
                    .await
            }
        });
        let opened: Vec<_> = futures::stream::iter(opened).buffer_unordered(4).collect().await;
        let opened: Vec<_> = opened.into_iter().flatten().collect();
        assert!(opened.iter().all(|answer| answer.status() == 200));
        println!("\n4. {} watches of one tenant open after {:.1?}", opened.len(), started.elapsed());
        println!(
            "   gateway: {before} MiB resident before, {} MiB with them",
            crowd::resident_mib(gateway.pid())
        );
        let started = Instant::now();
        Objects::new(world.client(ADMIN).await).apply(&object("two", "changed")).await.expect("a change");
        let heard: FuturesUnordered<_> = opened
            .into_iter()
            .map(|mut answer| async move {
                let event = answer.chunk().await.expect("a watch goes on").expect("an event");
                assert!(event.starts_with(b"{\"type\":\"ADDED\""), "{event:?}");
                started.elapsed()
            })
            .collect();
        let mut times: Vec<Duration> = heard.collect().await;
        times.sort();
        println!(
            "   each heard of a change: p50 {:.0?}, the last after {:.0?}; then {} MiB, at most {} MiB",
            times[times.len() / 2],
            times[times.len() - 1],
            crowd::resident_mib(gateway.pid()),
            crowd::peak_mib(gateway.pid()),
        );
    }

    /// Processor time of the API server, in seconds.
    async fn server_cpu(&self) -> f64 {
        let text =
            self.admin.get(0, "/metrics").send().await.expect("an answer").text().await.expect("metrics");
        let value = text.lines().find_map(|line| line.strip_prefix("process_cpu_seconds_total "));
        value.and_then(|value| value.parse().ok()).expect("its processor time")
    }
}

/// Times from when each request was due; those that were too many are none.
async fn paced(way: &Way) -> Vec<Duration> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut running = FuturesUnordered::new();
    let (mut times, mut sent) = (Vec::with_capacity(REQUESTS as usize), 0);
    while sent < REQUESTS || !running.is_empty() {
        tokio::select! {
            due = ticks.tick(), if sent < REQUESTS => {
                running.push(way.try_time(sent as usize, GET, due.into_std()));
                sent += 1;
            }
            Some(time) = running.next() => times.extend(time),
        }
    }
    times
}

/// The medians of the rounds' medians and 99th percentiles.
fn figures(name: &str, rounds: &[Vec<Duration>]) -> String {
    let at = |percent: usize| {
        let mut of_rounds: Vec<Duration> = rounds
            .iter()
            .map(|times| {
                let mut times = times.clone();
                times.sort();
                times[(times.len() - 1) * percent / 100]
            })
            .collect();
        of_rounds.sort();
        support::millis(of_rounds[of_rounds.len() / 2])
    };
    format!("{name:<45} p50 {:.2} ms, p99 {:.2} ms", at(50), at(99))
}

/// Processor time of a process, in seconds.
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|text| text.parse::<f64>().expect("a number")).sum();
    // Linux counts hundredths for programs, whatever its own clock.
    ticks / 100.0
}
