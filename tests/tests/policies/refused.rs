//! A bad policy is refused at its own admission, with the position of the error.

use tests::{World, documents, refusal, required_label};

#[tokio::test]
async fn a_syntax_error_is_refused_with_its_position() {
    let namespace = World::shared().namespace("syntax").await;
    let yaml = required_label(&namespace.name, &namespace.name, "owner", "deny");
    let policy = &documents(&yaml.replace("violation contains", "violation containz"))[0];
    let refused = refusal(namespace.admin.apply(policy).await);
    assert_eq!(refused.reason, "policy_invalid");
    // The rule stands in the second line of the module.
    assert!(refused.message.contains("policy.rego:2"), "{}", refused.message);
    assert!(namespace.admin.get(policy).await.is_err());
}

#[tokio::test]
async fn an_update_to_a_bad_version_is_refused_and_the_good_one_stays() {
    let namespace = World::shared().namespace("stays").await;
    let yaml = required_label(&namespace.name, &namespace.name, "owner", "deny");
    namespace.policies(&yaml).await;
    let policy = &documents(&yaml.replace("== \"\"", "== no_such_variable"))[0];
    let refused = refusal(namespace.admin.apply(policy).await);
    assert_eq!(refused.reason, "policy_invalid");
    assert!(refused.message.contains("no_such_variable"), "{}", refused.message);
    let refused = refusal(namespace.create_pod("web", &[]).await);
    assert!(refused.message.contains("label `owner` is missing"), "{}", refused.message);
}

#[tokio::test]
async fn a_binding_whose_parameters_do_not_fit_is_refused() {
    let namespace = World::shared().namespace("parameters").await;
    let yaml = required_label(&namespace.name, &namespace.name, "owner", "deny").replace(
        "spec:\n  messages:",
        "spec:\n  parameters:\n    schema: {type: object, properties: {label: {type: string}}}\n  messages:",
    );
    namespace.policies(&yaml).await;
    let binding = &documents(&yaml.replace("parameters: {label: owner}", "parameters: {label: 7}"))[1];
    let refused = refusal(namespace.admin.apply(binding).await);
    assert_eq!(refused.reason, "parameters_invalid");
    assert!(refused.message.contains("label"), "{}", refused.message);
}
