//! The mutating pass: order, fixpoint, conflicts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod support;

use model::{Code, Enforcement, FailurePolicy, PolicyBinding};
use serde_json::{Value, json};
use support::{World, binding, create, pod, policy, review, sources};

/// A policy that sets a label, unless it has the value already.
fn sets(name: &str, label: &str, value: &str) -> model::Policy {
    policy(
        name,
        &format!(
            r#"patch contains {{"op": "add", "path": "/metadata/labels/{label}", "value": "{value}"}} if {{
                object.get(input.review.object.metadata.labels, "{label}", "") != "{value}"
            }}"#
        ),
    )
}

fn ordered(name: &str, policy: &str, order: i32) -> PolicyBinding {
    let mut binding = binding(name, policy);
    binding.order = order;
    binding
}

#[test]
fn bindings_change_the_object_in_their_order() {
    let copies = policy(
        "copies",
        r#"patch contains {"op": "add", "path": "/metadata/labels/copy", "value": v} if {
            v := input.review.object.metadata.labels.first
            not input.review.object.metadata.labels.copy
        }"#,
    );
    let mut world = World::new();
    let first = sets("sets", "first", "1");
    world.load(&sources(
        vec![copies.clone(), first.clone()],
        vec![ordered("a", "copies", 2), ordered("b", "sets", 1)],
    ));
    let evaluation = world.mutate(&create(pod()));
    assert_eq!(evaluation.failures, []);
    let Some(Value::Array(patch)) = evaluation.patch else { panic!("no patch") };
    let paths: Vec<_> = patch.iter().map(|operation| operation["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/metadata/labels/copy", "/metadata/labels/first"]);
}

#[test]
fn a_later_change_is_seen_by_an_earlier_policy_in_the_next_pass() {
    let mut world = World::new();
    let copies = policy(
        "copies",
        r#"patch contains {"op": "add", "path": "/metadata/labels/copy", "value": v} if {
            v := input.review.object.metadata.labels.first
            not input.review.object.metadata.labels.copy
        }"#,
    );
    world.load(&sources(
        vec![copies, sets("sets", "first", "1")],
        vec![ordered("a", "copies", 1), ordered("b", "sets", 2)],
    ));
    let evaluation = world.mutate(&create(pod()));
    assert_eq!(evaluation.failures, []);
    assert_eq!(evaluation.patch.unwrap().as_array().unwrap().len(), 2);
}

#[test]
fn an_object_that_is_fine_gets_no_patch() {
    let mut world = World::new();
    world.load(&sources(vec![sets("sets", "app", "web")], vec![binding("b", "sets")]));
    let evaluation = world.mutate(&create(pod()));
    assert_eq!(evaluation.patch, None);
    assert_eq!(evaluation.policies.len(), 1, "it was asked all the same");
}

#[test]
fn policies_that_undo_each_other_fail_by_name_and_leave_nothing() {
    let mut world = World::new();
    let policies = vec![sets("red", "color", "red"), sets("blue", "color", "blue"), sets("other", "x", "y")];
    let bindings = vec![binding("a-red", "red"), binding("b-blue", "blue"), binding("c-other", "other")];
    world.load(&sources(policies.clone(), bindings.clone()));
    let evaluation = world.mutate(&create(pod()));
    let failed: Vec<_> =
        evaluation.failures.iter().map(|failure| (failure.binding.as_str(), failure.code)).collect();
    assert_eq!(failed, [("a-red", Code::MutationConflict), ("b-blue", Code::MutationConflict)]);
    assert!(evaluation.failures[0].message.contains("`b-blue`"), "{}", evaluation.failures[0].message);
    assert!(evaluation.failures[0].message.contains("`/metadata/labels/color`"));
    assert!(evaluation.failures[0].refuses());

    let ignored = bindings.into_iter().map(|mut binding| {
        binding.failure_policy = FailurePolicy::Ignore;
        binding
    });
    world.load(&sources(policies, ignored.collect()));
    let evaluation = world.mutate(&create(pod()));
    assert_eq!(evaluation.patch, Some(json!([{"op": "add", "path": "/metadata/labels/x", "value": "y"}])));
}

