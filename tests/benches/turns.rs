//! Question: how long does a quiet tenant's write wait for the webhook's one evaluation thread while another always has 50 writes
//! under way, as one user and as 50 service accounts: in turns by tenant, and in the order in which requests come?
//!
//! A policy takes some 20 ms for each ConfigMap. What belongs to no tenant is one flow: its requests are evaluated as they come, as
//! by a webhook that knows no tenants. All writes are dry runs through a real API server, which has seats for all of them.
//!
//! `cargo xtask bench turns`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kube::Client;
use kube::client::Body;
use serde_json::json;
use tests::{ADMIN, Objects, Tenant, World, give_namespace, until};
use xtask::daemon;

/// Writes of the quiet tenant in each case, one after the other.
const WRITES: usize = 50;
/// How many of the other one are under way, always.
const FLOOD: usize = 50;

const POLICY: &str = r#"
apiVersion: bailey.dev/v1alpha1
kind: Policy
metadata: {name: slow}
spec:
  rego:
    source: |
      package slow
      violation contains {"code": "never"} if {
        count([number | some number in numbers.range(1, 20000); number % 7 == 3]) == 0
      }
---
apiVersion: bailey.dev/v1alpha1
kind: PolicyBinding
metadata: {name: slow}
spec:
  policy: slow
  enforcement: deny
  match:
    resources:
    - {apiGroups: [""], kinds: [ConfigMap], operations: [CREATE]}
    namespaces: [mouse-web, elephant-web, mouse-loose, elephant-loose]
"#;

fn main() {
    let binary = daemon::built("release").or_else(|_| daemon::built("debug")).expect("a binary");
    // The guard of the control plane ends it with this process.
    let mut world = World::start_binary(&binary);
    world.stop_bailey();
    world.bailey.settings.extra.push("--workers=1".to_owned());
    world.start_bailey();
    let world: &'static World = Box::leak(Box::new(world));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(world));
}

async fn run(world: &World) {
    let admin = Objects::new(world.client(ADMIN).await);
    for name in ["mouse", "elephant"] {
        let member = format!("{{kind: User, name: {name}-web-user, role: editor}}");
        Tenant::create_in(world, name, &format!("{{members: [{member}]}}")).await;
        give_namespace(world, name, &format!("{name}-web")).await;
        let loose =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("{name}-loose")}});
        admin.apply(&loose).await.expect("the namespace");
        for place in ["web", "loose"] {
            may_edit(&admin, name, place).await;
        }
    }
    admin.apply_all(POLICY).await;
    let client = world.client(ADMIN).await;
    for place in ["web", "loose"] {
        for name in ["mouse", "elephant"] {
            let namespace = format!("{name}-{place}");
            let user = format!("{namespace}-user");
            until(&format!("{user} may write"), async || create(&client, &user, &namespace).await == 201)
                .await;
        }
    }
    println!("of {WRITES} writes of the quiet tenant; {FLOOD} of the other under way");
    println!("| turns | flood | median | longest | refused |");
    println!("| --- | --- | --- | --- | --- |");
    for (turns, place) in [("by tenant", "web"), ("as they come", "loose")] {
        for (what, flood, accounts) in [("none", 0, 1), ("one user", FLOOD, 1), ("50 accounts", FLOOD, FLOOD)]
        {
            let (mut times, refused) = case(&client, place, flood, accounts).await;
            times.sort();
            let median = times.get(times.len() / 2).copied().unwrap_or_default();
            let longest = times.last().copied().unwrap_or_default();
            println!("| {turns} | {what} | {median:.0?} | {longest:.0?} | {refused} |");
        }
    }
}

/// Lets a user, and the accounts of a namespace, write there.
async fn may_edit(admin: &Objects, name: &str, place: &str) {
    let subject =
        |kind: &str, name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "flood", "namespace": format!("{name}-{place}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [
            subject("User", &format!("{name}-{place}-user")),
            subject("Group", &format!("system:serviceaccounts:{name}-{place}")),
        ],
    });
    admin.apply(&binding).await.expect("the rights");
}

/// The times of the quiet tenant's writes that passed, and how many did not, with so many of the other under way.
async fn case(client: &Client, place: &'static str, flood: usize, accounts: usize) -> (Vec<Duration>, usize) {
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let one = |number: usize| {
        let (client, stop, answered) = (client.clone(), Arc::clone(&stop), Arc::clone(&answered));
        let user = match accounts {
            0 | 1 => format!("elephant-{place}-user"),
            _ => format!("system:serviceaccount:elephant-{place}:account-{number}"),
        };
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                create(&client, &user, &format!("elephant-{place}")).await;
                answered.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let running: Vec<_> = (0..flood).map(one).collect();
    until("the flood is under way", async || answered.load(Ordering::Relaxed) >= flood).await;
    let (mut times, mut refused) = (Vec::new(), 0);
    for _ in 0..WRITES {
        let started = Instant::now();
        match create(client, &format!("mouse-{place}-user"), &format!("mouse-{place}")).await {
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

/// The status of a ConfigMap that is created, and not stored.
async fn create(client: &Client, user: &str, namespace: &str) -> u16 {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "flood-"}});
    let request = http::Request::post(format!("/api/v1/namespaces/{namespace}/configmaps?dryRun=All"))
        .header("Content-Type", "application/json")
        .header("Impersonate-User", user)
        .body(Body::from(object.to_string().into_bytes()))
        .expect("a request");
    client.send(request).await.expect("an answer").status().as_u16()
}
