//! What is in all namespaces of a user's tenants, as one list.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tests::gateway::Gateway;
use tests::{ADMIN, ALICE, Objects, Tenant, World, give_namespace};

use crate::lists::{Robot, names};
use crate::{gateway, text};

const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const ALL: &str = "/api/v1/configmaps";
/// Only those of the tests, and not those that each namespace gets.
const OURS: &str = "labelSelector=of%3Dtests";

async fn config_map(namespace: &str, name: &str) {
    let admin = Objects::new(World::shared().client(ADMIN).await);
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {"of": "tests"}}});
    admin.apply(&object).await.unwrap();
}

/// A robot with this role in a tenant, with these namespaces, each with two of these ConfigMaps: `NAMESPACE-1` and `-2`.
async fn tenant(robot: &Robot, role: &str, name: &str, namespaces: &[&str]) {
    Tenant::create(name, &robot.member(role)).await;
    for namespace in namespaces {
        give_namespace(World::shared(), name, namespace).await;
        for number in ["1", "2"] {
            config_map(namespace, &format!("{namespace}-{number}")).await;
        }
    }
}

async fn status(robot: &Robot, gateway: &Gateway, path: &str, accept: &str) -> (u16, Value) {
    let (status, body) = robot.get(gateway, path, accept).await;
    (status, serde_json::from_slice(&body).unwrap())
}

fn both(namespaces: &[&str]) -> Vec<String> {
    namespaces.iter().flat_map(|name| [format!("{name}-1"), format!("{name}-2")]).collect()
}

