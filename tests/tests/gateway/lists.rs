//! Lists and watches of the whole cluster: who asks sees what is theirs, and nothing widens it.

use std::collections::BTreeSet;
use std::process::Output;

use bytes::Bytes;
use serde_json::{Value, json};
use tests::gateway::Gateway;
use tests::{ADMIN, ALICE, BOB, Objects, Tenant, World, give_namespace, https_client, until, until_some};

use crate::{gateway, text};

const NAMESPACES: &str = "/api/v1/namespaces";

/// A service account that is a member of tenants of its own, so that nobody else's tests change what it sees.
pub(crate) struct Robot {
    pub(crate) name: String,
    token: String,
}

impl Robot {
    pub(crate) async fn new(name: &str) -> Self {
        let gateway = gateway().await;
        let admin = Objects::new(World::shared().client(ADMIN).await);
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": "shop-web"}});
        admin.apply(&account).await.unwrap();
        let token = World::shared().kubectl(ADMIN, &["create", "token", name, "--namespace=shop-web"]);
        let robot = Self { name: name.to_owned(), token: text(&token).trim().to_owned() };
        assert_eq!(robot.get(gateway, "/version", "*/*").await.0, 200, "{}", robot.token);
        robot
    }

    /// The spec of a tenant that it is a member of.
    pub(crate) fn member(&self, role: &str) -> String {
        let name = &self.name;
        format!("{{members: [{{kind: ServiceAccount, name: {name}, namespace: shop-web, role: {role}}}]}}")
    }

    /// Runs the stock kubectl as it.
    pub(crate) fn kubectl(&self, gateway: &Gateway, arguments: &[&str]) -> Output {
        let mut config = gateway.kubeconfig_of(ALICE);
        config["clusters"][0]["cluster"]["server"] = gateway.url("").into();
        config["users"][0]["user"] = json!({"token": self.token});
        gateway.kubectl_with(&config, &self.name, arguments)
    }

    pub(crate) async fn send(&self, gateway: &Gateway, path: &str, accept: &str) -> reqwest::Response {
        let client = https_client(&World::shared().access().authority());
        let request = client.get(gateway.url(path)).bearer_auth(&self.token).header("Accept", accept);
        request.send().await.unwrap()
    }

    pub(crate) async fn post(&self, gateway: &Gateway, path: &str, object: &Value) -> reqwest::Response {
        let client = https_client(&World::shared().access().authority());
        client.post(gateway.url(path)).bearer_auth(&self.token).json(object).send().await.unwrap()
    }

    pub(crate) async fn get(&self, gateway: &Gateway, path: &str, accept: &str) -> (u16, Bytes) {
        let response = self.send(gateway, path, accept).await;
        (response.status().as_u16(), response.bytes().await.unwrap())
    }

    /// The names of a list, its version, and its token for the rest.
    pub(crate) async fn list(
        &self,
        gateway: &Gateway,
        path: &str,
    ) -> (BTreeSet<String>, String, Option<String>) {
        let (status, body) = self.get(gateway, path, "application/json").await;
        assert_eq!(status, 200, "{path}: {body:?}");
        let list: Value = serde_json::from_slice(&body).unwrap();
        let metadata = &list["metadata"];
        let version = metadata["resourceVersion"].as_str().unwrap().to_owned();
        (names(&list["items"]), version, metadata["continue"].as_str().map(str::to_owned))
    }

    /// Waits until its list has just these names; gives its version.
    pub(crate) async fn until_lists(&self, gateway: &Gateway, path: &str, expected: &[&str]) -> String {
        let expected: BTreeSet<String> = expected.iter().map(|&name| name.to_owned()).collect();
        until_some(&format!("{path} has {expected:?}"), async || {
            let (status, body) = self.get(gateway, path, "application/json").await;
            let list: Value = serde_json::from_slice(&body).unwrap();
            let version = list["metadata"]["resourceVersion"].as_str()?.to_owned();
            (status == 200 && names(&list["items"]) == expected).then_some(version)
        })
        .await
    }

    pub(crate) async fn watch(&self, gateway: &Gateway, path: &str) -> Watch {
        let response = self.send(gateway, path, "application/json").await;
        assert_eq!(response.status(), 200, "{path}");
        Watch { response, buffer: Vec::new() }
    }
}

