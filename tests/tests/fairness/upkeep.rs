//! What is changed by hand is put right, and what is somebody else's is left alone.

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tests::{World, metric, until};

use crate::{FLOW, Flows, named};

/// The value of a counter without labels.
fn counter(name: &str) -> u64 {
    let metrics = World::shared().bailey.metrics();
    metric(&metrics, name).unwrap_or_else(|| panic!("no {name} in {metrics}"))
}

#[tokio::test]
async fn what_is_edited_or_deleted_by_hand_is_put_right() {
    let flows = Flows::new().await;
    flows.class("upkeep-class", json!({})).await.unwrap();
    flows.tenant("upkeep", "{fairnessClass: upkeep-class, members: [{kind: User, name: upkeep-ann}]}").await;
    flows.until_there("FlowSchema", "bailey.tenant.upkeep", true).await;
    flows.until_class("upkeep-class", "Ready", "InSync").await;
    let before = counter("bailey_fairness_repaired_total");

    let schemas = flows.admin.api(&named("FlowSchema", "x"));
    let wrong = json!({"spec": {"matchingPrecedence": 9_999, "distinguisherMethod": {"type": "ByUser"}}});
    let edited = schemas.patch("bailey.tenant.upkeep", &PatchParams::default(), &Patch::Merge(&wrong)).await;
    assert_eq!(edited.unwrap().data["spec"]["matchingPrecedence"], 9_999);
    until("the FlowSchema is as it was", async || {
        let found = schemas.get("bailey.tenant.upkeep").await.unwrap();
        found.data["spec"]["matchingPrecedence"] == 2_000
            && found.data["spec"]["distinguisherMethod"].is_null()
    })
    .await;

    let levels = flows.admin.api(&named("PriorityLevelConfiguration", "x"));
    let first = levels.get("tenants-upkeep-class").await.unwrap().metadata.uid;
    levels.delete("tenants-upkeep-class", &DeleteParams::default()).await.unwrap();
    until("the priority level is there again", async || {
        let found = levels.get_opt("tenants-upkeep-class").await.unwrap();
        found.is_some_and(|level| level.metadata.uid != first)
    })
    .await;
    flows.until_in_effect("bailey.tenant.upkeep").await;
    flows.until_class("upkeep-class", "Ready", "InSync").await;
    until("both are counted", async || counter("bailey_fairness_repaired_total") >= before + 2).await;

    // One that has the label and that nobody wants goes.
    let mut stray = foreign("FlowSchema", "upkeep-stray", "tenants-upkeep-class");
    stray["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "bailey"});
    let stray: DynamicObject = serde_json::from_value(stray).unwrap();
    schemas.create(&PostParams::default(), &stray).await.unwrap();
    flows.until_there("FlowSchema", "upkeep-stray", false).await;
}

/// An object that somebody else made under a name.
fn foreign(kind: &str, name: &str, level: &str) -> Value {
    let spec = match kind {
        "FlowSchema" => {
            let anybody = json!([{"kind": "User", "user": {"name": "nobody-at-all"}}]);
            let rules = json!([{"subjects": anybody, "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}]);
            json!({"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": 7_777, "rules": rules})
        }
        _ => json!({
            "type": "Limited",
            "limited": {"nominalConcurrencyShares": 1, "limitResponse": {"type": "Reject"}},
        }),
    };
    json!({"apiVersion": FLOW, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn a_name_that_is_somebody_elses_is_left_alone_and_told_of() {
    let flows = Flows::new().await;
    let theirs = foreign("FlowSchema", "bailey.tenant.foreign", "workload-low");
    flows.admin.apply(&theirs).await.unwrap();
    flows.class("foreign-class", json!({})).await.unwrap();
    flows
        .tenant("foreign", "{fairnessClass: foreign-class, members: [{kind: User, name: foreign-ann}]}")
        .await;
    let message = flows.until_class("foreign-class", "Ready", "NameTaken").await;
    assert!(message.contains("FlowSchema `bailey.tenant.foreign` is somebody else's"), "{message}");
    // Beside it everything is done.
    flows.until_there("FlowSchema", "bailey.lists.foreign", true).await;
    let found = flows.get("FlowSchema", "bailey.tenant.foreign").await.unwrap();
    assert_eq!(found.data["spec"]["matchingPrecedence"], 7_777);

    flows.admin.delete(&theirs).await.unwrap();
    flows.until_class("foreign-class", "Ready", "InSync").await;
    flows.until_in_effect("bailey.tenant.foreign").await;
}

#[tokio::test]
async fn no_tenant_is_led_to_a_level_of_somebody_elses() {
    let flows = Flows::new().await;
    let theirs = foreign("PriorityLevelConfiguration", "tenants-squat-class", "");
    flows.admin.apply(&theirs).await.unwrap();
    flows.class("squat-class", json!({})).await.unwrap();
    flows.tenant("squat", "{fairnessClass: squat-class, members: [{kind: User, name: squat-ann}]}").await;
    let message = flows.until_class("squat-class", "Ready", "NameTaken").await;
    assert!(message.contains("PriorityLevelConfiguration `tenants-squat-class`"), "{message}");
    flows.until_there("FlowSchema", "bailey.lists.squat", true).await;
    assert!(flows.get("FlowSchema", "bailey.tenant.squat").await.is_none());
    let level = flows.get("PriorityLevelConfiguration", "tenants-squat-class").await.unwrap();
    assert_eq!(level.data["spec"]["limited"]["limitResponse"]["type"], "Reject");

    flows.admin.delete(&theirs).await.unwrap();
    flows.until_class("squat-class", "Ready", "InSync").await;
    flows.until_in_effect("bailey.tenant.squat").await;
}
