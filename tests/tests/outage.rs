//! Bailey stopped, restarted, and policies that reach the cluster while nobody checks them.

use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use tests::{World, documents, refusal, required_label};

#[tokio::test]
async fn a_stopped_bailey_fails_closed_and_comes_back_with_its_policies() {
    let world = World::start();
    let namespace = world.namespace("outage").await;
    namespace.policies(&required_label(&namespace.name, &namespace.name, "owner", "deny")).await;

    world.stop_bailey();
    let error = namespace.create_pod("web", &[("owner", "alice")]).await.unwrap_err().to_string();
    assert!(error.contains("failed calling webhook \"mutate.bailey.dev\""), "{error}");
    // What repairs the cluster is not asked about.
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "kube-system"}});
    namespace.admin.apply(&map).await.unwrap();

    world.start_bailey();
    assert_eq!(refusal(namespace.create_pod("bad", &[]).await).reason, "policy_denied");
    namespace.create_pod("web", &[("owner", "alice")]).await.unwrap();
}

#[tokio::test]
async fn a_bad_version_that_got_in_is_reported_and_the_last_good_one_decides() {
    let world = World::start();
    let namespace = world.namespace("got-in").await;
    let other = world.namespace("other").await;
    let yaml = required_label(&namespace.name, &namespace.name, "owner", "deny");
    namespace.policies(&yaml).await;
    other.policies(&required_label(&other.name, &other.name, "team", "deny")).await;

    // An administrator takes the webhooks away: now nobody checks what is written.
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
        let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "bailey"}});
        namespace.admin.api(&object).delete("bailey", &DeleteParams::default()).await.unwrap();
    }
    let bad = &documents(&yaml.replace("violation contains", "violation containz"))[0];
    tests::until("the webhooks are gone", async || namespace.admin.apply(bad).await.is_ok()).await;
    let (reason, message) = namespace.wait_condition(bad, "False").await;
    assert!(message.contains("stays in force"), "{reason}: {message}");
    let position = namespace.admin.get(bad).await.unwrap().data["status"]["position"].to_string();
    assert!(position.contains("policy.rego:2"), "{position}");

    world.install_webhooks();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    tests::until("the webhooks are asked again", async || {
        other.pods().create(&dry, &other.pod("probe", &[])).await.is_err()
    })
    .await;
    let refused = refusal(namespace.create_pod("bad", &[]).await);
    assert!(refused.message.contains("label `owner` is missing"), "{}", refused.message);
    namespace.create_pod("good", &[("owner", "alice")]).await.unwrap();
    other.create_pod("good", &[("team", "b")]).await.unwrap();

    // After a restart there is no last good version: what it should decide is refused, and only that.
    world.restart_bailey();
    let refused = refusal(namespace.create_pod("late", &[("owner", "alice")]).await);
    assert_eq!(refused.reason, "policy_not_loaded");
    other.create_pod("late", &[("team", "b")]).await.unwrap();

    namespace.policies(&yaml).await;
    namespace.create_pod("late", &[("owner", "alice")]).await.unwrap();
}
