//! Which class a tenant is in, and what a class may be.

use serde_json::{Value, json};
use tests::{Tenant, World, until, until_some};

use crate::{Flows, Went, class};

/// What the tenant's condition about its class says.
async fn until_said(tenant: &Tenant, reason: &str) -> String {
    until_some(&format!("the tenant has FairnessClassFound: {reason}"), async || {
        let found = tenant.get().await.data;
        let said = found["status"]["conditions"]
            .as_array()?
            .iter()
            .find(|said| said["type"] == "FairnessClassFound")?;
        (said["reason"] == reason).then(|| said["message"].as_str().unwrap().to_owned())
    })
    .await
}

#[tokio::test]
async fn a_class_that_goes_is_replaced_by_the_default_one_and_a_tenant_that_goes_takes_its_objects_along() {
    // Its own world: the default class holds for the tenants of other tests too.
    let world = World::start();
    let flows = Flows::of(&world).await;
    let (path, plain) = ("/api/v1/namespaces/named-web/pods/x", "/api/v1/namespaces/plain-web/pods/x");
    let member = |name: &str| format!("members: [{{kind: User, name: {name}-ann}}]");
    let named = flows.tenant("named", &format!("{{fairnessClass: gold, {}}}", member("named"))).await;
    let unprotected = format!("{{{}, deletion: {{protected: false}}}}", member("plain"));
    flows.tenant("plain", &unprotected).await;
    let message = until_said(&named, "ClassMissing").await;
    assert!(message.contains("no FairnessClass `gold` in force and no default one"), "{message}");
    // Without a class there is nothing of Bailey's.
    assert_eq!(flows.went("named-ann", &[], path).await, Went::to("global-default", "global-default"));

    flows.class("gold", json!({"priorityLevel": {"shares": 60}, "weight": 3})).await.unwrap();
    flows.until_goes("named-ann", &[], path, &Went::to("bailey.tenant.named", "tenants-gold")).await;
    assert!(until_said(&named, "Found").await.contains("`gold`"));
    assert_eq!(flows.went("plain-ann", &[], plain).await, Went::to("global-default", "global-default"));

    flows.class("standard", json!({"default": true})).await.unwrap();
    flows.until_goes("plain-ann", &[], plain, &Went::to("bailey.tenant.plain", "tenants-standard")).await;
    flows.class("second", json!({"default": true})).await.unwrap();
    // Of two default classes the first by name counts.
    flows.until_goes("plain-ann", &[], plain, &Went::to("bailey.tenant.plain", "tenants-second")).await;
    flows.admin.delete(&class("second", json!({}))).await.unwrap();
    flows.until_goes("plain-ann", &[], plain, &Went::to("bailey.tenant.plain", "tenants-standard")).await;

    flows.until_class("gold", "Ready", "InSync").await;
    let status = flows.admin.get(&class("gold", json!({}))).await.unwrap().data["status"].clone();
    // 60 of 245 + 60 + 15 + 40 + 10 shares of 600 seats.
    assert_eq!((&status["tenants"], &status["seats"]), (&json!(1), &json!(98)), "{status}");

    flows.admin.delete(&class("gold", json!({}))).await.unwrap();
    flows.until_goes("named-ann", &[], path, &Went::to("bailey.tenant.named", "tenants-standard")).await;
    let message = until_said(&named, "ClassMissing").await;
    assert!(message.contains("the default one, `standard`, is used"), "{message}");
    flows.until_there("PriorityLevelConfiguration", "tenants-gold", false).await;

    flows
        .admin
        .delete(
            &json!({"apiVersion": "bailey.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": "plain"}}),
        )
        .await
        .unwrap();
    flows.until_there("FlowSchema", "bailey.tenant.plain", false).await;
    flows.until_there("FlowSchema", "bailey.lists.plain", false).await;
    assert!(flows.get("FlowSchema", "bailey.tenant.named").await.is_some());

    // With the last class everything goes that Bailey wrote, and nothing else.
    flows.admin.delete(&class("standard", json!({}))).await.unwrap();
    for kind in ["FlowSchema", "PriorityLevelConfiguration"] {
        until(&format!("no {kind} of Bailey's is left"), async || {
            let labelled = kube::api::ListParams::default().labels("app.kubernetes.io/managed-by=bailey");
            flows.admin.api(&crate::named(kind, "x")).list(&labelled).await.unwrap().items.is_empty()
        })
        .await;
    }
    assert!(flows.get("FlowSchema", "service-accounts").await.is_some());
    flows.until_goes("named-ann", &[], path, &Went::to("global-default", "global-default")).await;
}

#[tokio::test]
async fn classes_that_cannot_be_are_refused_with_what_would_pass() {
    let flows = Flows::new().await;
    let level = |field: &str, value: Value| json!({"priorityLevel": {field: value}});
    let rate = |value: Value| json!({"rates": {"read": {"tenant": value}}});
    let cases = [
        ("bad-class", level("shares", json!(0)), "should be greater than or equal to 1"),
        ("bad-class", level("shares", json!(-5)), "should be greater than or equal to 1"),
        ("bad-class", level("shares", json!(1_000_000)), "should be less than or equal to 10000"),
        ("bad-class", level("lendablePercent", json!(101)), "should be less than or equal to 100"),
        ("bad-class", level("queueLengthLimit", json!(0)), "should be greater than or equal to 1"),
        ("bad-class", json!({"weight": 0}), "should be greater than or equal to 1"),
        ("bad-class", json!({"weight": 17}), "should be less than or equal to 16"),
        ("bad-class", json!({"priorityLevel": {"queues": 4, "handSize": 5}}), "handSize is more than queues"),
        (
            "bad-class",
            json!({"priorityLevel": {"queues": 10_000, "handSize": 6}}),
            "handSize is at most 4 for 10000 queues",
        ),
        ("bad-class", rate(json!({"requests": 0, "burst": 1})), "should be greater than or equal to 1"),
        ("bad-class", rate(json!({"requests": 1, "burst": 0})), "should be greater than or equal to 1"),
        (
            "bad-class",
            rate(json!({"requests": 1, "seconds": 9_999, "burst": 1})),
            "should be less than or equal to 1000",
        ),
        ("bad.class", json!({}), "no DNS label of at most 40 characters"),
        (
            "a-name-that-is-far-too-long-for-a-priority-level",
            json!({}),
            "no DNS label of at most 40 characters",
        ),
    ];
    for (name, spec, wanted) in cases {
        let error = flows.class(name, spec.clone()).await.unwrap_err().to_string();
        assert!(error.contains(wanted), "{name} {spec}: {error}");
    }
    flows.class("bad-class-not", rate(json!({"requests": 1, "seconds": 1_000, "burst": 1}))).await.unwrap();
}

#[tokio::test]
async fn owners_do_not_choose_the_class_of_their_tenant() {
    let flows = Flows::new().await;
    flows.class("chosen-class", json!({})).await.unwrap();
    let tenant = flows.tenant("chosen", "{members: [{kind: User, name: alice, role: owner}]}").await;
    let patch = r#"{"spec": {"fairnessClass": "chosen-class"}}"#;
    let arguments = ["patch", "tenants.bailey.dev", "chosen", "--type=merge", "-p", patch];
    let said = tests::command::Said::until(
        || tests::command::Said::of(&World::shared().kubectl(tests::ALICE, &arguments)),
        // Her right to write the tenant at all comes a moment later.
        |said| said.error.contains("administrator's to change"),
    )
    .await;
    assert!(said.error.contains("spec.fairnessClass"), "{said:?}");
    assert!(tenant.get().await.data["spec"]["fairnessClass"].is_null());
}
