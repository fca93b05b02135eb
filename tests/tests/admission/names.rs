//! Generated names: the validating webhook sees the name that the API server made.

use kube::api::PostParams;
use tests::{World, refusal, required_label};

#[tokio::test]
async fn a_binding_by_name_matches_generated_names() {
    let namespace = World::shared().namespace("names").await;
    let policy = required_label(&namespace.name, &namespace.name, "owner", "deny")
        .replace("namespaces: [", "names: [\"web-*\"]\n    namespaces: [");
    namespace.policies(&policy).await;

    let create = async |prefix: &str| {
        let mut pod = namespace.pod("", &[]);
        pod.metadata.name = None;
        pod.metadata.generate_name = Some(prefix.to_owned());
        namespace.pods().create(&PostParams::default(), &pod).await
    };
    let made = create("db-").await.unwrap();
    assert!(made.metadata.name.unwrap().starts_with("db-"));
    assert_eq!(refusal(create("web-").await).reason, "policy_denied");
}
