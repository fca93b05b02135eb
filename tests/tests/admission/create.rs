//! Creation: allowed, refused with a message that helps, warned.

use tests::{ADMIN, BOB, World, refusal, required_label, until_some};

use kube::api::PostParams;

#[tokio::test]
async fn what_meets_the_policy_is_created() {
    let namespace = World::shared().namespace("create").await;
    namespace.policies(&required_label(&namespace.name, &namespace.name, "owner", "deny")).await;
    let pod = namespace.create_pod("web", &[("owner", "alice")]).await.unwrap();
    assert_eq!(pod.metadata.name.as_deref(), Some("web"));
}

#[tokio::test]
async fn a_refusal_says_what_is_missing_and_is_kept() {
    let world = World::shared();
    let namespace = world.namespace("refuse").await;
    namespace.policies(&required_label(&namespace.name, &namespace.name, "owner", "deny")).await;

    let refused = refusal(namespace.create_pod("web", &[]).await);
    assert_eq!((refused.code, refused.reason.as_str()), (403, "policy_denied"));
    let wanted = "label `owner` is missing, add it under metadata.labels";
    assert!(refused.message.contains(wanted), "{}", refused.message);
    assert!(refused.message.contains(&refused.decision), "{}", refused.message);

    // The record is written behind the answer.
    let record =
        until_some("the decision is kept", async || world.bailey.audit(&["show", &refused.decision]).ok())
            .await;
    for part in ["alice", namespace.name.as_str(), wanted] {
        assert!(record.contains(part), "`{part}` is not in the record:\n{record}");
    }
}

#[tokio::test]
async fn administrators_are_asked_like_anyone() {
    let namespace = World::shared().namespace("masters").await;
    namespace.policies(&required_label(&namespace.name, &namespace.name, "owner", "deny")).await;
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> = namespace.api(ADMIN);
    let refused = refusal(pods.create(&PostParams::default(), &namespace.pod("web", &[])).await);
    assert_eq!(refused.reason, "policy_denied");
}

#[tokio::test]
async fn a_warning_reaches_the_user_and_the_object_is_created() {
    let world = World::shared();
    let namespace = world.namespace("warn").await;
    namespace.policies(&required_label(&namespace.name, &namespace.name, "owner", "warn")).await;
    let image = "--image=registry.example.com/web:1";
    let output = world.kubectl(BOB, &["run", "web", image, "--namespace", &namespace.name]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Warning: ") && said.contains("label `owner` is missing"), "{said}");
}

#[tokio::test]
async fn an_audit_binding_is_silent() {
    let world = World::shared();
    let namespace = world.namespace("audit").await;
    namespace.policies(&required_label(&namespace.name, &namespace.name, "owner", "audit")).await;
    let image = "--image=registry.example.com/web:1";
    let output = world.kubectl(BOB, &["run", "web", image, "--namespace", &namespace.name]);
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[tokio::test]
async fn another_namespace_is_left_alone() {
    let world = World::shared();
    let (strict, free) = (world.namespace("strict").await, world.namespace("free").await);
    strict.policies(&required_label(&strict.name, &strict.name, "owner", "deny")).await;
    free.create_pod("web", &[]).await.unwrap();
    assert_eq!(refusal(strict.create_pod("web", &[]).await).reason, "policy_denied");
}

#[tokio::test]
async fn the_labels_of_the_namespace_select() {
    let world = World::shared();
    let namespace = world.namespace("selector").await;
    let policy = required_label(&namespace.name, &namespace.name, "owner", "deny")
        .replace("namespaces: [", "namespaceSelector: {matchLabels: {stage: production}}\n    namespaces: [");
    namespace.policies(&policy).await;
    namespace.create_pod("before", &[]).await.unwrap();

    let label = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {}, labels: {{stage: production}}}}\n",
        namespace.name
    );
    namespace.admin.apply_all(&label).await;
    // The label reaches Bailey by its watch.
    let number = std::sync::atomic::AtomicUsize::new(0);
    let refused = until_some("the label selects the namespace", async || {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let result = namespace.create_pod(&format!("after-{number}"), &[]).await;
        result.is_err().then(|| refusal(result))
    })
    .await;
    assert_eq!(refused.reason, "policy_denied");
}
