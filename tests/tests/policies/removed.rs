//! A policy that goes away, and one that comes back.

use tests::{World, documents, refusal, required_label, until};

#[tokio::test]
async fn without_its_binding_a_policy_answers_nothing() {
    let namespace = World::shared().namespace("unbound").await;
    let yaml = required_label(&namespace.name, &namespace.name, "owner", "deny");
    namespace.policies(&yaml).await;
    assert_eq!(refusal(namespace.create_pod("web", &[]).await).reason, "policy_denied");
    namespace.admin.delete(&documents(&yaml)[1]).await.unwrap();
    until("the binding is forgotten", async || namespace.create_pod("web", &[]).await.is_ok()).await;
}

#[tokio::test]
async fn a_binding_without_its_policy_fails_closed() {
    let namespace = World::shared().namespace("missing").await;
    let yaml = required_label(&namespace.name, &namespace.name, "owner", "deny");
    namespace.policies(&yaml).await;
    let policy = &documents(&yaml)[0];
    namespace.admin.delete(policy).await.unwrap();
    let labels = [("owner", "alice")];
    until("the policy is missed", async || match namespace.create_pod("web", &labels).await {
        Ok(_) => {
            namespace
                .pods()
                .delete("web", &kube::api::DeleteParams::default().grace_period(0))
                .await
                .unwrap();
            false
        }
        Err(error) => refusal::<()>(Err(error)).reason == "policy_missing",
    })
    .await;
    namespace.admin.apply(policy).await.unwrap();
    until("the policy is back", async || namespace.create_pod("web", &labels).await.is_ok()).await;
}
