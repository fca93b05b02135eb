//! What a tenant may do, and what is left of it for another.

use serde_json::Value;
use tests::gateway::Gateway;
use tests::{ADMIN, ALICE, BOB, User, World, https_client, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::wire::connect;
use crate::{gateway, text};

async fn get(gateway: &Gateway, user: User, path: &str) -> reqwest::Response {
    let client = https_client(&World::shared().access().authority());
    client.get(gateway.url(path)).bearer_auth(gateway.token(user)).send().await.unwrap()
}

#[tokio::test]
async fn a_tenants_rate_is_its_own_whoever_asks() {
    let _shared = gateway().await;
    let gateway = Gateway::start("rates", &["--gateway-rates=read=1:1,list=1:2"]);
    let (shop, bank) = ("/api/v1/namespaces/shop-web/configmaps", "/api/v1/namespaces/bank-web/configmaps");
    let world = World::shared();
    let token = world.kubectl(ADMIN, &["create", "token", "default", "--namespace=shop-web"]);
    let client = https_client(&world.access().authority());
    let robot = async || client.get(gateway.url(shop)).bearer_auth(text(&token).trim()).send().await.unwrap();
    // Of some requests at once, by a user and an account of the tenant, at most the burst and what one second brings pass.
    let begun = std::time::Instant::now();
    let mut refused = None;
    let mut passed = 0;
    for number in 0..200 {
        let response = if number % 2 == 0 { get(&gateway, ALICE, shop).await } else { robot().await };
        match response.status().as_u16() {
            429 => refused = Some(response),
            _ => passed += 1,
        }
        if number >= 30 && refused.is_some() {
            break;
        }
    }
    let most = 2 + begun.elapsed().as_secs() + 1;
    assert!(passed <= most, "{passed} passed, {most} may");
    let refused = refused.expect("so many requests take more than the burst");
    assert!(refused.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    let status: Value = refused.json().await.unwrap();
    assert_eq!(status["details"]["causes"][0]["reason"], "gateway_rate");
    assert!(
        status["message"].as_str().unwrap().contains("tenant shop may send 1 requests of class `list`"),
        "{status}"
    );
    // Nobody of the other tenant notices, also where shop's users ask for what is bank's.
    until("shop pays for what it asks of bank", async || get(&gateway, ALICE, bank).await.status() == 429)
        .await;
    assert_eq!(get(&gateway, BOB, bank).await.status(), 200);
    // kubectl waits and tries again.
    let waited = gateway.kubectl(ALICE, &["get", "configmaps", "--namespace=shop-web"]);
    assert!(waited.status.success(), "{}", text(&waited));
    assert!(gateway.metric(r#"bailey_gateway_requests_total{class="list",result="gateway_rate"}"#) > 0);
    assert!(gateway.metric(r#"bailey_gateway_limited_total{tenant="shop",code="gateway_rate"}"#) > 0);
    assert_eq!(gateway.metric(r#"bailey_gateway_limited_total{tenant="bank",code="gateway_rate"}"#), 0);
}

#[tokio::test]
async fn a_tenant_has_so_many_watches() {
    let _shared = gateway().await;
    let gateway = Gateway::start("streams", &["--gateway-streams=1"]);
    let watch = "/api/v1/namespaces/shop-web/configmaps?watch=true";
    let first = get(&gateway, ALICE, watch).await;
    assert_eq!(first.status(), 200);
    let second = get(&gateway, ALICE, watch).await;
    assert_eq!(second.status(), 429);
    assert!(second.text().await.unwrap().contains("gateway_watches"));
    assert_eq!(get(&gateway, BOB, "/api/v1/namespaces/bank-web/configmaps?watch=true").await.status(), 200);
    assert_eq!(get(&gateway, ALICE, "/api/v1/namespaces/shop-web/configmaps").await.status(), 200);
    drop(first);
    until("the first one's place is free", async || get(&gateway, ALICE, watch).await.status() == 200).await;
}

#[tokio::test]
async fn a_list_says_how_much_it_wants() {
    let _shared = gateway().await;
    let gateway = Gateway::start("pages", &["--gateway-page=10"]);
    let list = "/api/v1/namespaces/shop-web/configmaps";
    let world = World::shared();
    let made = world.kubectl(ALICE, &["create", "configmap", "of-a-page", "--namespace=shop-web"]);
    assert!(made.status.success(), "{}", text(&made));
    // Why it is no way around: from its cache the API server gives all.
    let cached = async || {
        let cached = world.kubectl(ALICE, &["get", "--raw", &format!("{list}?limit=1&resourceVersion=0")]);
        let cached: Value = serde_json::from_slice(&cached.stdout).unwrap();
        cached["items"].as_array().unwrap().len() > 1
    };
    until("the cache has both", cached).await;
    for query in ["", "?limit=0", "?limit=11", "?watch=false", "?limit=5&resourceVersion=0"] {
        let response = get(&gateway, ALICE, &format!("{list}{query}")).await;
        assert_eq!(response.status(), 400, "{query}");
        assert!(response.text().await.unwrap().contains("gateway_page"));
    }
    assert_eq!(get(&gateway, ALICE, &format!("{list}?limit=10")).await.status(), 200);
}

#[tokio::test]
async fn a_paced_answer_comes_whole() {
    let _shared = gateway().await;
    let gateway = Gateway::start("pace", &["--gateway-bytes-per-second=1048576", "--gateway-requests=1"]);
    let direct = World::shared().kubectl(ALICE, &["get", "--raw", "/openapi/v2"]);
    let through = get(&gateway, ALICE, "/openapi/v2").await.text().await.unwrap();
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(parse(&through)["paths"], parse(&text(&direct))["paths"]);
    // While one is under way there is no place for another.
    let mut stream = connect(&gateway, "http/1.1", None).await.unwrap();
    let token = gateway.token(ALICE);
    let head = format!("GET /openapi/v2 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut begun = [0; 16];
    stream.read_exact(&mut begun).await.unwrap();
    let busy = get(&gateway, ALICE, "/version").await;
    assert_eq!(busy.status(), 429);
    assert!(busy.text().await.unwrap().contains("gateway_busy"));
    assert_eq!(get(&gateway, BOB, "/version").await.status(), 200);
}

#[tokio::test]
async fn a_tenant_has_the_rates_of_its_class() {
    let _shared = gateway().await;
    let gateway = Gateway::start("classes", &["--gateway-rates=write=1000:1000"]);
    let world = World::shared();
    let admin = tests::Objects::new(world.client(ADMIN).await);
    let class = |burst: u32| {
        serde_json::json!({
            "apiVersion": "bailey.dev/v1alpha1", "kind": "FairnessClass", "metadata": {"name": "slow-lists"},
            "spec": {"rates": {"list": {"tenant": {"requests": 1, "seconds": 1000, "burst": burst}}}},
        })
    };
    admin.apply(&class(3)).await.unwrap();
    tests::Tenant::create("patient", "{fairnessClass: slow-lists, namespaces: {prefix: ''}}").await;
    tests::give_namespace(world, "patient", "patient-one").await;
    let token = text(&world.kubectl(ADMIN, &["create", "token", "default", "--namespace=patient-one"]));
    let client = https_client(&world.access().authority());
    let list = async || {
        let path = "/api/v1/namespaces/patient-one/configmaps";
        client.get(gateway.url(path)).bearer_auth(token.trim()).send().await.unwrap()
    };
    // It has no rights there, which is for the API server to say; and soon not even the gateway lets it ask.
    let passed = std::sync::atomic::AtomicU32::new(0);
    until("the class is in force", async || {
        let answer = list().await.status();
        passed.fetch_add(u32::from(answer == 403), std::sync::atomic::Ordering::Relaxed);
        answer == 429
    })
    .await;
    assert!(passed.into_inner() >= 3, "the burst is let through");
    let status: Value = list().await.json().await.unwrap();
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("tenant patient may send 0.001 requests of class `list`"), "{message}");
    // What is more begins empty; without a limit everything passes again.
    let mut free = class(3);
    free["spec"]["rates"] = serde_json::json!({});
    admin.apply(&free).await.unwrap();
    until("the limit is taken away", async || list().await.status() == 403).await;
}
