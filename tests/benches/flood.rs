//! Question: how long does a quiet tenant wait at a busy API server while another floods it, as one user and as 100
//! service accounts, with the FlowSchemas that Bailey writes and with flows by user, as every cluster has them?
//!
//! Both have one priority level, of 3 seats and then of 12. Each request takes its seat for a second, which it spends waiting for a
//! webhook that never answers: what is measured is the order of requests, not the speed of the machine.
//!
//! `cargo xtask bench flood`.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tests::{ADMIN, Objects, Tenant, World, give_namespace, until};
use xtask::daemon;

/// Requests of the quiet tenant in each case, one after the other.
const REQUESTS: usize = 10;
/// How many requests of the other one are under way, always.
const FLOOD: usize = 100;

fn main() {
    let binary = daemon::built("release").or_else(|_| daemon::built("debug")).expect("a binary");
    let world = World::start_binary(&binary);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(&world));
}

async fn run(world: &World) {
    let admin = Objects::new(world.client(ADMIN).await);
    // Accepts no handshake: the API server waits for it as long as the configuration says.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    set_up(world, &admin, silent.local_addr().expect("an address").port()).await;
    let client = world.client(ADMIN).await;
    println!(
        "of {REQUESTS} requests of the quiet tenant, each a second of work; {FLOOD} of the other under way"
    );
    println!("| seats | flows | flood | median | longest | refused |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (shares, seats) in [(1, 3), (5, 12)] {
        let level =
            json!({"shares": shares, "listShares": 1, "lendablePercent": 0, "borrowingLimitPercent": 0});
        let class = json!({
            "apiVersion": "bailey.dev/v1alpha1", "kind": "FairnessClass", "metadata": {"name": "busy"},
            "spec": {"default": true, "priorityLevel": level},
        });
        admin.apply(&class).await.expect("the class");
        for by_user in [false, true] {
            let flows = if by_user { "by user" } else { "Bailey's" };
            lead(&admin, &client, by_user, shares).await;
            until_seats(world, if by_user { "by-user" } else { "tenants-busy" }, seats).await;
            for (what, accounts) in [("none", 0), ("one user", 1), ("100 accounts", 100)] {
                let (mut times, refused) = case(&client, accounts).await;
                times.sort();
                let longest = times.last().copied().unwrap_or_default();
                let median = times.get(times.len() / 2).copied().unwrap_or_default();
                println!("| {seats} | {flows} | {what} | {median:.1?} | {longest:.1?} | {refused} |");
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
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "accounts", "namespace": "elephant-web"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{
            "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:serviceaccounts:elephant-web",
        }],
    });
    admin.apply(&binding).await.expect("the rights of the accounts");
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

/// The times of the quiet tenant's requests that were served, and how many were not.
async fn case(client: &Client, accounts: usize) -> (Vec<Duration>, usize) {
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let flood = if accounts == 0 { 0 } else { FLOOD };
    let running: Vec<_> = (0..flood)
        .map(|number| {
            let (client, stop, answered) = (client.clone(), Arc::clone(&stop), Arc::clone(&answered));
            let user = match accounts {
                1 => "elephant-user".to_owned(),
                _ => format!("system:serviceaccount:elephant-web:account-{}", number % accounts),
            };
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    send(&client, &user, "elephant-web").await;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    until("the flood is under way", async || flood == 0 || answered.load(Ordering::Relaxed) >= 3).await;
    let (mut times, mut refused) = (Vec::new(), 0);
    for _ in 0..REQUESTS {
        let started = Instant::now();
        match send(client, "mouse-user", "mouse-web").await.status {
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
