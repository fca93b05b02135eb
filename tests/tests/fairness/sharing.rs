//! Several webhooks let no more writes pass together than one would.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{ALICE, Replicas, World, https_client, metric, until};
use xtask::daemon::Settings;
use xtask::http;
use xtask::process::Component;

use crate::Flows;

/// The value of a gauge of the replica at this port.
fn gauge(port: u16, name: &str) -> f64 {
    let (_, metrics) = http::get(port, "/metrics").unwrap();
    metric(&metrics, name).unwrap_or_else(|| panic!("no {name} in {metrics}"))
}

/// Alice's writes past every gateway, by a client that does not wait by itself.
struct Writes {
    client: reqwest::Client,
    server: String,
    token: String,
    passed: AtomicU64,
}

impl Writes {
    fn of(world: &World) -> Self {
        let file = std::fs::read(world.access().kubeconfig(ALICE)).unwrap();
        let config: Value = serde_json::from_slice(&file).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            client: https_client(&world.access().authority()),
            server: text(&config["clusters"][0]["cluster"]["server"]),
            token: text(&config["users"][0]["user"]["token"]),
            passed: AtomicU64::new(0),
        }
    }

    async fn create(&self, namespace: &str) -> u16 {
        let request = self.client.post(format!("{}/api/v1/namespaces/{namespace}/configmaps", self.server));
        let request = request.bearer_auth(&self.token).json(&json!({"metadata": {"generateName": "map-"}}));
        let status = request.send().await.unwrap().status().as_u16();
        self.passed.fetch_add(u64::from(status == 201), Ordering::Relaxed);
        status
    }

    async fn until_refused(&self, namespace: &str, times: usize) {
        let mut row = 0;
        while row < times {
            row = if self.create(namespace).await == 429 { row + 1 } else { 0 };
        }
    }
}

/// A process that is ended with this.
struct Ended(Component);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// A process that keeps what tenants have, and decides on nothing.
fn controller(world: &World) -> (Settings, Ended) {
    let mut settings = Settings::for_cluster(&world.bailey.settings.binary, world.access()).unwrap();
    settings.folder = world.access().folder().join("bailey-controller");
    settings.roles = "controller";
    let mut component = settings.spawn().unwrap();
    settings.wait_ready(&mut component).unwrap();
    (settings, Ended(component))
}

#[tokio::test]
async fn two_webhooks_let_no_more_pass_than_one_would_and_a_crash_gives_nobody_more() {
    let world = World::start();
    let mut replicas = Replicas::start(&world, 2);
    let (controls, _controller) = controller(&world);
    let flows = Flows::of(&world).await;
    let limit = json!({"tenant": {"requests": 4, "burst": 32}});
    flows.class("scribes", json!({"rates": {"write": limit}})).await.unwrap();
    let members = "[{kind: User, name: alice, role: owner}]";
    let spec = format!("{{fairnessClass: scribes, members: {members}, namespaces: {{prefix: ''}}}}");
    let _tenant = flows.tenant("abbey", &spec).await;
    for number in 0..2 {
        let mut labels = Replicas::label(number);
        labels["bailey.dev/tenant"] = "abbey".into();
        let name = format!("abbey-{number}");
        flows.admin.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})).await.unwrap();
    }
    let ports = replicas.http_ports();
    let (_, metrics) = http::get(controls.http_port, "/metrics").unwrap();
    assert_eq!(metric::<f64>(&metrics, "bailey_rates_share"), None, "it has no part of the rates");
    let review = format!("https://127.0.0.1:{}/validate", controls.webhook_port);
    let client = https_client(&world.access().authority());
    assert_eq!(client.post(review).body("{}").send().await.unwrap().status(), 404, "it answers no reviews");
    for port in &ports {
        until("each has half", async || (gauge(*port, "bailey_rates_share") - 0.5).abs() < 1e-3).await;
    }
    let writes = Writes::of(&world);
    // What has passed until here counts too.
    let begun = Instant::now();
    for namespace in ["abbey-0", "abbey-1"] {
        until("alice may write", async || [201, 429].contains(&writes.create(namespace).await)).await;
    }
    futures::join!(writes.until_refused("abbey-0", 10), writes.until_refused("abbey-1", 10));
    let most = |begun: Instant| 32.0 + 4.0 * begun.elapsed().as_secs_f64();
    let passed = writes.passed.load(Ordering::Relaxed);
    assert!(passed as f64 <= most(begun), "{passed} passed");
    // Their parts grew a moment ago, and fill up from then on.
    until("no less passes than it may", async || {
        futures::join!(writes.create("abbey-0"), writes.create("abbey-1"));
        writes.passed.load(Ordering::Relaxed) >= 16
    })
    .await;
    // Who starts again after a crash begins with nothing.
    replicas.crash(1);
    futures::join!(writes.until_refused("abbey-0", 10), writes.until_refused("abbey-1", 10));
    let passed = writes.passed.load(Ordering::Relaxed);
    assert!(passed as f64 <= most(begun), "{passed} passed");
}

#[tokio::test]
async fn without_the_api_server_a_replica_keeps_its_part_until_its_lease_is_over() {
    let world = World::start();
    let port = world.bailey.settings.http_port;
    until("it has everything", async || gauge(port, "bailey_rates_share") == 1.0).await;
    world.crash("kube-apiserver");
    let lease = gauge(port, "bailey_rates_lease_seconds");
    assert!(lease > 0.0 && lease <= 15.0, "{lease}");
    assert_eq!(gauge(port, "bailey_rates_share"), 1.0);
    let begun = Instant::now();
    while gauge(port, "bailey_rates_lease_seconds") > 0.0 {
        assert!(begun.elapsed() < Duration::from_secs(90), "it renews its lease with nobody");
        tokio::task::yield_now().await;
    }
    assert_eq!(gauge(port, "bailey_rates_share"), 0.0);
    let failed = r#"bailey_rates_ledger_writes_total{result="failed"}"#;
    assert!(gauge(port, failed) > 0.0);
    world.revive("kube-apiserver");
    until("it has everything again", async || gauge(port, "bailey_rates_share") == 1.0).await;
}
