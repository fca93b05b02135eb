//! Nodes, PersistentVolumes, classes and CustomResourceDefinitions: what a tenant was granted of them, and nothing else.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::{ADMIN, Objects, Tenant, World, give_namespace, until};

use crate::lists::Robot;
use crate::{gateway, text};

const NODES: &str = "/api/v1/nodes";
const VOLUMES: &str = "/api/v1/persistentvolumes";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const STORAGE: &str = "/apis/storage.k8s.io/v1/storageclasses";
const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

async fn admin() -> Objects {
    Objects::new(World::shared().client(ADMIN).await)
}

fn node(name: &str, pool: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"pool": pool}}})
}

fn volume(name: &str, namespace: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/none"},
        "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "none",
        "claimRef": {"kind": "PersistentVolumeClaim", "namespace": namespace, "name": name},
    }})
}

/// A member of a tenant whose Pods run on nodes of a pool.
async fn of_pool(name: &str, pool: &str) -> Robot {
    let robot = Robot::new(name).await;
    let profile = json!({"apiVersion": "bailey.dev/v1alpha1", "kind": "IsolationProfile", "metadata": {"name": name},
        "spec": {"allow": {"scheduling": {"nodeSelector": {"pool": pool}}}}});
    admin().await.apply(&profile).await.unwrap();
    let spec = robot.member("viewer").replace("{members", &format!("{{isolationProfile: {name}, members"));
    Tenant::create(name, &spec).await;
    robot
}