pub(crate) fn names(items: &Value) -> BTreeSet<String> {
    let items = items.as_array().into_iter().flatten();
    items.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// An open watch.
pub(crate) struct Watch {
    response: reqwest::Response,
    buffer: Vec<u8>,
}

impl Watch {
    /// Type and name of the next event; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<(String, String)> {
        let event = self.event().await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Some((text(&event["type"]), text(&event["object"]["metadata"]["name"])))
    }

    /// The next event; `None` at the end.
    pub(crate) async fn event(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = tokio::time::timeout(tests::SOON, self.response.chunk()).await;
            self.buffer.extend(chunk.expect("something comes soon").unwrap()?);
        }
    }

    /// The events up to the one that comes of this name, with it.
    pub(crate) async fn until(&mut self, event: &str, name: &str) -> Vec<(String, String)> {
        let last = (event.to_owned(), name.to_owned());
        let mut seen = Vec::new();
        while seen.last() != Some(&last) {
            seen.push(self.next().await.expect("the watch goes on"));
        }
        seen
    }
}

#[tokio::test]
async fn kubectl_lists_the_namespaces_of_the_users_tenants() {
    let gateway = gateway().await;
    for (user, own, other) in [(ALICE, "shop-web", "bank-web"), (BOB, "bank-web", "shop-web")] {
        let table = gateway.kubectl(user, &["get", "namespaces"]);
        let table = text(&table);
        let mut lines = table.lines();
        let heads: Vec<_> = lines.next().unwrap().split_whitespace().collect();
        assert_eq!(heads, ["NAME", "STATUS", "AGE"], "{table}");
        assert!(table.contains(own) && !table.contains(other) && !table.contains("kube-system"), "{table}");
    }
    assert!(gateway.metric(r#"bailey_gateway_filtered_total{scope="namespaces",verb="list"}"#) > 0);
}

#[tokio::test]
async fn every_form_of_the_list_is_narrowed() {
    let (gateway, robot) = (gateway().await, Robot::new("forms").await);
    Tenant::create("lists-forms", &robot.member("viewer")).await;
    give_namespace(World::shared(), "lists-forms", "lists-forms-a").await;
    robot.until_lists(gateway, NAMESPACES, &["lists-forms-a"]).await;
    for accept in [
        "application/json;as=Table;g=meta.k8s.io;v=v1",
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        "application/vnd.kubernetes.protobuf",
        "application/yaml",
    ] {
        let (status, body) = robot.get(gateway, NAMESPACES, accept).await;
        let body = String::from_utf8_lossy(&body);
        assert_eq!(status, 200, "{body}");
        assert!(body.contains("lists-forms-a"), "{accept}: {body}");
        assert!(!body.contains("bank-web") && !body.contains("kube-system"), "{accept}: {body}");
    }
}

#[tokio::test]
async fn nothing_in_a_query_widens_a_list() {
    let (gateway, robot) = (gateway().await, Robot::new("queries").await);
    Tenant::create("lists-queries", &robot.member("viewer")).await;
    give_namespace(World::shared(), "lists-queries", "lists-queries-a").await;
    robot.until_lists(gateway, NAMESPACES, &["lists-queries-a"]).await;
    for query in [
        "labelSelector=bailey.dev/tenant%20in%20(bank,shop,lists-queries)",
        "labelSelector=",
        "labelSelector=%20",
        "labelSelector=!nothing",
        "fieldSelector=status.phase%3DActive",
        "fieldSelector=metadata.name!%3Dx",
        "resourceVersion=0",
        "resourceVersion=1&resourceVersionMatch=NotOlderThan",
        "fieldSelector=metadata.name%3Dlists-queries-a%26labelSelector%3D",
    ] {
        let (status, body) = robot.get(gateway, &format!("{NAMESPACES}?{query}"), "*/*").await;
        let list: Value = serde_json::from_slice(&body).unwrap();
        let found = names(&list["items"]);
        assert!(found.iter().all(|name| name == "lists-queries-a"), "{query}: {found:?}");
        assert!(status == 200 || query.contains("%26"), "{query}: {list}");
    }
    for query in [
        "labelSelector=bailey.dev/tenant%3Dbank",
        "labelSelector=kubernetes.io/metadata.name%3Dbank-web",
        "fieldSelector=metadata.name%3Dbank-web",
    ] {
        let (found, ..) = robot.list(gateway, &format!("{NAMESPACES}?{query}")).await;
        assert!(found.is_empty(), "{query}: {found:?}");
    }
    for query in [
        "labelSelector=a%20in%20(x",
        "labelSelector=),bailey.dev/tenant",
        "labelSelector=a&labelSelector=b",
        "LabelSelector=x",
        "as=admin",
        "watch=1&resourceVersion=x",
        "resourceVersion=1&watch=1&sendInitialEvents=true",
    ] {
        let (status, body) = robot.get(gateway, &format!("{NAMESPACES}?{query}"), "*/*").await;
        assert!(matches!(status, 400 | 403 | 422), "{query}: {status} {body:?}");
    }
    let (status, body) =
        robot.get(gateway, &format!("{NAMESPACES}?resourceVersion=99999999999"), "*/*").await;
    let late: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status, 504, "{late}");
    assert!(late["message"].as_str().unwrap().contains("Too large resource version"), "{late}");
}

#[tokio::test]
async fn a_page_of_somebody_else_shows_nothing_of_theirs() {
    let (gateway, robot, other) = (gateway().await, Robot::new("pages-a").await, Robot::new("pages-b").await);
    for (tenant, member) in [("lists-pages-a", &robot), ("lists-pages-b", &other)] {
        Tenant::create(tenant, &member.member("viewer")).await;
        for space in ["1", "2", "3"] {
            give_namespace(World::shared(), tenant, &format!("{tenant}-{space}")).await;
        }
    }
    let all = |tenant: &str| ["1", "2", "3"].map(|space| format!("{tenant}-{space}"));
    let (mine, theirs) = (all("lists-pages-a"), all("lists-pages-b"));
    robot.until_lists(gateway, NAMESPACES, &mine.each_ref().map(String::as_str)).await;
    other.until_lists(gateway, NAMESPACES, &theirs.each_ref().map(String::as_str)).await;
    let first = format!("{NAMESPACES}?limit=1");
    let (mut seen, _, mut token) = robot.list(gateway, &first).await;
    assert_eq!(seen.len(), 1);
    let foreign = token.clone().unwrap();
    while let Some(rest) = token {
        let (page, _, next) = robot.list(gateway, &format!("{first}&continue={rest}")).await;
        assert!(page.len() <= 1);
        seen.extend(page);
        token = next;
    }
    assert_eq!(seen, BTreeSet::from(mine));
    let (page, ..) = other.list(gateway, &format!("{NAMESPACES}?limit=5&continue={foreign}")).await;
    assert_eq!(page, BTreeSet::from(theirs));
    let (status, _) = robot.get(gateway, &format!("{first}&continue=bm90IG9uZQ"), "*/*").await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_watch_sees_namespaces_come_and_leave() {
    let (gateway, robot) = (gateway().await, Robot::new("watches").await);
    Tenant::create("lists-watches", &robot.member("viewer")).await;
    Tenant::create("lists-others", "{}").await;
    give_namespace(World::shared(), "lists-watches", "lists-watches-a").await;
    let version = robot.until_lists(gateway, NAMESPACES, &["lists-watches-a"]).await;
    let from = format!("{NAMESPACES}?watch=true&resourceVersion={version}");
    let mut watch = robot.watch(gateway, &from).await;
    give_namespace(World::shared(), "lists-others", "lists-others-a").await;
    give_namespace(World::shared(), "lists-watches", "lists-watches-b").await;
    let seen = watch.until("ADDED", "lists-watches-b").await;
    assert!(seen.iter().all(|(_, name)| name.starts_with("lists-watches-")), "{seen:?}");
    // One changes hands.
    let hand = |name: &str, tenant: &str| {
        let label = format!("bailey.dev/tenant={tenant}");
        let changed = World::shared().kubectl(ADMIN, &["label", "--overwrite", "namespace", name, &label]);
        assert!(changed.status.success(), "{}", text(&changed));
    };
    hand("lists-watches-b", "lists-others");
    watch.until("DELETED", "lists-watches-b").await;
    hand("lists-others-a", "lists-watches");
    let seen = watch.until("ADDED", "lists-others-a").await;
    assert!(seen.iter().all(|(_, name)| name != "lists-watches-b"), "{seen:?}");
    // What there is, then a bookmark that says so.
    let initial =
        "watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let mut initial = robot.watch(gateway, &format!("{NAMESPACES}?{initial}")).await;
    let seen = initial.until("BOOKMARK", "").await;
    let seen: BTreeSet<_> = seen.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(seen, BTreeSet::from(["", "lists-others-a", "lists-watches-a"]));
    let mut short = robot.watch(gateway, &format!("{NAMESPACES}?watch=true&timeoutSeconds=1")).await;
    while short.next().await.is_some() {}
}

#[tokio::test]
async fn who_comes_to_belong_to_another_tenant_lists_again() {
    let (gateway, robot) = (gateway().await, Robot::new("moves").await);
    Tenant::create("lists-moves-a", &robot.member("viewer")).await;
    let other = Tenant::create("lists-moves-b", "{}").await;
    give_namespace(World::shared(), "lists-moves-a", "lists-moves-a-1").await;
    give_namespace(World::shared(), "lists-moves-b", "lists-moves-b-1").await;
    let version = robot.until_lists(gateway, NAMESPACES, &["lists-moves-a-1"]).await;
    let from = format!("{NAMESPACES}?watch=true&resourceVersion={version}");
    let mut watch = robot.watch(gateway, &from).await;
    other.set(&robot.member("viewer")).await;
    // It ends, having shown nothing of what was not asked for.
    while let Some((event, name)) = watch.next().await {
        assert_eq!(name, "lists-moves-a-1", "{event}");
    }
    let (status, body) = robot.get(gateway, &from, "*/*").await;
    let expired: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, expired["reason"].as_str()), (410, Some("Expired")), "{expired}");
    assert_eq!(expired["details"]["causes"][0]["reason"], "gateway_expired");
    let both = ["lists-moves-a-1", "lists-moves-b-1"];
    let version = robot.until_lists(gateway, NAMESPACES, &both).await;
    // Other tests change members too: then it is expired once more.
    until("a watch goes on from the new list", async || {
        let version = robot.list(gateway, NAMESPACES).await.1;
        let from = format!("{NAMESPACES}?watch=true&timeoutSeconds=1&resourceVersion={version}");
        robot.get(gateway, &from, "*/*").await.0 == 200
    })
    .await;
    other.set("{}").await;
    let after = robot.until_lists(gateway, NAMESPACES, &["lists-moves-a-1"]).await;
    assert!(after.parse::<u64>().unwrap() > version.parse().unwrap());
}

