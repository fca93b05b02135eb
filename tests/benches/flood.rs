//! Questions: how long does a quiet tenant wait at a busy API server while another floods it, as one user and as 100
//! service accounts,
//! 1. with the FlowSchemas that Bailey writes and with flows by user, as every cluster has them?
//! 2. through a gateway with seats and through one without, where the API server has flows by user?
//!
//! Both have one priority level, of 3 seats and then of 12. Each request takes its seat for a second, which it spends waiting for a
//! webhook that never answers: what is measured is the order of requests, not the speed of the machine.
//!
//! `cargo xtask bench flood`; `BAILEY_BENCH_PLACE=gateway` or `api-server` for one of the questions.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tests::gateway::Gateway;
use tests::{ADMIN, Objects, Tenant, World, give_namespace, https_client, until};
use xtask::daemon;

/// Requests of the quiet tenant in each case, one after the other.
const REQUESTS: usize = 10;
/// How many requests of the other one are under way, always.
const FLOOD: usize = 100;
/// The same through a gateway.
const GATEWAY_FLOOD: usize = 50;
/// The seats of a gateway: fewer than the API server's level has.
const GATEWAY_SEATS: u32 = 10;

fn main() {
    let binary = daemon::built("release").or_else(|_| daemon::built("debug")).expect("a binary");
    // The guard of the control plane ends it with this process.
    let world: &'static World = Box::leak(Box::new(World::start_binary(&binary)));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(world));
}

async fn run(world: &'static World) {
    let admin = Objects::new(world.client(ADMIN).await);
    // Accepts no handshake: the API server waits for it as long as the configuration says.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    set_up(world, &admin, silent.local_addr().expect("an address").port()).await;
    let client = world.client(ADMIN).await;
    let place = std::env::var("BAILEY_BENCH_PLACE").ok();
    if place.as_deref() != Some("gateway") {
        at_the_api_server(world, &admin, &client).await;
    }
    if place.as_deref() != Some("api-server") {
        give_shares(&admin, 5).await;
        lead(&admin, &client, true, 5).await;
        until_seats(world, "by-user", 12).await;
        through_gateways(world, &admin).await;
    }
}

async fn give_shares(admin: &Objects, shares: u32) {
    let level = json!({"shares": shares, "listShares": 1, "lendablePercent": 0, "borrowingLimitPercent": 0});
    let class = json!({
        "apiVersion": "bailey.dev/v1alpha1", "kind": "FairnessClass", "metadata": {"name": "busy"},
        "spec": {"default": true, "priorityLevel": level},
    });
    admin.apply(&class).await.expect("the class");
}

/// The first question.
async fn at_the_api_server(world: &World, admin: &Objects, client: &Client) {
    println!(
        "of {REQUESTS} requests of the quiet tenant, each a second of work; {FLOOD} of the other under way"
    );
    println!("| seats | flows | flood | median | longest | refused |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (shares, seats) in [(1, 3), (5, 12)] {
        give_shares(admin, shares).await;
        for by_user in [false, true] {
            let flows = if by_user { "by user" } else { "Bailey's" };
            lead(admin, client, by_user, shares).await;
            until_seats(world, if by_user { "by-user" } else { "tenants-busy" }, seats).await;
            for (what, accounts) in [("none", 0), ("one user", 1), ("100 accounts", 100)] {
                let client = client.clone();
                let send = move |who: Who| {
                    let client = client.clone();
                    async move { send(&client, &who.user(accounts), who.namespace()).await.status }
                };
                let (mut times, refused) = case(if accounts == 0 { 0 } else { FLOOD }, send).await;
                times.sort();
                let longest = times.last().copied().unwrap_or_default();
                let median = times.get(times.len() / 2).copied().unwrap_or_default();
                println!("| {seats} | {flows} | {what} | {median:.1?} | {longest:.1?} | {refused} |");
            }
        }
    }
}