/// What the API server itself answers an administrator.
async fn direct(path: &str, accept: &str) -> Value {
    let request = http::Request::get(path).header("Accept", accept).body(Vec::new()).unwrap();
    let text = World::shared().client(ADMIN).await.request_text(request).await.unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Without what changes from one moment to the next.
fn settled(mut answer: Value) -> Value {
    answer["metadata"]["resourceVersion"] = "".into();
    for row in answer["rows"].as_array_mut().into_iter().flatten() {
        row["cells"].as_array_mut().unwrap().retain(|cell| !cell.as_str().is_some_and(is_age));
    }
    answer
}

fn is_age(cell: &str) -> bool {
    cell.starts_with(|letter: char| letter.is_ascii_digit()) && cell.ends_with(['s', 'm', 'h'])
}

#[tokio::test]
async fn every_form_is_as_the_api_server_writes_it() {
    let (gateway, robot, admin) = (gateway().await, of_pool("granted-forms", "forms").await, admin().await);
    for name in ["granted-forms-a", "granted-forms-b"] {
        admin.apply(&node(name, "forms")).await.unwrap();
    }
    admin.apply(&node("granted-forms-z", "others")).await.unwrap();
    robot.until_lists(gateway, NODES, &["granted-forms-a", "granted-forms-b"]).await;
    for accept in ["application/json", TABLE, METADATA] {
        for query in ["", "&includeObject=Object", "&includeObject=None"] {
            // Nothing else writes to these: both soon have the same versions of them.
            let path = format!("{NODES}?labelSelector=pool%3Dforms{query}");
            until(&format!("{accept} {query}"), async || {
                let (status, body) = robot.get(gateway, &path, accept).await;
                assert_eq!(status, 200, "{body:?}");
                settled(serde_json::from_slice(&body).unwrap()) == settled(direct(&path, accept).await)
            })
            .await;
        }
        let path = format!("{NODES}/granted-forms-a");
        let accept = accept.replace("List;", ";");
        until(&accept, async || {
            let (status, body) = robot.get(gateway, &path, &accept).await;
            assert_eq!(status, 200, "{body:?}");
            settled(serde_json::from_slice(&body).unwrap()) == settled(direct(&path, &accept).await)
        })
        .await;
    }
    let (status, _) = robot.get(gateway, NODES, "application/vnd.kubernetes.protobuf").await;
    assert_eq!(status, 406);
    // Not told apart: one of others, and none.
    for name in ["granted-forms-z", "granted-forms-none", "granted-forms-%61"] {
        let (status, body) = robot.get(gateway, &format!("{NODES}/{name}"), "*/*").await;
        assert_eq!(status, 403, "{body:?}");
    }
}

#[tokio::test]
async fn kubectl_shows_what_was_granted() {
    let (gateway, robot, admin) = (gateway().await, of_pool("granted-kubectl", "shown").await, admin().await);
    admin.apply(&node("granted-kubectl-a", "shown")).await.unwrap();
    robot.until_lists(gateway, NODES, &["granted-kubectl-a"]).await;
    let run = |arguments: &[&str]| {
        let output = robot.kubectl(gateway, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        text(&output)
    };
    let heads = |table: &str| -> Vec<String> {
        table.lines().next().unwrap().split_whitespace().map(str::to_owned).collect()
    };
    let table = run(&["get", "nodes"]);
    assert_eq!(heads(&table), ["NAME", "STATUS", "ROLES", "AGE", "VERSION"], "{table}");
    assert!(table.lines().count() == 2 && table.contains("granted-kubectl-a"), "{table}");
    let wide = run(&["get", "nodes", "--output=wide", "--show-labels", "--no-headers"]);
    assert!(wide.contains("pool=shown"), "{wide}");
    assert_eq!(run(&["get", "nodes", "--output=name", "--chunk-size=1"]).trim(), "node/granted-kubectl-a");
    let selected =
        run(&["get", "nodes", "--selector=pool in (shown),!tier", "--output=jsonpath={.items[*].kind}"]);
    assert_eq!(selected, "Node");
    assert!(run(&["describe", "node", "granted-kubectl-a"]).contains("pool=shown"));
    let waits =
        ["wait", "--for=jsonpath={.metadata.labels.pool}=shown", "node/granted-kubectl-a", "--timeout=20s"];
    assert!(run(&waits).contains("condition met"));
    assert!(run(&["get", "pv"]).contains("No resources found"));
    let watched = robot.kubectl(gateway, &["get", "nodes", "--watch", "--request-timeout=2s"]);
    assert!(text(&watched).contains("granted-kubectl-a"), "{}", text(&watched));
    let definitions = run(&["get", "customresourcedefinitions"]);
    assert_eq!(heads(&definitions), ["NAME", "CREATED", "AT"], "{definitions}");
    let other = robot.kubectl(gateway, &["get", "node", "granted-kubectl-other"]);
    assert!(!other.status.success() && text(&other).contains("Forbidden"), "{}", text(&other));
}

#[tokio::test]
async fn pages_are_of_one_version() {
    let (gateway, robot, admin) = (gateway().await, of_pool("granted-pages", "pages").await, admin().await);
    let all = ["a", "b", "c", "d"].map(|letter| format!("granted-pages-{letter}"));
    for name in &all {
        admin.apply(&node(name, "pages")).await.unwrap();
    }
    robot.until_lists(gateway, NODES, &all.each_ref().map(String::as_str)).await;
    let first = format!("{NODES}?limit=2");
    let (page, version, rest) = robot.list(gateway, &first).await;
    assert_eq!(page, all[..2].iter().cloned().collect::<BTreeSet<_>>());
    // What happens in between is in none of its pages.
    admin.delete(&node(&all[3], "pages")).await.unwrap();
    admin.apply(&node("granted-pages-c2", "pages")).await.unwrap();
    robot
        .until_lists(
            gateway,
            NODES,
            &["a", "b", "c", "c2"]
                .map(|letter| format!("granted-pages-{letter}"))
                .each_ref()
                .map(String::as_str),
        )
        .await;
    let (page, same, rest) = robot.list(gateway, &format!("{first}&continue={}", rest.unwrap())).await;
    assert_eq!((page, &same, rest), (all[2..].iter().cloned().collect(), &version, None));
    let exact = format!("{NODES}?resourceVersion={version}&resourceVersionMatch=Exact");
    assert_eq!(robot.list(gateway, &exact).await.0.len(), 4);
    let (status, body) = robot.get(gateway, &format!("{NODES}?resourceVersion=99999999999"), "*/*").await;
    let late: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status, 504, "{late}");
    let causes = late["details"]["causes"].as_array().unwrap();
    assert!(causes.iter().any(|cause| cause["reason"] == "ResourceVersionTooLarge"), "{late}");
    let old = format!("{NODES}?resourceVersion=1&resourceVersionMatch=Exact");
    assert_eq!(robot.get(gateway, &old, "*/*").await.0, 410);
}

#[tokio::test]
async fn a_watch_sees_nodes_come_and_leave() {
    let (gateway, robot, admin) = (gateway().await, of_pool("granted-watch", "watched").await, admin().await);
    admin.apply(&node("granted-watch-a", "watched")).await.unwrap();
    let version = robot.until_lists(gateway, NODES, &["granted-watch-a"]).await;
    let mut watch = robot.watch(gateway, &format!("{NODES}?watch=1&resourceVersion={version}")).await;
    admin.apply(&node("granted-watch-other", "others")).await.unwrap();
    admin.apply(&node("granted-watch-b", "watched")).await.unwrap();
    let seen = watch.until("ADDED", "granted-watch-b").await;
    assert!(seen.iter().all(|(_, name)| name != "granted-watch-other"), "{seen:?}");
    let label = |name: &str, label: &str| {
        let done = World::shared().kubectl(ADMIN, &["label", "--overwrite", "node", name, label]);
        assert!(done.status.success(), "{}", text(&done));
    };
    label("granted-watch-b", "more=yes");
    watch.until("MODIFIED", "granted-watch-b").await;
    label("granted-watch-b", "pool=others");
    // As it was seen last: what it is now is not theirs to know.
    let gone = loop {
        let event = watch.event().await.expect("it goes on");
        if event["type"] == "DELETED" {
            break event;
        }
    };
    assert_eq!(gone["object"]["metadata"]["labels"]["pool"], "watched", "{gone}");
    assert!(gone["object"]["metadata"]["resourceVersion"].as_str().unwrap() > version.as_str());
    label("granted-watch-other", "pool=watched");
    let seen = watch.until("ADDED", "granted-watch-other").await;
    assert!(seen.iter().all(|(_, name)| name != "granted-watch-b"), "{seen:?}");
    // A selector of the client's narrows it further.
    let mut narrow = robot.watch(gateway, &format!("{NODES}?watch=1&labelSelector=tier%3Dgold")).await;
    label("granted-watch-a", "tier=iron");
    label("granted-watch-other", "tier=gold");
    assert_eq!(narrow.next().await.unwrap(), ("ADDED".to_owned(), "granted-watch-other".to_owned()));
    label("granted-watch-other", "tier=iron");
    assert_eq!(narrow.next().await.unwrap(), ("DELETED".to_owned(), "granted-watch-other".to_owned()));
    // What there is, then a bookmark that says so.
    let initial = "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let mut initial = robot.watch(gateway, &format!("{NODES}?watch=1&{initial}")).await;
    let seen: BTreeSet<_> = initial.until("BOOKMARK", "").await.into_iter().map(|(_, name)| name).collect();
    assert_eq!(seen, ["", "granted-watch-a", "granted-watch-other"].map(str::to_owned).into());
    let mut short = robot.watch(gateway, &format!("{NODES}?watch=1&timeoutSeconds=1")).await;
    while short.next().await.is_some() {}
    let (status, _) = robot.get(gateway, &format!("{NODES}?watch=1&resourceVersion=1"), "*/*").await;
    assert_eq!(status, 410);
}

#[tokio::test]
async fn a_watch_ends_when_a_profile_shows_something_else() {
    let (gateway, robot, admin) =
        (gateway().await, of_pool("granted-profile", "before").await, admin().await);
    admin.apply(&node("granted-profile-a", "before")).await.unwrap();
    admin.apply(&node("granted-profile-b", "after")).await.unwrap();
    let version = robot.until_lists(gateway, NODES, &["granted-profile-a"]).await;
    let from = format!("{NODES}?watch=1&resourceVersion={version}");
    let mut watch = robot.watch(gateway, &from).await;
    let profile = json!({"apiVersion": "bailey.dev/v1alpha1", "kind": "IsolationProfile",
        "metadata": {"name": "granted-profile"},
        "spec": {"allow": {"scheduling": {"nodeSelector": {"pool": "after"}}}}});
    admin.apply(&profile).await.unwrap();
    while let Some((event, name)) = watch.next().await {
        assert_eq!(name, "granted-profile-a", "{event}");
    }
    let (status, body) = robot.get(gateway, &from, "*/*").await;
    assert_eq!(status, 410, "{body:?}");
    robot.until_lists(gateway, NODES, &["granted-profile-b"]).await;
    // Without a profile no node is granted.
    let plain = Robot::new("granted-plain").await;
    Tenant::create("granted-plain", &plain.member("viewer")).await;
    plain.until_lists(gateway, NODES, &[]).await;
}

#[tokio::test]
async fn volumes_are_those_of_claims_in_a_tenants_namespaces() {
    let (gateway, robot, admin) = (gateway().await, Robot::new("granted-volumes").await, admin().await);
    Tenant::create("granted-volumes", &robot.member("viewer")).await;
    Tenant::create("granted-neighbours", "{}").await;
    give_namespace(World::shared(), "granted-volumes", "granted-volumes-a").await;
    give_namespace(World::shared(), "granted-neighbours", "granted-neighbours-a").await;
    admin.apply(&volume("granted-volume-1", "granted-volumes-a")).await.unwrap();
    admin.apply(&volume("granted-volume-2", "granted-neighbours-a")).await.unwrap();
    let version = robot.until_lists(gateway, VOLUMES, &["granted-volume-1"]).await;
    let mut watch = robot.watch(gateway, &format!("{VOLUMES}?watch=1&resourceVersion={version}")).await;
    admin.apply(&volume("granted-volume-3", "granted-neighbours-a")).await.unwrap();
    admin.apply(&volume("granted-volume-4", "granted-volumes-a")).await.unwrap();
    let seen = watch.until("ADDED", "granted-volume-4").await;
    assert!(seen.iter().all(|(_, name)| name != "granted-volume-3"), "{seen:?}");
    let (status, _) = robot.get(gateway, &format!("{VOLUMES}/granted-volume-1"), "*/*").await;
    assert_eq!(status, 200);
    let (status, _) = robot.get(gateway, &format!("{VOLUMES}/granted-volume-2"), "*/*").await;
    assert_eq!(status, 403);
    // Released is nobody's any more: the next tenant with a namespace of that name does not see it.
    let gone = r#"{"spec": {"claimRef": {"uid": "of-a-claim-that-is-gone"}}}"#;
    let release = ["patch", "persistentvolume", "granted-volume-4", "--type=merge", "--patch", gone];
    let released = World::shared().kubectl(ADMIN, &release);
    assert!(released.status.success(), "{}", text(&released));
    watch.until("DELETED", "granted-volume-4").await;
    // A namespace that comes into the tenant brings its volumes, and a list from before is not gone on from.
    let hand =
        ["label", "--overwrite", "namespace", "granted-neighbours-a", "bailey.dev/tenant=granted-volumes"];
    let handed = World::shared().kubectl(ADMIN, &hand);
    assert!(handed.status.success(), "{}", text(&handed));
    while watch.next().await.is_some() {}
    let all = ["1", "2", "3"].map(|number| format!("granted-volume-{number}"));
    robot.until_lists(gateway, VOLUMES, &all.each_ref().map(String::as_str)).await;
    assert_eq!(
        robot.get(gateway, &format!("{VOLUMES}?watch=1&resourceVersion={version}"), "*/*").await.0,
        410
    );
}

#[tokio::test]
async fn classes_are_watched_and_definitions_shown() {
    let (gateway, robot, admin) = (gateway().await, Robot::new("granted-kinds").await, admin().await);
    let profile = json!({"apiVersion": "bailey.dev/v1alpha1", "kind": "IsolationProfile",
        "metadata": {"name": "granted-kinds"},
        "spec": {"allow": {"storageClasses": {"allowed": ["granted-kinds-gold*"]}}}});
    admin.apply(&profile).await.unwrap();
    let spec = robot.member("viewer").replace("{members", "{isolationProfile: granted-kinds, members");
    Tenant::create("granted-kinds", &spec).await;
    robot.until_lists(gateway, STORAGE, &[]).await;
    let mut watch = robot.watch(gateway, &format!("{STORAGE}?watch=1")).await;
    for name in ["granted-kinds-iron", "granted-kinds-gold"] {
        let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
            "provisioner": "example.com/none"});
        admin.apply(&class).await.unwrap();
    }
    assert_eq!(watch.next().await.unwrap(), ("ADDED".to_owned(), "granted-kinds-gold".to_owned()));
    let tables =
        robot.send(gateway, &format!("{STORAGE}?watch=1"), TABLE).await.chunk().await.unwrap().unwrap();
    let event: Value = serde_json::from_slice(&tables).unwrap();
    assert_eq!(event["object"]["columnDefinitions"][0]["name"], "Name", "{event}");
    assert_eq!(event["object"]["rows"][0]["cells"][0], "granted-kinds-gold", "{event}");
    let (found, ..) = robot.list(gateway, DEFINITIONS).await;
    assert!(found.contains("tenants.bailey.dev"), "{found:?}");
    let (status, _) = robot.get(gateway, &format!("{DEFINITIONS}/tenants.bailey.dev"), TABLE).await;
    assert_eq!(status, 200);
    assert_eq!(robot.get(gateway, &format!("{DEFINITIONS}/none.example.com"), "*/*").await.0, 404);
    // One spelling, one cache.
    let spelled = format!("{}?limit=5", DEFINITIONS.replace("customresource", "custom%72esource"));
    assert_eq!(robot.get(gateway, &spelled, "*/*").await.0, 403);
    // There is no such kind here.
    let none = "/apis/gateway.networking.k8s.io/v1/gatewayclasses";
    assert_eq!(robot.get(gateway, none, "*/*").await.0, 404);
    let version = "/apis/storage.k8s.io/v9/storageclasses";
    assert_eq!(robot.get(gateway, version, "*/*").await.0, 404);
}

#[tokio::test]
async fn who_changed_a_namespace_sees_it_in_the_next_list() {
    let (gateway, robot) = (gateway().await, Robot::new("granted-writes").await);
    Tenant::create("granted-writes", &robot.member("owner")).await;
    give_namespace(World::shared(), "granted-writes", "granted-writes-a").await;
    robot.until_lists(gateway, "/api/v1/namespaces", &["granted-writes-a"]).await;
    for number in 0..5 {
        let name = format!("granted-writes-{number}");
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"bailey.dev/tenant": "granted-writes"}}});
        until(&format!("{name} is created"), async || {
            robot.post(gateway, "/api/v1/namespaces", &namespace).await.status() == 201
        })
        .await;
        let (found, ..) = robot.list(gateway, "/api/v1/namespaces?limit=500").await;
        assert!(found.len() == number + 2 && found.contains(&name), "{found:?}");
    }
}
