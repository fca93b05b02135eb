//! What several replicas decided, read from one of them; and what the door between them lets through.

use std::process::Command;

use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use tests::{ALICE, Replicas, Tenant, World, until, until_some};
use xtask::daemon::Settings;
use xtask::http::{self, free_ports};

use crate::front_proxy::client;

const PATH: &str = "/apis/decisions.bailey.dev/v1alpha1/decisions/told";

/// Three replicas that know each other; the first one is asked for decisions.
fn world(ports: &[u16; 3]) -> World {
    let mut world = World::start();
    world.bailey.settings.extra = Settings::peer_flags(world.access(), ports, 0);
    world.restart_bailey();
    world
}

fn further<'a>(world: &'a World, ports: &[u16; 3]) -> Replicas<'a> {
    Replicas::start_with(world, 3, |number, settings| {
        settings.extra = Settings::peer_flags(world.access(), ports, number);
    })
}

/// The answer to alice and what kubectl says beside it.
fn ask(world: &World, query: &str) -> (Result<Value, String>, String) {
    let output = world.kubectl(ALICE, &["get", "--raw", &format!("{PATH}{query}")]);
    let beside = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.success() {
        true => (Ok(serde_json::from_slice(&output.stdout).unwrap()), beside),
        false => (Err(beside.clone()), beside),
    }
}

fn ids(answer: &Value) -> Vec<String> {
    answer["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// Whether this replica has the decision in its own record.
fn keeps(settings: &Settings, id: &str) -> bool {
    let mut command = Command::new(&settings.binary);
    command.args(["audit", "show", id, "--audit-db"]).arg(settings.audit_database());
    command.output().unwrap().status.success()
}

/// A refusal of alice's that this replica decided: the API server learns a moment later whom it asks about what.
async fn refused_by(world: &World, number: usize, settings: &Settings) -> String {
    let all: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(world.client(ALICE).await);
    let mut labels = Replicas::label(number);
    labels["bailey.dev/tenant"] = json!("told");
    let object =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "wrong", "labels": labels}});
    let object = serde_json::from_value(object).unwrap();
    until_some("the replica refuses, and keeps it", async || {
        let Err(kube::Error::Api(status)) = all.create(&PostParams::default(), &object).await else {
            return None;
        };
        let id = status.details?.causes.first()?.message.strip_prefix("decision ")?.to_owned();
        let start = std::time::Instant::now();
        while start.elapsed().as_secs() < 2 {
            if keeps(settings, &id) {
                return Some(id);
            }
            tokio::task::yield_now().await;
        }
        None
    })
    .await
}

/// How many answers of peers a replica has used.
fn answers_of_peers(port: u16) -> u64 {
    let (_, metrics) = http::get(port, "/metrics").unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix("bailey_decisions_peers_answered_total "));
    line.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_reads_the_decisions_of_all_replicas_and_is_told_when_one_is_missing() {
    let ports = free_ports().unwrap();
    let world = world(&ports);
    let mut replicas = further(&world, &ports);
    Tenant::create_in(&world, "told", "{members: [{kind: User, name: alice, role: owner}]}").await;
    let first = refused_by(&world, 0, &world.bailey.settings).await;
    let second = refused_by(&world, 1, replicas.settings(1)).await;
    let third = refused_by(&world, 2, replicas.settings(2)).await;
    let all = [first.clone(), second.clone(), third.clone()];
    until("alice may read", async || ask(&world, "").0.is_ok()).await;

    let (answer, beside) = ask(&world, "?denied=true&limit=500");
    let answer = answer.unwrap();
    let found = ids(&answer);
    assert!(all.iter().all(|id| found.contains(id)), "{found:?}");
    assert!(found.is_sorted(), "ids sort by time: {found:?}");
    assert_eq!(answer["metadata"]["replicas"], json!({"known": 3, "answered": 3}));
    assert_eq!((&answer["metadata"]["incomplete"], beside.as_str()), (&json!(false), ""));
    assert!(!answer.to_string().contains("groups"), "{answer}");
    let newest = ids(&ask(&world, "?denied=true&limit=2").0.unwrap());
    assert_eq!(newest, found[found.len() - 2..]);
    for id in &all {
        assert_eq!(ids(&ask(&world, &format!("?id={id}")).0.unwrap()), std::slice::from_ref(id));
    }
    // Who is asked by a peer asks nobody: only the first replica has used answers of others.
    let [asked, others @ ..] = replicas.http_ports().try_into().unwrap_or([0; 3]);
    assert!(answers_of_peers(asked) >= 2);
    assert_eq!(others.map(answers_of_peers), [0, 0]);

    // One that hangs, then one that is gone.
    signal("-STOP", replicas.pid(2));
    missing_one(&world, &[&first, &second], &third);
    signal("-CONT", replicas.pid(2));
    replicas.kill(2);
    missing_one(&world, &[&first, &second], &third);
    let (_, metrics) = http::get(asked, "/metrics").unwrap();
    for reason in ["late", "connection"] {
        assert!(metrics.contains(&format!("peers_unanswered_total{{reason=\"{reason}\"}}")), "{metrics}");
    }
}

