//! What an approved exception does, and what ends it.

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use tests::{ADMIN, ALICE, World, refusal, until, until_some};

use crate::Lab;

#[tokio::test]
async fn a_tenant_asks_the_administrator_approves_and_it_is_over_by_itself() {
    let lab = Lab::create("asks").await;
    let refused = refusal(lab.pod("one", "web", json!({})).await);
    assert_eq!(refused.reason, "policy_denied");
    let says =
        "to ask for an exception: `kubectl tenant request exception asks -n asks-one --reason WHY --for 7d`";
    assert!(refused.message.contains(says), "{}", refused.message);

    // Asking alone changes nothing.
    let asked = lab
        .ask("one", &lab.exception("web", 25, &json!({"match": {"kinds": ["Pod"], "names": ["we*"]}})))
        .await;
    assert_eq!(asked.data["spec"]["requestedBy"], "alice");
    lab.until_state("one", "web", "Pending").await;
    assert!(lab.pod("one", "web", json!({})).await.is_err());

    lab.decide("one", "web", "Approved").await;
    lab.until_admitted("one", "web").await;
    let found = lab.until_state("one", "web", "Approved").await;
    assert_eq!(found["status"]["approval"]["by"], "admin");
    let message = found["status"]["conditions"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("approved by `admin`, until ") && message.ends_with(": once"), "{message}");
    // What is not meant is refused as before.
    assert!(lab.pod("one", "db", json!({})).await.is_err(), "another name");

    // What it let through is on record, with its name, and counted.
    let tail = ["tail", "-n", "1000", "-o", "json", "--namespace", "asks-one", "--tenant", "asks"];
    let kept = until_some("the decision is kept", async || {
        let lines = World::shared().bailey.audit(&tail).unwrap();
        lines.lines().find(|line| line.contains("\"exception\":\"web\"")).map(str::to_owned)
    })
    .await;
    assert!(kept.contains("\"allowed\":true") && kept.contains("label `owner` is missing"), "{kept}");
    let metrics = World::shared().bailey.metrics();
    let counted = "bailey_admission_findings_total{binding=\"asks\",enforcement=\"excepted\"}";
    assert!(metrics.contains(counted), "{metrics}");

    // The clock ends it, and no write is needed.
    lab.until_refused("one", "web").await;
    let found = lab.until_state("one", "web", "Expired").await;
    assert_eq!(found["status"]["conditions"][0]["status"], "False");
    assert_eq!(found["status"]["approval"]["decision"], "Approved");
}

#[tokio::test]
async fn every_change_of_an_exception_is_a_decision_of_its_tenant() {
    let lab = Lab::create("kept").await;
    lab.ask("one", &lab.exception("told", 600, &json!({}))).await;
    lab.decide("one", "told", "Refused").await;
    lab.exceptions(ALICE, "one").await.delete("told", &DeleteParams::default()).await.unwrap();
    let tail = ["tail", "-n", "1000", "-o", "json", "--kind", "PolicyException", "--tenant", "kept"];
    let kept = until_some("all of them are kept", async || {
        let lines = World::shared().bailey.audit(&tail).unwrap();
        lines.contains("\"operation\":\"DELETE\"").then_some(lines)
    })
    .await;
    for (operation, user, sub_resource) in
        [("CREATE", "alice", ""), ("UPDATE", "admin", "status"), ("DELETE", "alice", "")]
    {
        let is = |line: &str| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            record["operation"] == operation
                && record["username"] == user
                && record["subResource"] == sub_resource
                && record["name"] == "told"
                && record["namespace"] == "kept-one"
                && record["phase"] == "validate"
        };
        assert!(kept.lines().any(is), "{operation} {user}: {kept}");
    }
}

