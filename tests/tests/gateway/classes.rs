//! Classes that a tenant's objects may name, and no others.

use serde_json::{Value, json};
use tests::{ADMIN, Objects, Tenant, World};

use crate::gateway;
use crate::lists::{Robot, names};

const STORAGE: &str = "/apis/storage.k8s.io/v1/storageclasses";
const PRIORITY: &str = "/apis/scheduling.k8s.io/v1/priorityclasses";

const OBJECTS: &str = r#"
apiVersion: bailey.dev/v1alpha1
kind: IsolationProfile
metadata: {name: of-classes}
spec: {allow: {storageClasses: {allowed: ["of-classes-gold-?"]}}}
---
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: of-classes-gold-a}, provisioner: example.com/none}
---
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: of-classes-gold-bb}, provisioner: example.com/none}
---
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: of-classes-iron}, provisioner: example.com/none}
"#;

async fn robot(name: &str) -> Robot {
    let robot = Robot::new(name).await;
    Objects::new(World::shared().client(ADMIN).await).apply_all(OBJECTS).await;
    let spec = robot.member("viewer").replace("{members", "{isolationProfile: of-classes, members");
    Tenant::create(name, &spec).await;
    robot.until_lists(gateway().await, STORAGE, &["of-classes-gold-a"]).await;
    robot
}

#[tokio::test]
async fn a_list_has_the_classes_that_may_be_named() {
    let (gateway, robot) = (gateway().await, robot("of-classes-lists").await);
    for accept in [
        "application/json;as=Table;g=meta.k8s.io;v=v1",
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
    ] {
        for query in ["", "?limit=1", "?includeObject=None", "?fieldSelector=metadata.name!%3Dx"] {
            let (status, body) = robot.get(gateway, &format!("{STORAGE}{query}"), accept).await;
            let body = String::from_utf8_lossy(&body);
            assert_eq!(status, 200, "{accept} {query}: {body}");
            assert!(body.contains("of-classes-gold-a"), "{accept} {query}: {body}");
            assert!(!body.contains("gold-bb") && !body.contains("iron"), "{accept} {query}: {body}");
        }
    }
    let (found, _, rest) = robot.list(gateway, &format!("{STORAGE}?limit=1")).await;
    assert_eq!((found.len(), rest), (1, None));
    // Where nothing is said of them, all but Kubernetes' own.
    let admin = Objects::new(World::shared().client(ADMIN).await);
    let batch = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
        "metadata": {"name": "of-classes-batch"}, "value": 1});
    admin.apply(&batch).await.unwrap();
    let (found, ..) = robot.list(gateway, PRIORITY).await;
    assert!(found.contains("of-classes-batch"), "{found:?}");
    assert!(!found.iter().any(|name| name.starts_with("system-")), "{found:?}");
}

#[tokio::test]
async fn one_class_is_read_by_the_same_rule() {
    let (gateway, robot) = (gateway().await, robot("of-classes-reads").await);
    let get = async |path: &str| {
        let (status, body) = robot.get(gateway, path, "application/json").await;
        (status, serde_json::from_slice::<Value>(&body).unwrap())
    };
    let (status, class) = get(&format!("{STORAGE}/of-classes-gold-a")).await;
    assert_eq!((status, &class["provisioner"]), (200, &json!("example.com/none")), "{class}");
    // Of names that may be named, but are not there, nothing else is said than at the API server.
    assert_eq!(get(&format!("{STORAGE}/of-classes-gold-z")).await.0, 404);
    for refused in [
        format!("{STORAGE}/of-classes-iron"),
        format!("{STORAGE}/of-classes-gold-bb"),
        // Whatever it would be decoded to, the rule has not seen it.
        format!("{STORAGE}/of-classes-gold-%61"),
        format!("{STORAGE}/of-classes-iron?fieldSelector=metadata.name%3Dof-classes-gold-a"),
        format!("{PRIORITY}/system-node-critical"),
    ] {
        let (status, said) = get(&refused).await;
        assert_eq!(status, 403, "{refused}: {said}");
    }
    let (status, said) = get(&format!("{STORAGE}/of-classes-gold-a?watch=true&resourceVersion=1")).await;
    assert_eq!((status, said["kind"].as_str()), (200, Some("StorageClass")), "{said}");
    for refused in [
        "continue=x",
        "limit=1&limit=2",
        "x=y",
        "labelSelector=a%20b",
        "fieldSelector=provisioner%3Dx",
        "includeObject=All",
        "resourceVersion=x",
        "resourceVersionMatch=Exact",
        "watch=1&resourceVersionMatch=Exact&resourceVersion=1",
        "watch=1&sendInitialEvents=true",
        "watch=1&timeoutSeconds=x",
    ] {
        let (status, said) = get(&format!("{STORAGE}?{refused}")).await;
        assert_eq!(status, if refused.contains("All") { 406 } else { 400 }, "{refused}: {said}");
    }
    assert!(names(&get(&format!("{STORAGE}?labelSelector=x%3Dy")).await.1["items"]).is_empty());
}