#[test]
fn a_policy_that_fails_on_its_own_result_leaves_nothing_of_it() {
    let turns_bad = r#"patch contains {"op": "add", "path": "/metadata/labels/x", "value": "y"} if {
            not input.review.object.metadata.labels.x
        }
        patch contains {"op": "replace", "path": "/spec/absent", "value": 1} if {
            input.review.object.metadata.labels.x
        }"#;
    let mut ignored = binding("a", "turns-bad");
    ignored.failure_policy = FailurePolicy::Ignore;
    let mut world = World::new();
    world.load(&sources(
        vec![policy("turns-bad", turns_bad), sets("sets", "other", "1")],
        vec![ignored, binding("b", "sets")],
    ));
    let evaluation = world.mutate(&create(pod()));
    assert_eq!(evaluation.failures.len(), 1);
    assert_eq!(evaluation.failures[0].code, Code::MutationInvalid);
    let other = json!([{"op": "add", "path": "/metadata/labels/other", "value": "1"}]);
    assert_eq!(evaluation.patch, Some(other));
}

#[test]
fn a_policy_that_repeats_its_change_is_not_idempotent() {
    let appends =
        r#"patch contains {"op": "add", "path": "/spec/containers/-", "value": {"name": "sidecar"}}"#;
    let mut world = World::new();
    world.load(&sources(vec![policy("appends", appends)], vec![binding("b", "appends")]));
    let evaluation = world.mutate(&create(pod()));
    assert_eq!(evaluation.failures[0].code, Code::MutationNotIdempotent);
    assert_eq!(evaluation.patch, None);
}

#[test]
fn a_patch_that_does_not_apply_is_a_failure_and_others_go_on() {
    let broken = r#"patch contains {"op": "replace", "path": "/spec/absent", "value": 1}"#;
    let mut world = World::new();
    world.load(&sources(
        vec![policy("broken", broken), sets("sets", "x", "y")],
        vec![binding("a", "broken"), binding("b", "sets")],
    ));
    let evaluation = world.mutate(&create(pod()));
    assert_eq!(evaluation.failures[0].code, Code::MutationInvalid);
    assert!(evaluation.patch.is_some());
}

#[test]
fn an_audited_mutation_changes_nothing_and_says_what_it_would() {
    let mut audited = binding("b", "sets");
    audited.enforcement = Enforcement::Audit;
    let mut world = World::new();
    world.load(&sources(vec![sets("sets", "x", "y")], vec![audited]));
    let evaluation = world.mutate(&create(pod()));
    assert_eq!(evaluation.patch, None);
    assert_eq!(evaluation.findings[0].message, "would change `/metadata/labels/x`");
}

#[test]
fn a_delete_has_nothing_to_change() {
    let mut world = World::new();
    world.load(&sources(vec![sets("sets", "x", "y")], vec![binding("b", "sets")]));
    assert_eq!(world.mutate(&review("DELETE", json!(null), pod())).patch, None);
}

#[test]
fn a_mutating_policy_is_also_asked_whether_it_refuses() {
    let both = r#"deny contains "no" if endswith(input.review.object.spec.containers[_].image, ":latest")
        patch contains {"op": "add", "path": "/metadata/labels/x", "value": "y"} if not input.review.object.metadata.labels.x"#;
    let mut world = World::new();
    world.load(&sources(vec![policy("both", both)], vec![binding("b", "both")]));
    assert_eq!(world.validate(&create(pod())).findings.len(), 1);
    assert!(world.mutate(&create(pod())).patch.is_some());
}

#[test]
fn a_patch_rule_of_a_policy_that_does_not_mutate_is_refused() {
    let mut silent = sets("sets", "x", "y");
    silent.mutates = false;
    let build = World::new().load(&sources(vec![silent], vec![]));
    assert_eq!(build.policies[0].fault.as_ref().unwrap().code, Code::PolicyInvalid);
}