/// The answer without the third replica, as kubectl and the plugin show it.
fn missing_one(world: &World, there: &[&String], not_there: &str) {
    let warning = "1 of 3 replicas of Bailey did not answer";
    let (answer, beside) = ask(world, "?denied=true&limit=500");
    let answer = answer.unwrap();
    let found = ids(&answer);
    assert!(
        there.iter().all(|id| found.contains(id)) && !found.iter().any(|id| id == not_there),
        "{found:?}"
    );
    assert_eq!(answer["metadata"]["incomplete"], true);
    assert_eq!(answer["metadata"]["replicas"], json!({"known": 3, "answered": 2}));
    assert!(beside.starts_with("Warning: ") && beside.contains(warning), "{beside}");
    let unknown = ask(world, &format!("?id={not_there}")).0.unwrap_err();
    assert!(unknown.contains("no record has the id") && unknown.contains(warning), "{unknown}");

    let mut command = Command::new(world.bailey.settings.binary.with_file_name("kubectl-tenant"));
    command.env("KUBECONFIG", world.access().kubeconfig(ALICE)).args(["denials", "--tenant", "told"]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains(&format!("note: {warning}")), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains(there[1].as_str()));
}

fn signal(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_a_replica_reads_at_the_door_between_replicas() {
    let ports = free_ports().unwrap();
    let world = world(&ports);
    Tenant::create_in(&world, "told", "{members: [{kind: User, name: alice, role: owner}]}").await;
    until("alice may read", async || ask(&world, "").0.is_ok()).await;

    // Without the certificate, and with one of the same authority for another name, whatever else is said.
    let url = format!("https://127.0.0.1:{}/v1/decisions/told", ports[0]);
    for identity in [None, Some(world.access().webhook_client())] {
        let request = client(&world, identity).get(&url).header("X-Remote-User", "admin");
        let answer = request.header("X-Remote-Group", "system:masters").send().await.unwrap();
        assert_eq!(answer.status(), 403);
    }
    let proxy = client(&world, Some(world.access().proxy_client()));
    assert!(proxy.get(&url).send().await.is_err(), "another authority's certificate ends the handshake");
    let replica = client(&world, Some(world.access().webhook_server()));
    assert_eq!(replica.get(&url).send().await.unwrap().status(), 200);
    // A replica's certificate does not open the API server's door.
    let api = format!("https://127.0.0.1:{}{PATH}", world.bailey.settings.api_port);
    assert!(replica.get(&api).send().await.is_err());

    // Nor is there a way through the API server: not as a parameter, a path, a header, or its proxies.
    for query in ["?peers=false", "?replica=x"] {
        let refused = ask(&world, query).0.unwrap_err();
        assert!(refused.contains("unknown field"), "{refused}");
    }
    for path in ["/../../../../v1/decisions/told", "/v1/decisions/told", "%2Fv1"] {
        assert!(ask(&world, path).0.is_err(), "{path}");
    }
    let service = "/api/v1/namespaces/bailey-system/services/https:bailey-peers:8445/proxy/v1/decisions/told";
    let output = world.kubectl(ALICE, &["get", "--raw", service]);
    assert!(String::from_utf8_lossy(&output.stderr).to_lowercase().contains("forbidden"));
    let headers = ::http::Request::get(PATH)
        .header("X-Remote-User", "admin")
        .header("X-Remote-Group", "system:masters");
    let body = world.client(ALICE).await.request_text(headers.body(Vec::new()).unwrap()).await.unwrap();
    let answer: Value = serde_json::from_str(&body).unwrap();
    // The two others are not started here; the question was put to them all the same.
    assert_eq!(answer["metadata"]["replicas"], json!({"known": 3, "answered": 1}));
}
