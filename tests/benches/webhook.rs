//! Question: what does one review cost the server over HTTPS with keep-alive, in processor time and latency?
//!
//! The release binary answers reviews of pods (5 to 15 KB) on one processor (`taskset`), the load comes from
//! this process on the others, over as many connections as the row says. Processor time is the server's own,
//! user and system, from `/proc`. All rows are measured in one run, one after the other.
//!
//! `cargo xtask bench webhook`

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use xtask::http::{free_ports, is_ok};

const WARM_UP: usize = 2_000;
const REVIEWS: usize = 20_000;

/// One row of the table.
struct Scenario {
    name: &'static str,
    matching: usize,
    idle: usize,
    connections: usize,
}

const SCENARIOS: &[Scenario] = &[
    Scenario { name: "no policy", matching: 0, idle: 0, connections: 8 },
    Scenario { name: "25 matching bindings", matching: 25, idle: 0, connections: 8 },
    Scenario { name: "25 matching, one connection", matching: 25, idle: 0, connections: 1 },
    Scenario { name: "25 matching, 10,000 idle", matching: 25, idle: 10_000, connections: 8 },
];

fn main() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("one crypto provider");
    let binary = support::release_binary();
    let reviews: Vec<Bytes> = (1..=6).map(support::review).collect();
    let mean = reviews.iter().map(Bytes::len).sum::<usize>() / reviews.len();
    println!("reviews of {mean} bytes on average, {REVIEWS} per row, server on one processor\n");
    println!(
        "{:<30} {:>10} {:>12} {:>9} {:>9} {:>9}",
        "scenario", "reviews/s", "CPU µs each", "p50 ms", "p99 ms", "RSS MiB"
    );
    for scenario in SCENARIOS {
        let server = Server::start(&binary, scenario);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(load(&server, &reviews, scenario.connections, WARM_UP));
        let (before, start) = (server.cpu(), Instant::now());
        let mut latencies = runtime.block_on(load(&server, &reviews, scenario.connections, REVIEWS));
        let (cpu, elapsed) = (server.cpu() - before, start.elapsed());
        latencies.sort_unstable();
        println!(
            "{:<30} {:>10.0} {:>12.0} {:>9.2} {:>9.2} {:>9.0}",
            scenario.name,
            latencies.len() as f64 / elapsed.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / latencies.len() as f64,
            support::millis(latencies[latencies.len() / 2]),
            support::millis(latencies[latencies.len() * 99 / 100]),
            server.resident_mib(),
        );
    }
}

/// Sends reviews over keep-alive connections, each as soon as the one before is answered.
async fn load(server: &Server, reviews: &[Bytes], connections: usize, total: usize) -> Vec<Duration> {
    let reviews = Arc::new(reviews.to_vec());
    let url = format!("https://localhost:{}/validate?timeout=10s", server.port);
    let tasks: Vec<_> = (0..connections)
        .map(|connection| {
            let (client, reviews, url) = (server.client(), Arc::clone(&reviews), url.clone());
            tokio::spawn(async move {
                let mut latencies = Vec::with_capacity(total / connections);
                for number in 0..total / connections {
                    let body = reviews[(number + connection) % reviews.len()].clone();
                    let start = Instant::now();
                    let answer = client.post(&url).body(body).send().await.expect("an answer");
                    let answer = answer.bytes().await.expect("a whole answer");
                    latencies.push(start.elapsed());
                    let allowed = answer.windows(14).any(|window| window == b"\"allowed\":true");
                    assert!(allowed, "{}", String::from_utf8_lossy(&answer));
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::with_capacity(total);
    for task in tasks {
        latencies.extend(task.await.expect("a connection's work"));
    }
    latencies
}

/// `bailey serve` on one processor, over files.
struct Server {
    child: Child,
    port: u16,
    certificate: Vec<u8>,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(binary: &Path, scenario: &Scenario) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut sources = support::library(scenario.matching.max(1));
        if scenario.matching == 0 {
            sources.bindings.clear();
        }
        support::idle(&mut sources, scenario.idle);
        fs::create_dir(folder.path().join("policies")).expect("a folder of policies");
        fs::write(folder.path().join("policies/all.yaml"), support::documents(&sources))
            .expect("the policies");
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let certificate = issued.cert.pem().into_bytes();
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        fs::write(&cert, &certificate).expect("the certificate");
        fs::write(&key, issued.signing_key.serialize_pem()).expect("the key");
        let [port, http] = free_ports().expect("free ports");
        let child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(binary)
            .args(["serve", "--workers", "1", "--listen", &format!("127.0.0.1:{port}")])
            .args(["--http-listen", &format!("127.0.0.1:{http}"), "--tls-cert"])
            .arg(&cert)
            .arg("--tls-key")
            .arg(&key)
            .arg("--policies")
            .arg(folder.path().join("policies"))
            .arg("--audit-db")
            .arg(folder.path().join("audit.db"))
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .spawn()
            .expect("taskset and bailey start");
        let server = Self { child, port, certificate, _folder: folder };
        server.wait_until_ready(http);
        server
    }

    fn wait_until_ready(&self, http: u16) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_ok(http, "/readyz") {
            assert!(Instant::now() < deadline, "bailey did not become ready");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn client(&self) -> reqwest::Client {
        let certificate = reqwest::Certificate::from_pem(&self.certificate).expect("the certificate");
        reqwest::Client::builder().tls_certs_only([certificate]).http1_only().build().expect("a client")
    }

    /// User and system time of the server until now.
    fn cpu(&self) -> Duration {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("the server's times");
        let fields: Vec<&str> = text.rsplit(')').next().expect("fields").split_whitespace().collect();
        let ticks: u64 =
            fields[11].parse::<u64>().expect("user time") + fields[12].parse::<u64>().expect("system time");
        // USER_HZ is 100 on every Linux that Rust runs on.
        Duration::from_millis(ticks * 10)
    }

    fn resident_mib(&self) -> f64 {
        let text =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server's memory");
        let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("resident memory");
        line.split_whitespace().nth(1).expect("a figure").parse::<f64>().expect("a number") / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
