//! `bailey fairness plan`, `bailey top tenants` and `kubectl tenant limits` against a cluster.

use serde_json::{Value, json};
use tests::command::{Said, bailey, tenant};
use tests::{ADMIN, ALICE, BOB, World, give_namespace};

use crate::Flows;

#[tokio::test]
async fn the_plan_shows_what_is_missing_and_nothing_once_it_is_there() {
    let flows = Flows::new().await;
    flows.class("planned-class", json!({"priorityLevel": {"shares": 60}})).await.unwrap();
    flows
        .tenant("planned", "{fairnessClass: planned-class, members: [{kind: User, name: planned-ann}]}")
        .await;
    flows.until_class("planned-class", "Ready", "InSync").await;
    let of = |found: &Value, field: &str, key: &str, wanted: &str| {
        let rows = found[field].as_array().cloned().unwrap_or_default();
        rows.into_iter().find(|row| row[key] == wanted)
    };
    let said = Said::until(
        || bailey(ADMIN, &["fairness", "plan", "-o", "json"]),
        |said| {
            let found = said.json();
            let change = of(&found, "changes", "name", "bailey.tenant.planned");
            said.code == 0 && change.is_none() && of(&found, "tenants", "name", "planned").is_some()
        },
    )
    .await;
    let found = said.json();
    let tenant = of(&found, "tenants", "name", "planned").unwrap();
    assert_eq!((&tenant["class"], &tenant["place"]), (&json!("planned-class"), &json!("dedicated")));
    let level = of(&found, "levels", "name", "tenants-planned-class").unwrap();
    assert_eq!((&level["planned"], &level["shares"]), (&json!(true), &json!(60)));
    assert_eq!(of(&found, "levels", "name", "workload-low").unwrap()["planned"], false);
    let text = bailey(ADMIN, &["fairness", "plan", "--concurrency", "60"]);
    assert!(text.code == 0 && text.text.contains("tenants-planned-class"), "{text:?}");

    // Who is no administrator is told so.
    let refused = bailey(ALICE, &["fairness", "plan"]);
    assert!(refused.code == 1 && refused.error.contains("only administrators"), "{refused:?}");
    assert_eq!(bailey(ADMIN, &["fairness", "plan", "--files", "/nowhere"]).code, 3);
    assert_eq!(bailey(ADMIN, &["fairness", "plan", "--concurrency", "none"]).code, 2);
}

/// What is told of the webhooks.
fn of_webhook(limits: &Value) -> Value {
    let uses = limits["uses"].as_array().cloned().unwrap_or_default();
    uses.into_iter().find(|used| used["ledger"] == "webhook").unwrap_or_default()
}

#[tokio::test]
async fn who_asks_most_is_seen_and_members_see_what_they_may() {
    let flows = Flows::new().await;
    let limit =
        json!({"tenant": {"requests": 1, "seconds": 1000, "burst": 2}, "user": {"requests": 3, "burst": 4}});
    flows.class("seen-writes", json!({"rates": {"write": limit}})).await.unwrap();
    let members = "[{kind: User, name: alice, role: owner}]";
    let spec = format!("{{fairnessClass: seen-writes, members: {members}, namespaces: {{prefix: ''}}}}");
    let _tenant = flows.tenant("seen", &spec).await;
    give_namespace(World::shared(), "seen", "seen-one").await;
    let limits = Said::until(
        || tenant(ALICE, &["limits", "--tenant", "seen", "-o", "json"]),
        |said| said.code == 0 && said.json()["fairnessClass"] == "seen-writes",
    )
    .await;
    let line =
        json!({"class": "write", "tenant": "1 in 1000 s", "burst": 2, "user": "3 a second", "userBurst": 4});
    assert_eq!(limits.json()["rates"], json!([line]));
    let text = tenant(ALICE, &["limits", "--tenant", "seen"]);
    assert!(text.text.contains("1 in 1000 s") && text.text.contains("EACH USER"), "{text:?}");

    // She asks until she is refused, and again; soon the replica tells so.
    let ask = || World::shared().kubectl(ALICE, &["create", "configmap", "of-many", "--namespace=seen-one"]);
    let top = Said::until(
        || {
            for _ in 0..4 {
                ask();
            }
            bailey(ADMIN, &["top", "tenants", "--ledger", "webhook", "-o", "json"])
        },
        |said| {
            let found = said.json();
            let tenants = found[0]["tenants"].as_array().cloned().unwrap_or_default();
            tenants.iter().any(|busy| busy["tenant"] == "seen" && busy["refused"].as_f64() > Some(0.0))
        },
    )
    .await;
    let found = top.json();
    let busy = found[0]["tenants"].as_array().unwrap().iter().find(|busy| busy["tenant"] == "seen").unwrap();
    assert_eq!(busy["classes"]["write"], busy["asked"], "{busy}");
    assert!(bailey(ADMIN, &["top", "tenants"]).text.starts_with("LEDGER"));

    // She sees her own, held against her rate, and bob does not.
    let limits = Said::until(
        || {
            for _ in 0..4 {
                ask();
            }
            tenant(ALICE, &["limits", "--tenant", "seen", "-o", "json"])
        },
        |said| {
            let used = of_webhook(&said.json());
            used["classes"][0]["refused"].as_f64() > Some(0.0)
        },
    )
    .await;
    let used = of_webhook(&limits.json());
    assert_eq!((&used["classes"][0]["class"], &used["replicas"]), (&json!("write"), &json!(1)), "{used}");
    assert!(used["classes"][0]["percent"].as_u64() > Some(100), "{used}");
    let text = tenant(ALICE, &["limits", "--tenant", "seen"]);
    assert!(text.text.contains("OF RATE") && text.error.is_empty(), "{text:?}");
    let path = "/apis/decisions.bailey.dev/v1alpha1/uses/seen";
    let own = World::shared().kubectl(ALICE, &["get", "--raw", path]);
    assert!(own.status.success(), "{own:?}");
    let others = World::shared().kubectl(BOB, &["get", "--raw", path]);
    assert!(String::from_utf8_lossy(&others.stderr).contains("cannot get resource \"uses\""), "{others:?}");

    let refused = bailey(ALICE, &["top", "tenants"]);
    assert!(refused.code == 1 && refused.error.contains("only administrators"), "{refused:?}");
    let unknown = bailey(ADMIN, &["top", "tenants", "--ledger", "nowhere"]);
    assert!(unknown.code == 3 && unknown.error.contains("there are `webhook`"), "{unknown:?}");
    assert_eq!(bailey(ADMIN, &["top", "tenants", "--limit", "0"]).code, 2);
}
