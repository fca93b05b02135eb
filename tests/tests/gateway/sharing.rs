//! Several gateways let no more pass together than one would.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::gateway::Gateway;
use tests::{ADMIN, ALICE, Objects, World, https_client, metric, until};

use crate::gateway;

const PATH: &str = "/api/v1/namespaces/shop-web/configmaps/none";

/// Requests of alice at some gateways, and what came of them.
struct Flood<'a> {
    gateways: &'a [&'a Gateway],
    client: reqwest::Client,
    passed: AtomicU64,
    refused: AtomicU64,
}

impl<'a> Flood<'a> {
    fn of(gateways: &'a [&'a Gateway]) -> Self {
        let client = https_client(&World::shared().access().authority());
        Self { gateways, client, passed: AtomicU64::new(0), refused: AtomicU64::new(0) }
    }

    /// One request; the message where it is refused.
    async fn ask(&self, gateway: &Gateway) -> Option<String> {
        let response =
            self.client.get(gateway.url(PATH)).bearer_auth(gateway.token(ALICE)).send().await.unwrap();
        if response.status() != 429 {
            assert_eq!(response.status(), 404);
            self.passed.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        let status: Value = response.json().await.unwrap();
        Some(status["message"].as_str().unwrap().to_owned())
    }

    /// Asks all of them at the same time until each has refused so many in a row.
    async fn until_refused(&self, times: usize) {
        let one = async |gateway: &Gateway| {
            let mut row = 0;
            while row < times {
                row = if self.ask(gateway).await.is_some() { row + 1 } else { 0 };
            }
        };
        futures::future::join_all(self.gateways.iter().map(|gateway| one(gateway))).await;
    }

    /// Asks one of them until it refuses with such a message.
    async fn until_told(&self, gateway: &Gateway, what: &str, told: impl Fn(&str) -> bool) {
        until(what, async || self.ask(gateway).await.is_some_and(|message| told(&message))).await;
    }
}

fn gauge(gateway: &Gateway, name: &str) -> f64 {
    let metrics = gateway.metrics();
    metric(&metrics, name).unwrap_or_else(|| panic!("no {name} in {metrics}"))
}

/// Waits until each of so many replicas has its even part.
async fn until_even(gateways: &[&Gateway]) {
    let even = 1.0 / f64::from(u32::try_from(gateways.len()).unwrap());
    for gateway in gateways {
        until("each has an even part", async || (gauge(gateway, "bailey_rates_share") - even).abs() < 1e-3)
            .await;
        assert_eq!(gauge(gateway, "bailey_rates_replicas") as usize, gateways.len());
    }
}

#[tokio::test]
async fn two_gateways_let_no_more_pass_than_one_and_one_that_is_asked_alone_gets_nearly_all() {
    let _shared = gateway().await;
    let flags = ["--gateway-ledger=pair", "--gateway-rates=read=4:48"];
    let mut first = Some(Gateway::start("pair-1", &flags));
    let second = Gateway::start("pair-2", &flags);
    {
        let both = [first.as_ref().unwrap(), &second];
        until_even(&both).await;
        let flood = Flood::of(&both);
        let begun = Instant::now();
        flood.until_refused(10).await;
        let passed = flood.passed.load(Ordering::Relaxed);
        let most = 48.0 + 4.0 * begun.elapsed().as_secs_f64();
        assert!(passed as f64 <= most, "{passed} passed, {most} may");
        // All of it is there for somebody: nothing is lost between them.
        assert!(passed >= 24, "{passed}");
        // Only the second is asked: 15 of 16 are its own, and the rate of both still holds.
        let alone = "of which this replica has 3.75 per second and 45 at once";
        let flood = Flood::of(&both);
        let begun = Instant::now();
        flood.until_told(&second, "the second has nearly all", |message| message.contains(alone)).await;
        let passed = flood.passed.load(Ordering::Relaxed) as f64;
        assert!(passed <= 48.0 + 4.0 * begun.elapsed().as_secs_f64());
        assert!(gauge(&second, "bailey_rates_named") > 0.0);
        let ledger =
            json!({"apiVersion": "bailey.dev/v1alpha1", "kind": "RateLedger", "metadata": {"name": "pair"}});
        let ledger = Objects::new(World::shared().client(ADMIN).await).get(&ledger).await.unwrap();
        let replicas = ledger.data["spec"]["replicas"].as_array().unwrap();
        let rates = replicas.iter().map(|replica| replica["parts"][0]["rate"].as_u64().unwrap());
        assert_eq!((replicas.len(), rates.sum::<u64>()), (2, 4_000), "{replicas:?}");
        assert_eq!(replicas[0]["parts"][0]["tenant"], "shop");
    }
    // One that ends in order gives its part at once.
    drop(first.take());
    until("the second has everything", async || gauge(&second, "bailey_rates_share") == 1.0).await;
    let flood = Flood::of(&[]);
    let whole = |message: &str| message.contains("48 at once;") && !message.contains("of which");
    flood.until_told(&second, "the second has all of what is named", whole).await;
}

#[tokio::test]
async fn what_a_killed_gateway_had_is_free_after_its_lease() {
    let _shared = gateway().await;
    let flags = ["--gateway-ledger=killed", "--gateway-rates=read=4:48"];
    let first = Gateway::start("killed-1", &flags);
    let second = Gateway::start("killed-2", &flags);
    until_even(&[&first, &second]).await;
    first.kill();
    let flood = Flood::of(&[]);
    flood.until_told(&second, "the second refuses", |_| true).await;
    // Its lease runs out, and for longer than that the second sees nothing of it.
    let begun = Instant::now();
    while gauge(&second, "bailey_rates_share") < 1.0 {
        assert!(begun.elapsed() < Duration::from_secs(90), "what was killed keeps its part");
        flood.until_told(&second, "its own part stays", |message| !message.contains("nothing yet")).await;
    }
    assert_eq!(gauge(&second, "bailey_rates_replicas") as u32, 1);
    assert!(gauge(&second, "bailey_rates_lease_seconds") > 0.0);
}

#[tokio::test]
async fn a_gateway_that_joins_waits_for_its_part_before_it_is_ready() {
    let _shared = gateway().await;
    let flags = ["--gateway-ledger=joins", "--gateway-rates=read=4:48"];
    let first = Gateway::start("joins-1", &flags);
    assert_eq!(gauge(&first, "bailey_rates_share"), 1.0);
    // It starts, and is ready, only where it lets something pass.
    let second = Gateway::start("joins-2", &flags);
    assert!(gauge(&second, "bailey_rates_share") > 0.0);
    until("a request passes at the second too", async || Flood::of(&[]).ask(&second).await.is_none()).await;
}