fn each(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn kubectl_lists_what_is_in_all_namespaces_of_a_tenant() {
    let gateway = gateway().await;
    for (namespace, name) in [("shop-web", "everywhere-shop"), ("bank-web", "everywhere-bank")] {
        config_map(namespace, name).await;
    }
    let table = gateway.kubectl(ALICE, &["get", "configmaps", "--all-namespaces"]);
    let table = text(&table);
    let heads: Vec<_> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(heads, ["NAMESPACE", "NAME", "DATA", "AGE"], "{table}");
    assert!(table.contains("everywhere-shop") && !table.contains("bank"), "{table}");
    assert!(!table.contains("kube-system"), "{table}");
    let named = ["get", "configmaps", "-A", "--field-selector=metadata.namespace=bank-web", "-o=name"];
    assert_eq!(text(&gateway.kubectl(ALICE, &named)), "");
    // Of a group, and none in the cluster.
    let none = gateway.kubectl(ALICE, &["get", "deployments.apps", "-A"]);
    assert!(none.status.success() && text(&none).contains("No resources found"), "{}", text(&none));
    assert!(gateway.metric(r#"bailey_gateway_filtered_total{scope="everywhere",verb="list"}"#) > 0);
}

#[tokio::test]
async fn pages_go_over_namespaces_at_one_version() {
    let (gateway, robot) = (gateway().await, Robot::new("every-pages").await);
    let spaces = ["every-pages-a", "every-pages-b", "every-pages-c"];
    tenant(&robot, "viewer", "every-pages", &spaces).await;
    let expected = both(&spaces);
    let list = format!("{ALL}?{OURS}");
    robot.until_lists(gateway, &list, &each(&expected)).await;
    for limit in [1, 2, 3, 4, 6, 7] {
        let paged = format!("{list}&limit={limit}");
        let (mut seen, version, mut token) = robot.list(gateway, &paged).await;
        // What comes after the first page is not of its version.
        let late = format!("every-late-{limit}");
        config_map("every-pages-c", &late).await;
        while let Some(rest) = token {
            let (page, at, next) = robot.list(gateway, &format!("{paged}&continue={rest}")).await;
            assert!(page.len() <= limit, "{page:?}");
            assert_eq!(at, version);
            seen.extend(page);
            token = next;
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected, "{limit}");
        let gone = World::shared().kubectl(ADMIN, &["delete", "configmap", &late, "-n=every-pages-c"]);
        assert!(gone.status.success(), "{}", text(&gone));
    }
    // All are from one moment, also where the client names it.
    let (_, version, _) = robot.list(gateway, &list).await;
    config_map("every-pages-a", "every-pages-a-3").await;
    let exact = format!("{list}&resourceVersion={version}&resourceVersionMatch=Exact");
    let (seen, at, _) = robot.list(gateway, &exact).await;
    assert_eq!((seen.into_iter().collect::<Vec<_>>(), at), (expected, version));
    let (seen, ..) = robot.list(gateway, &list).await;
    assert!(seen.contains("every-pages-a-3"));
}

#[tokio::test]
async fn a_continue_that_somebody_wrote_leads_nowhere_else() {
    let (gateway, robot, other) =
        (gateway().await, Robot::new("every-forger").await, Robot::new("every-victim").await);
    tenant(&robot, "viewer", "every-forger", &["every-forger-a"]).await;
    tenant(&other, "viewer", "every-victim", &["every-victim-a", "every-victim-b"]).await;
    let list = format!("{ALL}?{OURS}");
    robot.until_lists(gateway, &list, &each(&both(&["every-forger-a"]))).await;
    other.until_lists(gateway, &list, &each(&both(&["every-victim-a", "every-victim-b"]))).await;
    let (_, version, token) = other.list(gateway, &format!("{list}&limit=1")).await;
    let mine = BTreeSet::from(["every-forger-a-1".to_owned(), "every-forger-a-2".to_owned()]);
    let forged = |namespace: &str, rest: Option<&str>| {
        let position = json!({"version": version, "namespace": namespace, "rest": rest});
        URL_SAFE_NO_PAD.encode(position.to_string())
    };
    let inner = |start: &str| {
        URL_SAFE_NO_PAD.encode(format!(r#"{{"v":"meta.k8s.io/v1","rv":{version},"start":"{start}"}}"#))
    };
    let foreign = token.unwrap();
    for token in [
        foreign.clone(),
        forged("every-victim-a", Some(&inner("every-victim-a-1"))),
        forged("bank-web", None),
        forged("", None),
        forged("../bank-web", Some("x")),
        forged("every-forger-a", Some(&inner("../every-victim-a/every-victim-a-1"))),
        forged("every-forger-a", Some(&inner("a"))),
        forged("every-forger-a", Some("x&limit=1")),
        URL_SAFE_NO_PAD.encode("{}"),
        "x".repeat(9_000),
    ] {
        let (status, list) =
            status(&robot, gateway, &format!("{list}&limit=9&continue={token}"), "*/*").await;
        let found = names(&list["items"]);
        assert!(found.is_subset(&mine), "{token}: {found:?}");
        assert!(matches!(status, 200 | 400 | 403 | 414), "{token}: {list}");
    }
    // What was seen before does not help who was put out.
    let (status, list) = status(&robot, gateway, &format!("{list}&limit=9&continue={foreign}"), "*/*").await;
    assert!(!list.to_string().contains("every-victim"), "{status}: {list}");
}

#[tokio::test]
async fn a_namespace_where_the_user_may_not_is_left_out() {
    let (gateway, robot) = (gateway().await, Robot::new("every-rights").await);
    // Viewers see no Secrets.
    tenant(&robot, "owner", "every-owned", &["every-owned-a"]).await;
    tenant(&robot, "viewer", "every-viewed", &["every-viewed-a"]).await;
    let expected = both(&["every-owned-a", "every-viewed-a"]);
    robot.until_lists(gateway, &format!("{ALL}?{OURS}"), &each(&expected)).await;
    let admin = Objects::new(World::shared().client(ADMIN).await);
    for namespace in ["every-owned-a", "every-viewed-a"] {
        let secret = json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": format!("of-{namespace}"), "namespace": namespace, "labels": {"of": "tests"}}});
        admin.apply(&secret).await.unwrap();
    }
    let secrets = format!("/api/v1/secrets?{OURS}");
    robot.until_lists(gateway, &secrets, &["of-every-owned-a"]).await;
    // The page ends with the namespace, and nothing comes behind it.
    let (seen, version, token) = robot.list(gateway, &format!("{secrets}&limit=1")).await;
    assert_eq!(seen.len(), 1);
    let rest = format!("{secrets}&limit=1&continue={}", token.unwrap());
    assert_eq!(robot.list(gateway, &rest).await, (BTreeSet::new(), version, None));
    let (status, refused) =
        status(&robot, gateway, "/apis/rbac.authorization.k8s.io/v1/clusterroles", "*/*").await;
    assert_eq!(status, 403, "{refused}");
}

#[tokio::test]
async fn other_forms_and_watches_are_told_what_works() {
    let (gateway, robot) = (gateway().await, Robot::new("every-forms").await);
    tenant(&robot, "viewer", "every-forms", &["every-forms-a"]).await;
    let expected = both(&["every-forms-a"]);
    robot.until_lists(gateway, &format!("{ALL}?{OURS}"), &each(&expected)).await;
    let metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let (code, list) = status(&robot, gateway, &format!("{ALL}?{OURS}"), metadata).await;
    assert_eq!((code, list["kind"].as_str()), (200, Some("PartialObjectMetadataList")), "{list}");
    assert_eq!(names(&list["items"]).len(), 2);
    let mixed = "application/vnd.kubernetes.protobuf,application/json";
    assert_eq!(status(&robot, gateway, ALL, mixed).await.1["kind"], "ConfigMapList");
    let (code, refused) = status(&robot, gateway, ALL, "application/vnd.kubernetes.protobuf").await;
    assert_eq!((code, refused["reason"].as_str()), (406, Some("NotAcceptable")), "{refused}");
    let (code, refused) = status(&robot, gateway, &format!("{ALL}?labelSelector=a%20in%20(x"), "*/*").await;
    assert_eq!(code, 400, "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("unable to parse"), "{refused}");
    let (code, refused) = status(&robot, gateway, &format!("{ALL}?watch=true"), "*/*").await;
    assert_eq!(
        (code, &refused["details"]["causes"][0]["reason"]),
        (403, &json!("gateway_scope")),
        "{refused}"
    );
    assert!(refused["message"].as_str().unwrap().contains("every-forms-a"), "{refused}");
    // A kind that is in no namespace is the API server's to refuse, by the way that it says.
    for roles in [ROLES, &format!("{ROLES}?watch=true"), "/api/v1/no-such-kind"] {
        let (code, refused) = status(&robot, gateway, roles, "*/*").await;
        assert_eq!(code, 403, "{roles}: {refused}");
        assert!(refused["message"].as_str().unwrap().contains("at the cluster scope"), "{roles}: {refused}");
    }
}

#[tokio::test]
async fn each_namespace_of_a_list_counts() {
    let (shared, robot) = (gateway().await, Robot::new("every-rates").await);
    let spaces = ["every-rates-a", "every-rates-b", "every-rates-c"];
    tenant(&robot, "viewer", "every-rates", &spaces).await;
    let list = format!("{ALL}?{OURS}");
    robot.until_lists(shared, &list, &each(&both(&spaces))).await;
    // One for the request, and one for each namespace, for which it waits: four with one at once take three seconds.
    let gateway = Gateway::start("every-rates", &["--gateway-rates=list=1:1"]);
    let begun = std::time::Instant::now();
    assert_eq!(robot.list(&gateway, &list).await.0.into_iter().collect::<Vec<_>>(), both(&spaces));
    assert!(begun.elapsed() >= std::time::Duration::from_secs(3), "{:?}", begun.elapsed());
}