/// The second question. The API server is left with flows by user, in 12 seats.
async fn through_gateways(world: &'static World, admin: &Objects) {
    may_edit(admin, "mouse-web").await;
    let client = world.client(ADMIN).await;
    let mouse = account(&client, "mouse-web", "quiet").await;
    let mut elephants = Vec::new();
    for number in 0..GATEWAY_FLOOD {
        elephants.push(account(&client, "elephant-web", &format!("account-{number}")).await);
    }
    let elephants: Arc<[String]> = elephants.into();
    println!("through a gateway, {GATEWAY_FLOOD} of the other tenant under way");
    println!("| seats of the gateway | flood | median | longest | refused |");
    println!("| --- | --- | --- | --- | --- |");
    for seats in [GATEWAY_SEATS, 0] {
        let flag = format!("--gateway-seats={seats}");
        let name = format!("seats-{seats}");
        let flags = [&*flag, "--gateway-rates=exec=1:1", "--gateway-requests=1000", "--gateway-wait=60"];
        let gateway = Gateway::start_in(world, &name, &flags);
        let base = gateway.url("");
        let http = https_client(&world.access().authority());
        for (what, accounts) in [("none", 0), ("one account", 1), ("50 accounts", GATEWAY_FLOOD)] {
            let (http, base) = (http.clone(), base.clone());
            let (mouse, elephants) = (mouse.clone(), Arc::clone(&elephants));
            let send = move |who: Who| {
                let token = match who {
                    Who::Mouse => &mouse,
                    Who::Elephant(number) => &elephants[number % accounts],
                };
                let path = format!("{base}/api/v1/namespaces/{}/configmaps?dryRun=All", who.namespace());
                let request = http.post(path).bearer_auth(token);
                let request = request.json(&json!({"metadata": {"generateName": "flood-"}}));
                async move { request.send().await.expect("an answer").status().as_u16() }
            };
            let (mut times, refused) = case(if accounts == 0 { 0 } else { GATEWAY_FLOOD }, send).await;
            times.sort();
            let longest = times.last().copied().unwrap_or_default();
            let median = times.get(times.len() / 2).copied().unwrap_or_default();
            println!("| {seats} | {what} | {median:.1?} | {longest:.1?} | {refused} |");
        }
    }
}

/// A service account, and its token.
async fn account(client: &Client, namespace: &str, name: &str) -> String {
    let post = async |path: String, body: Value| -> Value {
        let request = http::Request::post(path).header("Content-Type", "application/json");
        let request = request.body(body.to_string().into_bytes()).expect("a request");
        client.request(request).await.expect("an answer")
    };
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
    post(path.clone(), json!({"metadata": {"name": name}})).await;
    let asked = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let token = post(format!("{path}/{name}/token"), asked).await;
    token["status"]["token"].as_str().expect("a token").to_owned()
}

/// Whose a request is.
#[derive(Debug, Clone, Copy)]
enum Who {
    Mouse,
    /// One of so many that are under way.
    Elephant(usize),
}

impl Who {
    const fn namespace(self) -> &'static str {
        match self {
            Self::Mouse => "mouse-web",
            Self::Elephant(_) => "elephant-web",
        }
    }

    /// As whom it is asked, where the flood is of so many accounts.
    fn user(self, accounts: usize) -> String {
        match self {
            Self::Mouse => "mouse-user".to_owned(),
            Self::Elephant(_) if accounts <= 1 => "elephant-user".to_owned(),
            Self::Elephant(number) => {
                format!("system:serviceaccount:elephant-web:account-{}", number % accounts)
            }
        }
    }
}

/// Waits until the API server gives a level so many seats.
async fn until_seats(world: &World, level: &str, seats: u32) {
    let line = format!("apiserver_flowcontrol_nominal_limit_seats{{priority_level=\"{level}\"}} {seats}");
    until(&format!("the level `{level}` has {seats} seats"), async || {
        let output = world.kubectl(ADMIN, &["get", "--raw", "/metrics"]);
        String::from_utf8_lossy(&output.stdout).lines().any(|found| found == line)
    })
    .await;
}

/// Two tenants, and a webhook that never answers.
async fn set_up(world: &World, admin: &Objects, silent: u16) {
    for name in ["mouse", "elephant"] {
        let member = format!("{{kind: User, name: {name}-user, role: editor}}");
        Tenant::create_in(world, name, &format!("{{members: [{member}]}}")).await;
        give_namespace(world, name, &format!("{name}-web")).await;
    }
    may_edit(admin, "elephant-web").await;
    let webhook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "silent"},
        "webhooks": [{
            "name": "silent.bailey.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Ignore", "timeoutSeconds": 1,
            "clientConfig": {"url": format!("https://127.0.0.1:{silent}/")},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"]}],
        }],
    });
    admin.apply(&webhook).await.expect("the webhook");
}

