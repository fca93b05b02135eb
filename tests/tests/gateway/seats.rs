//! Turns at the API server: who floods it waits for itself.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use kube::api::PostParams;
use serde_json::{Value, json};
use tests::command::{Said, bailey};
use tests::gate::Gate;
use tests::gateway::Gateway;
use tests::{ADMIN, ALICE, BOB, Objects, World, give_namespace, https_client, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::wire::connect;
use crate::{gateway, text};

const RATES: &str = "--gateway-rates=read=5000:5000,list=5000:5000,write=5000:5000";

/// A gateway with few seats, and a gate behind which requests stand in the API server.
struct Crowd {
    gateway: Gateway,
    gate: Gate,
    client: reqwest::Client,
}

/// What a client was told.
struct Told {
    who: &'static str,
    status: u16,
    body: Value,
    retry_after: Option<String>,
}

impl Crowd {
    async fn new(name: &str, flags: &[&str]) -> Arc<Self> {
        let _shared = gateway().await;
        let gate = Gate::new(name).await;
        let world = World::shared();
        let admin = Objects::new(world.client(ADMIN).await);
        admin.apply(&gate.webhook()).await.unwrap();
        let gateway = Gateway::start(name, &[&[RATES, "--gateway-requests=500"], flags].concat());
        let client = https_client(&world.access().authority());
        let crowd = Self { gateway, gate, client };
        crowd.until_held().await;
        Arc::new(crowd)
    }

    /// Waits until the API server has heard of the gate.
    async fn until_held(&self) {
        let bob = self.gateway.token(BOB);
        until("a request stops at the gate", async || {
            let asked = self.create("first", &bob, "bank-web");
            tokio::pin!(asked);
            tokio::select! {
                told = &mut asked => {
                    assert_eq!(told.status, 201, "{}", told.body);
                    false
                }
                () = self.gate.until_waiting(1) => {
                    self.gate.let_one();
                    assert_eq!(asked.await.status, 201);
                    true
                }
            }
        })
        .await;
    }

    /// Asks for a ConfigMap that is not stored.
    async fn create(&self, who: &'static str, token: &str, namespace: &str) -> Told {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps?dryRun=All");
        let object = json!({"metadata": {"generateName": "held-", "labels": self.gate.labels()}});
        let request = self.client.post(self.gateway.url(&path)).bearer_auth(token).json(&object);
        let response = request.send().await.unwrap();
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        Told { who, status, body: response.json().await.unwrap(), retry_after }
    }

    async fn until_queued(&self, count: u64) {
        until(&format!("{count} wait at the gateway"), async || {
            self.gateway.metric("bailey_gateway_waiting") == count
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mouse_does_not_wait_behind_an_elephant() {
    let crowd =
        Crowd::new("elephant", &["--gateway-seats=2", "--gateway-queue=400", "--gateway-wait=60"]).await;
    let (alice, bob) = (crowd.gateway.token(ALICE), crowd.gateway.token(BOB));
    let mut answers: FuturesUnordered<_> =
        (0..50).map(|_| crowd.create("elephant", &alice, "shop-web")).collect();
    let queued = async {
        crowd.gate.until_waiting(2).await;
        crowd.until_queued(48).await;
    };
    tokio::pin!(queued);
    until_or(&mut answers, &mut queued).await;
    answers.push(crowd.create("mouse", &bob, "bank-web"));
    let queued = crowd.until_queued(49);
    tokio::pin!(queued);
    until_or(&mut answers, &mut queued).await;
    // Who waits for whom is told, too.
    let top = Said::until(
        || bailey(ADMIN, &["top", "tenants", "--ledger", "gateway-elephant", "-o", "json"]),
        |said| {
            let tenants = said.json()[0]["tenants"].as_array().cloned().unwrap_or_default();
            let shop = tenants.into_iter().find(|busy| busy["tenant"] == "shop").unwrap_or_default();
            (shop["waiting"].as_u64(), shop["seats"].as_u64()) == (Some(48), Some(2))
        },
    );
    tokio::pin!(top);
    tokio::select! {
        _ = &mut top => {}
        told = answers.next() => panic!("{:?} was answered", told.map(|told| (told.who, told.body))),
    }
    let mut order = Vec::new();
    // One goes, and the next comes: what is answered is in the order of turns.
    while order.last() != Some(&"mouse") {
        crowd.gate.let_one();
        let told = answers.next().await.expect("the mouse is among them");
        assert_eq!(told.status, 201, "{}: {}", told.who, told.body);
        order.push(told.who);
    }
    // The two that had a seat before it came, and one whose turn may have been before.
    assert!(order.len() <= 4, "{order:?}");
    assert_eq!(crowd.gate.most(), 2, "no more than the seats were at the API server");
    crowd.gate.open();
    while let Some(told) = answers.next().await {
        assert_eq!(told.status, 201, "{}: {}", told.who, told.body);
    }
    let metrics = crowd.gateway.metrics();
    for name in ["bailey_gateway_waiting", "bailey_gateway_seats_taken"] {
        assert_eq!(tests::metric(&metrics, name), Some(0), "{name}");
    }
    assert_eq!(tests::metric(&metrics, "bailey_gateway_seats"), Some(2));
}

/// Waits for something while answers may come, but none does.
async fn until_or<A: Future<Output = Told>>(
    answers: &mut FuturesUnordered<A>,
    condition: &mut (impl Future<Output = ()> + Unpin),
) {
    tokio::select! {
        () = condition => {}
        told = answers.next() => panic!("{:?} was answered", told.map(|told| (told.who, told.status))),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_accounts_of_a_tenant_have_no_more_turns_than_one_of_another() {
    let crowd =
        Crowd::new("accounts", &["--gateway-seats=1", "--gateway-queue=800", "--gateway-wait=60"]).await;
    let accounts = accounts("shop-web", 100).await;
    let one = text(&World::shared().kubectl(ADMIN, &["create", "token", "default", "--namespace=bank-web"]));
    may_edit("bank-web").await;
    let mut answers: FuturesUnordered<_> =
        accounts.iter().map(|token| crowd.create("many", token, "shop-web")).collect();
    for _ in 0..10 {
        answers.push(crowd.create("one", one.trim(), "bank-web"));
    }
    let queued = crowd.until_queued(109);
    tokio::pin!(queued);
    until_or(&mut answers, &mut queued).await;
    let mut order = Vec::new();
    while order.len() < 20 {
        crowd.gate.let_one();
        let told = answers.next().await.unwrap();
        assert_eq!(told.status, 201, "{}: {}", told.who, told.body);
        order.push(told.who);
    }
    crowd.gate.open();
    let of_one = order.iter().filter(|who| **who == "one").count();
    // Turn by turn, but for who had the seat before the others came.
    assert!(of_one >= 8, "{of_one} of 20 are the single account's: {order:?}");
    while let Some(told) = answers.next().await {
        assert_eq!(told.status, 201, "{}", told.body);
    }
}

/// Service accounts of a namespace, who may write there: their tokens.
async fn accounts(namespace: &str, count: usize) -> Vec<String> {
    may_edit(namespace).await;
    let client = World::shared().client(ADMIN).await;
    let post = async |path: String, body: Value| -> Value {
        let request = http::Request::post(path).header("Content-Type", "application/json");
        client.request(request.body(body.to_string().into_bytes()).unwrap()).await.unwrap()
    };
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
    let make = async |number: usize| {
        let name = format!("one-of-many-{number}");
        post(path.clone(), json!({"metadata": {"name": name}})).await;
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let token = post(format!("{path}/{name}/token"), request).await;
        token["status"]["token"].as_str().unwrap().to_owned()
    };
    futures::stream::iter(0..count).map(make).buffer_unordered(8).collect().await
}

async fn may_edit(namespace: &str) {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "accounts-may-edit", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{
            "apiGroup": "rbac.authorization.k8s.io", "kind": "Group",
            "name": format!("system:serviceaccounts:{namespace}"),
        }],
    });
    Objects::new(World::shared().client(ADMIN).await).apply(&binding).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_to_no_turn_is_told_whose_flood_it_is() {
    let crowd = Crowd::new("late", &["--gateway-seats=1", "--gateway-queue=8", "--gateway-wait=2"]).await;
    let (alice, bob) = (crowd.gateway.token(ALICE), crowd.gateway.token(BOB));
    let held = {
        let (crowd, alice) = (Arc::clone(&crowd), alice.clone());
        tokio::spawn(async move { crowd.create("held", &alice, "shop-web").await })
    };
    crowd.gate.until_waiting(1).await;
    let own = (0..4).map(|_| crowd.create("own", &alice, "shop-web"));
    let (own, other) =
        futures::future::join(futures::future::join_all(own), crowd.create("other", &bob, "bank-web")).await;
    for told in own.iter().chain([&other]) {
        assert_eq!(told.status, 429, "{}", told.body);
        assert!(told.retry_after.as_ref().unwrap().parse::<u64>().unwrap() >= 1);
    }
    let reason = |told: &Told| told.body["details"]["causes"][0]["reason"].as_str().unwrap().to_owned();
    let message = |told: &Told| told.body["message"].as_str().unwrap().to_owned();
    assert!(
        own.iter().all(|told| reason(told) == "gateway_queue"),
        "{:?}",
        own.iter().map(message).collect::<Vec<_>>()
    );
    // A quarter of the places is a tenant's.
    assert_eq!(own.iter().filter(|told| message(told).starts_with("too many requests wait")).count(), 2);
    assert_eq!((reason(&other).as_str(), message(&other).contains("within 2 s")), ("gateway_full", true));
    let metric = |tenant, code| format!(r#"bailey_gateway_limited_total{{tenant="{tenant}",code="{code}"}}"#);
    assert_eq!(crowd.gateway.metric(&metric("shop", "gateway_queue")), 4);
    assert_eq!(crowd.gateway.metric(&metric("bank", "gateway_full")), 1);
    // What needs no seat goes on: a stream, which the API server refuses for want of a Pod.
    let exec = crowd.gateway.url("/api/v1/namespaces/bank-web/pods/none/log");
    let exec = crowd.client.get(exec).bearer_auth(&bob).send().await.unwrap();
    assert_eq!(exec.status(), 404);
    crowd.gate.open();
    assert_eq!(held.await.unwrap().status, 201);
}

#[tokio::test]
async fn who_reads_or_sends_slowly_holds_no_seat() {
    let _shared = gateway().await;
    let gateway = Gateway::start("slow", &[RATES, "--gateway-seats=1", "--gateway-requests=2"]);
    let client = https_client(&World::shared().access().authority());
    let alice = gateway.token(ALICE);
    // Longer than the buffers of a connection are.
    give_namespace(World::shared(), "shop", "shop-large").await;
    let admin = Objects::new(World::shared().client(ADMIN).await);
    for number in 0..12 {
        let large = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("large-{number}"), "namespace": "shop-large"}, "data": {"x": "x".repeat(1_000_000)},
        });
        admin
            .api(&large)
            .create(&PostParams::default(), &serde_json::from_value(large).unwrap())
            .await
            .unwrap();
    }
    let list = "/api/v1/namespaces/shop-large/configmaps";
    until("alice may list them", async || {
        let one = gateway.url(&format!("{list}?limit=1"));
        client.get(one).bearer_auth(&alice).send().await.unwrap().status() == 200
    })
    .await;
    // Reads the beginning of a long answer, and no more.
    let mut reader = connect(&gateway, "http/1.1", None).await.unwrap();
    let head = format!("GET {list} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {alice}\r\n\r\n");
    reader.write_all(head.as_bytes()).await.unwrap();
    reader.read_exact(&mut [0; 16]).await.unwrap();
    // Says that a body comes, and sends only its beginning.
    let mut writer = connect(&gateway, "http/1.1", None).await.unwrap();
    let head = format!(
        "POST /api/v1/namespaces/shop-web/configmaps HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {alice}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    writer.write_all(head.as_bytes()).await.unwrap();
    writer.flush().await.unwrap();
    let version = async |token: &str| {
        let response = client.get(gateway.url("/version")).bearer_auth(token).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    until("both are under way", async || gateway.metric("bailey_gateway_under_way") == 2).await;
    let (status, body) = version(&gateway.token(BOB)).await;
    assert_eq!(status, 200, "{body}");
    // They are under way all the same.
    let (status, body) = version(&alice).await;
    assert!(status == 429 && body.contains("gateway_busy"), "{status} {body}");
}
