//! A stock kubectl notices nothing of the gateway.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use tests::{ADMIN, ALICE, BOB, CAROL, World, https_client};

use crate::{gateway, text};

#[tokio::test]
async fn kubectl_creates_reads_applies_and_deletes() {
    let gateway = gateway().await;
    let run = |arguments: &[&str]| {
        let output = gateway.kubectl(ALICE, &[arguments, &["--namespace=shop-web"]].concat());
        assert!(output.status.success(), "kubectl {arguments:?}: {}", text(&output));
        text(&output)
    };
    run(&["create", "configmap", "first", "--from-literal=a=1"]);
    // The server makes this table, with the columns of kubectl's `Accept`.
    let table = run(&["get", "configmap", "first"]);
    assert!(table.contains("NAME") && table.contains("AGE"), "{table}");
    assert_eq!(run(&["get", "configmap", "first", "-o=jsonpath={.data.a}"]), "1");
    let file = gateway.settings.folder.join("apply.yaml");
    std::fs::write(&file, "{apiVersion: v1, kind: ConfigMap, metadata: {name: first}, data: {b: '2'}}")
        .unwrap();
    let apply = ["apply", "--server-side", "--field-manager=me", "-f", file.to_str().unwrap()];
    run(&apply);
    assert_eq!(run(&["get", "configmap", "first", "-o=jsonpath={.data}"]), r#"{"a":"1","b":"2"}"#);
    run(&["patch", "configmap", "first", "--type=merge", "-p", r#"{"data":{"a":null}}"#]);
    run(&["label", "configmap", "first", "kept=no"]);
    assert!(run(&["describe", "configmap", "first"]).contains("kept=no"));
    run(&["delete", "configmap", "-l", "kept=no"]);
    assert!(!run(&["get", "configmap"]).contains("first"));
    let who = run(&["auth", "whoami", "-o=json"]);
    let who: serde_json::Value = serde_json::from_str(&who).unwrap();
    let direct = World::shared().kubectl(ALICE, &["auth", "whoami", "-o=json"]);
    let direct: serde_json::Value = serde_json::from_slice(&direct.stdout).unwrap();
    assert_eq!(who["status"], direct["status"]);
}

#[tokio::test]
async fn answers_come_as_they_are_asked_for() {
    let gateway = gateway().await;
    let client = https_client(&World::shared().access().authority());
    let ask = async |path: &str, header: &str, value: &str| {
        let request = client.get(gateway.url(path)).bearer_auth(gateway.token(ALICE)).header(header, value);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        (response.headers().clone(), response.version(), response.bytes().await.unwrap())
    };
    let (headers, version, body) = ask("/openapi/v2", "Accept-Encoding", "gzip").await;
    assert_eq!(version, http::Version::HTTP_2);
    assert_eq!(headers["content-encoding"], "gzip");
    assert!(body.starts_with(&[0x1f, 0x8b]) && body.len() > 10_000, "{}", body.len());
    let list = "/api/v1/namespaces/shop-web/configmaps";
    let (headers, _, body) = ask(list, "Accept", "application/vnd.kubernetes.protobuf").await;
    assert_eq!(headers["content-type"], "application/vnd.kubernetes.protobuf");
    assert!(body.starts_with(b"k8s\0"));
    for name in ["page-one", "page-two"] {
        let made = gateway.kubectl(ALICE, &["create", "configmap", name, "--namespace=shop-web"]);
        assert!(made.status.success(), "{}", text(&made));
    }
    let paged = ["get", "configmaps", "--chunk-size=1", "-o=name", "--namespace=shop-web", "-v=6"];
    let paged = text(&gateway.kubectl(ALICE, &paged));
    assert!(paged.contains("configmap/page-one") && paged.contains("configmap/page-two"), "{paged}");
    assert!(paged.contains("continue="), "{paged}");
}

#[tokio::test]
async fn kubectl_watches() {
    let gateway = gateway().await;
    let mut config = gateway.kubeconfig_of(ALICE);
    config["clusters"][0]["cluster"]["server"] = gateway.url("").into();
    let watch = ["get", "configmap", "watched", "--watch", "--output=name", "--namespace=shop-web"];
    let created = gateway.kubectl(ALICE, &["create", "configmap", "watched", "--namespace=shop-web"]);
    assert!(created.status.success(), "{}", text(&created));
    let mut child = gateway.command(&config, "watcher", &watch).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "configmap/watched");
    let labelled = gateway.kubectl(ALICE, &["label", "configmap", "watched", "a=b", "--namespace=shop-web"]);
    assert!(labelled.status.success(), "{}", text(&labelled));
    assert_eq!(lines.next().unwrap().unwrap(), "configmap/watched");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn rights_are_the_users_own() {
    let gateway = gateway().await;
    for (user, namespace) in [(ALICE, "bank-web"), (BOB, "shop-web")] {
        let refused = gateway.kubectl(user, &["get", "configmaps", "--namespace", namespace]);
        assert!(!refused.status.success());
        let expected = format!("User \"{}\" cannot list resource \"configmaps\"", user.name);
        assert!(text(&refused).contains(&expected), "{}", text(&refused));
    }
}

#[tokio::test]
async fn who_belongs_to_no_tenant_or_to_the_system_is_told_so() {
    let gateway = gateway().await;
    let carol = gateway.kubectl(CAROL, &["get", "configmaps"]);
    assert!(text(&carol).contains("[gateway_tenant]"), "{}", text(&carol));
    let admin = gateway.kubectl(ADMIN, &["get", "configmaps"]);
    assert!(text(&admin).contains("[gateway_identity]"), "{}", text(&admin));
}