/// Lets the accounts of a namespace write there.
async fn may_edit(admin: &Objects, namespace: &str) {
    let group = format!("system:serviceaccounts:{namespace}");
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "accounts", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
    });
    admin.apply(&binding).await.expect("the rights of the accounts");
}

/// Leads both tenants to one level by user, before the FlowSchemas of Bailey's, or no longer; waits until it is so.
async fn lead(admin: &Objects, client: &Client, by_user: bool, shares: u32) {
    let limited = json!({
        "nominalConcurrencyShares": shares, "lendablePercent": 0, "borrowingLimitPercent": 0,
        "limitResponse": {"type": "Queue", "queuing": {"queues": 512, "handSize": 6, "queueLengthLimit": 50}},
    });
    let level =
        flow("PriorityLevelConfiguration", "by-user", &json!({"type": "Limited", "limited": limited}));
    let rule = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"]});
    let schema = flow(
        "FlowSchema",
        "by-user",
        &json!({
            "priorityLevelConfiguration": {"name": "by-user"}, "matchingPrecedence": 1_500,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [{
                "subjects": [
                    {"kind": "User", "user": {"name": "mouse-user"}},
                    {"kind": "User", "user": {"name": "elephant-user"}},
                    {"kind": "ServiceAccount", "serviceAccount": {"namespace": "elephant-web", "name": "*"}},
                    {"kind": "ServiceAccount", "serviceAccount": {"namespace": "mouse-web", "name": "*"}},
                ],
                "resourceRules": [rule],
            }],
        }),
    );
    let wanted = if by_user {
        for object in [&level, &schema] {
            admin.apply(object).await.expect("the object of flow control");
        }
        schema
    } else {
        for object in [&schema, &level] {
            // Not there at first.
            let _absent = admin.delete(object).await;
        }
        flow("FlowSchema", "bailey.tenant.mouse", &json!({}))
    };
    until("requests go where they are led, and are allowed", async || {
        let Ok(found) = admin.get(&wanted).await else { return false };
        let answer = send(client, "mouse-user", "mouse-web").await;
        let accounts = send(client, "system:serviceaccount:elephant-web:one", "elephant-web").await;
        let led =
            |answer: &Answer| Some(&answer.schema) == found.metadata.uid.as_ref() && answer.status == 201;
        led(&answer) && accounts.status == 201
    })
    .await;
}

fn flow(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    })
}

/// The times of the quiet tenant's requests that were served, and how many were not, with so many of the other under way.
async fn case<S, F>(flood: usize, send: S) -> (Vec<Duration>, usize)
where
    S: Fn(Who) -> F + Clone + Send + 'static,
    F: Future<Output = u16> + Send,
{
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let running: Vec<_> = (0..flood)
        .map(|number| {
            let (send, stop, answered) = (send.clone(), Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    send(Who::Elephant(number)).await;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    until("the flood is under way", async || flood == 0 || answered.load(Ordering::Relaxed) >= 3).await;
    let (mut times, mut refused) = (Vec::new(), 0);
    for _ in 0..REQUESTS {
        let started = Instant::now();
        match send(Who::Mouse).await {
            201 => times.push(started.elapsed()),
            _ => refused += 1,
        }
    }
    stop.store(true, Ordering::Relaxed);
    for one in running {
        one.await.expect("the flood ends");
    }
    (times, refused)
}

struct Answer {
    status: u16,
    schema: String,
}

/// Asks for a ConfigMap that is not stored, as a user.
async fn send(client: &Client, user: &str, namespace: &str) -> Answer {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "flood-"}});
    let request = http::Request::post(format!("/api/v1/namespaces/{namespace}/configmaps?dryRun=All"))
        .header("Content-Type", "application/json")
        .header("Impersonate-User", user)
        .body(Body::from(object.to_string().into_bytes()))
        .expect("a request");
    let response = client.send(request).await.expect("an answer");
    let schema = response.headers().get("x-kubernetes-pf-flowschema-uid");
    let schema = schema.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    Answer { status: response.status().as_u16(), schema }
}
