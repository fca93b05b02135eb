//! `bailey fairness plan` against a cluster.

use serde_json::{Value, json};
use tests::command::{Said, bailey};
use tests::{ADMIN, ALICE};

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
