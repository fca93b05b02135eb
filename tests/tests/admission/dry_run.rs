//! Dry runs are decided like any request and change nothing.

use kube::api::PostParams;
use tests::{World, refusal, required_label};

#[tokio::test]
async fn a_dry_run_tells_what_would_happen() {
    let namespace = World::shared().namespace("dry-run").await;
    namespace.policies(&required_label(&namespace.name, &namespace.name, "owner", "deny")).await;
    let dry = PostParams { dry_run: true, ..PostParams::default() };

    let refused = refusal(namespace.pods().create(&dry, &namespace.pod("web", &[])).await);
    assert_eq!(refused.reason, "policy_denied");
    namespace.pods().create(&dry, &namespace.pod("web", &[("owner", "alice")])).await.unwrap();
    assert!(namespace.pods().get_opt("web").await.unwrap().is_none());
}
