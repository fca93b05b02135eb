//! Server-side apply: creation and update through one verb.

use kube::api::{Patch, PatchParams};
use tests::{World, refusal, required_label};

#[tokio::test]
async fn apply_is_decided_when_it_creates_and_when_it_updates() {
    let namespace = World::shared().namespace("apply").await;
    namespace.policies(&required_label(&namespace.name, &namespace.name, "owner", "deny")).await;
    let apply = async |labels: &[(&str, &str)]| {
        let pod = namespace.pod("web", labels);
        namespace.pods().patch("web", &PatchParams::apply("alice"), &Patch::Apply(&pod)).await
    };

    assert_eq!(refusal(apply(&[]).await).reason, "policy_denied");
    assert!(namespace.pods().get_opt("web").await.unwrap().is_none());
    apply(&[("owner", "alice"), ("tier", "front")]).await.unwrap();
    // Leaving a field out of an apply removes it.
    assert_eq!(refusal(apply(&[("tier", "front")]).await).reason, "policy_denied");
    let pod = apply(&[("owner", "alice")]).await.unwrap();
    assert_eq!(pod.metadata.labels.unwrap().len(), 1);
}