#[tokio::test]
async fn what_was_changed_after_its_approval_is_not_in_force() {
    let lab = Lab::create("changed").await;
    let narrow = json!({"match": {"names": ["web"]}});
    let asked = lab.exception("web", 600, &narrow);
    lab.ask("one", &asked).await;
    lab.decide("one", "web", "Approved").await;
    lab.until_admitted("one", "web").await;
    let api = lab.exceptions(ALICE, "one").await;
    let change = async |names: serde_json::Value| {
        let patch = json!({"spec": {"match": {"names": names}}});
        api.patch("web", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    };
    change(json!(["*"])).await;
    lab.until_refused("one", "web").await;
    lab.until_state("one", "web", "Changed").await;
    assert!(lab.pod("one", "other", json!({})).await.is_err());
    // Nor is it when it says again what it said.
    change(json!(["web"])).await;
    lab.until_state("one", "web", "Changed").await;
    assert!(lab.pod("one", "web", json!({})).await.is_err());
    // A label is no change, and a new approval counts.
    lab.decide("one", "web", "Approved").await;
    lab.until_admitted("one", "web").await;
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    api.patch("web", &PatchParams::default(), &Patch::Merge(&label)).await.unwrap();
    lab.until_state("one", "web", "Approved").await;
    lab.pod("one", "web", json!({})).await.unwrap();

    // Another object of the name is another request.
    api.delete("web", &DeleteParams::default()).await.unwrap();
    lab.ask("one", &asked).await;
    lab.until_refused("one", "web").await;
    lab.until_state("one", "web", "Pending").await;
    // One that was taken back holds nothing either.
    lab.decide("one", "web", "Approved").await;
    lab.until_admitted("one", "web").await;
    lab.decide("one", "web", "Refused").await;
    lab.until_refused("one", "web").await;
    lab.until_state("one", "web", "Refused").await;
}

#[tokio::test]
async fn an_exception_of_another_namespace_or_for_other_findings_changes_nothing() {
    let lab = Lab::create("narrow").await;
    lab.ask("two", &lab.exception("all", 600, &json!({}))).await;
    lab.decide("two", "all", "Approved").await;
    lab.until_admitted("two", "web").await;
    assert!(lab.pod("one", "web", json!({})).await.is_err(), "it is of another namespace");

    lab.ask("one", &lab.exception("tier", 600, &json!({"codes": ["tier"], "binding": "narrow"}))).await;
    lab.decide("one", "tier", "Approved").await;
    until("what it names is let through", async || {
        lab.pod("one", "web", json!({"owner": "a"})).await.is_ok()
    })
    .await;
    let refused = refusal(lab.pod("one", "web", json!({})).await);
    assert!(
        refused.message.contains("`owner`") && !refused.message.contains("`tier`"),
        "{}",
        refused.message
    );

    lab.ask("one", &lab.exception("other", 600, &json!({"binding": "another"}))).await;
    lab.ask("one", &lab.exception("deployments", 600, &json!({"match": {"kinds": ["Deployment.apps"]}})))
        .await;
    for name in ["other", "deployments"] {
        lab.decide("one", name, "Approved").await;
        lab.until_state("one", name, "Approved").await;
    }
    assert!(lab.pod("one", "web", json!({})).await.is_err());
}

#[tokio::test]
async fn a_binding_that_forbids_exceptions_has_none() {
    let lab = Lab::with("strict", "Forbidden").await;
    let refused = refusal(lab.pod("one", "web", json!({})).await);
    assert!(!refused.message.contains("exception"), "{}", refused.message);
    let mut named = lab.exception("named", 600, &json!({"binding": "strict"}));
    lab.ask("one", &named).await;
    lab.decide("one", "named", "Approved").await;
    lab.until_state("one", "named", "Approved").await;
    assert!(lab.pod("one", "web", json!({})).await.is_err());

    // Whoever asks for one like it is warned.
    named.metadata.namespace = Some(lab.namespace("one"));
    named.metadata.name = Some("again".to_owned());
    let text = serde_json::to_string(&named).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let said = World::shared().kubectl(ALICE, &["apply", "-f", file.path().to_str().unwrap()]);
    let warned = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        warned.contains("the binding `strict` of the policy `strict` is not there or does not allow"),
        "{warned}"
    );

    // It is the binding that says so, and at once.
    lab.bind("Allowed").await;
    lab.until_admitted("one", "web").await;
    lab.bind("Forbidden").await;
    lab.until_refused("one", "web").await;
    let api = lab.exceptions(ADMIN, "one").await;
    assert_eq!(api.get("named").await.unwrap().data["status"]["approval"]["decision"], "Approved");
}