#[tokio::test]
async fn rights_decide_before_tenants_do() {
    let (gateway, robot, custom) = (gateway().await, Robot::new("wide").await, Robot::new("custom").await);
    // Who has no role of a tenant, or one that says nothing of namespaces, gets the API server's own answer.
    let spec = custom.member("custom").replace("role: custom", "role: custom, clusterRole: view");
    Tenant::create("lists-custom", &spec).await;
    for nobody in [&robot, &custom] {
        let (status, body) = nobody.get(gateway, NAMESPACES, "*/*").await;
        let refused: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(status, 403, "{refused}");
        assert!(refused["message"].as_str().unwrap().contains("at the cluster scope"), "{refused}");
    }
    // Whom the cluster's roles let see all namespaces sees them.
    let subject = format!("--serviceaccount=shop-web:{}", robot.name);
    let bound = ["create", "clusterrolebinding", "lists-wide", "--clusterrole=view", &subject];
    let bound = World::shared().kubectl(ADMIN, &bound);
    assert!(bound.status.success(), "{}", text(&bound));
    until("it sees all", async || {
        let (status, body) = robot.get(gateway, NAMESPACES, "*/*").await;
        let list: Value = serde_json::from_slice(&body).unwrap();
        status == 200 && names(&list["items"]).contains("kube-system")
    })
    .await;
}
