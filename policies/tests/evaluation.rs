//! From sources to findings: compiling, matching and asking, through the crate's own doors.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{
    Code, Enforcement, GroupVersionKind, LoadFault, Loaded, ObjectEvent, ObjectKey, Request, StoredObject,
};
use serde_json::json;
use support::{World, binding, create, pod, policy, review, sources};

const DENY_ALL: &str = "deny contains \"no\" if true";

fn namespace_kind() -> GroupVersionKind {
    GroupVersionKind { group: String::new(), version: "v1".into(), kind: "Namespace".into() }
}

fn namespace(name: &str, labels: serde_json::Value) -> StoredObject {
    let object = json!({"metadata": {"name": name, "labels": labels}});
    StoredObject {
        key: ObjectKey { kind: namespace_kind(), namespace: String::new(), name: name.into() },
        json: Arc::from(object.to_string()),
    }
}

fn messages(world: &mut World, request: &Request) -> Vec<String> {
    let evaluation = world.validate(request);
    assert_eq!(evaluation.failures, []);
    evaluation.findings.into_iter().map(|finding| finding.message).collect()
}

#[test]
fn parameters_and_catalogue_make_the_message() {
    let mut labels = policy(
        "labels",
        r#"violation contains {"code": "missing", "path": "metadata.labels", "details": {"label": l}} if {
            some l in input.parameters.labels
            not input.review.object.metadata.labels[l]
        }"#,
    );
    labels.messages = BTreeMap::from([("missing".into(), "label `{label}` is missing at {path}".into())]);
    let mut owner = binding("owner", "labels");
    owner.parameters = json!({"labels": ["owner", "app"]});
    let mut world = World::new();
    world.load(&sources(vec![labels], vec![owner]));
    assert_eq!(messages(&mut world, &create(pod())), ["label `owner` is missing at metadata.labels"]);
}

#[test]
fn enforcement_is_the_bindings_and_warn_rules_only_warn() {
    let rules = "deny contains \"no\" if true\nwarn contains \"careful\" if true";
    let mut audited = binding("audited", "both");
    audited.enforcement = Enforcement::Audit;
    let mut world = World::new();
    world.load(&sources(vec![policy("both", rules)], vec![audited, binding("denied", "both")]));
    let evaluation = world.validate(&create(pod()));
    let mut found: Vec<_> = evaluation
        .findings
        .iter()
        .map(|finding| (finding.binding.as_str(), finding.message.as_str(), finding.enforcement))
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("audited", "careful", Enforcement::Audit),
            ("audited", "no", Enforcement::Audit),
            ("denied", "careful", Enforcement::Warn),
            ("denied", "no", Enforcement::Deny),
        ]
    );
}

#[test]
fn a_missing_policy_is_a_failure_of_each_matching_request() {
    let mut world = World::new();
    let build = world.load(&sources(vec![], vec![binding("orphan", "absent")]));
    assert_eq!(build.bindings[0].fault.as_ref().unwrap().code, Code::PolicyMissing);
    let evaluation = world.validate(&create(pod()));
    assert_eq!(evaluation.failures[0].code, Code::PolicyMissing);
    assert!(evaluation.failures[0].refuses());
}

#[test]
fn a_bad_policy_keeps_its_last_good_version_and_harms_no_other() {
    let mut world = World::new();
    let bindings = vec![binding("one", "bad"), binding("two", "good")];
    let good = policy("good", "deny contains \"good\" if true");
    world.load(&sources(vec![policy("bad", DENY_ALL), good.clone()], bindings.clone()));
    let mut broken = policy("bad", "deny contains \"x\" if {");
    broken.generation = 2;
    let build = world.load(&sources(vec![broken.clone(), good.clone()], bindings.clone()));
    let status = &build.policies[0];
    let fault = status.fault.as_ref().unwrap();
    assert_eq!(fault.code, Code::PolicyInvalid);
    assert_eq!(fault.position.as_ref().unwrap().module, "policy.rego");
    assert!(status.version.as_ref().unwrap().starts_with("1-"), "{status:?}");
    assert_eq!(messages(&mut world, &create(pod())), ["no", "good"]);

    let mut fresh = World::new();
    fresh.load(&sources(vec![broken, good], bindings));
    let evaluation = fresh.validate(&create(pod()));
    assert_eq!(evaluation.failures[0].code, Code::PolicyNotLoaded);
    assert_eq!(evaluation.findings[0].message, "good");
}

#[test]
fn an_unreadable_object_is_reported_and_the_rest_goes_on() {
    let mut world = World::new();
    let mut all = sources(vec![policy("good", DENY_ALL)], vec![binding("one", "good")]);
    let fault = LoadFault::new(Code::BindingInvalid, "unknown field");
    all.bindings.push(Loaded { name: "two".into(), generation: 3, value: Err(fault.clone()) });
    let build = world.load(&all);
    assert_eq!(build.bindings[1].fault, Some(fault));
    assert_eq!(messages(&mut world, &create(pod())), ["no"]);
}

#[test]
fn parameters_are_held_against_the_schema_and_the_last_good_ones_stay() {
    let mut strict = policy("strict", "deny contains input.parameters.text if true");
    strict.parameter_schema =
        Some(json!({"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}));
    let mut good = binding("b", "strict");
    good.parameters = json!({"text": "first"});
    let mut bad = good.clone();
    bad.parameters = json!({"text": 5});
    let mut world = World::new();
    let build = world.load(&sources(vec![strict.clone()], vec![bad.clone()]));
    let fault = build.bindings[0].fault.as_ref().unwrap();
    assert_eq!(fault.code, Code::ParametersInvalid);
    assert!(fault.message.contains("/text"), "{fault}");
    assert_eq!(world.validate(&create(pod())).failures[0].code, Code::ParametersInvalid);

    world.load(&sources(vec![strict.clone()], vec![good]));
    let build = world.load(&sources(vec![strict], vec![bad]));
    assert!(build.bindings[0].fault.is_some());
    assert_eq!(messages(&mut world, &create(pod())), ["first"]);
}

#[test]
fn a_removed_binding_or_policy_is_gone() {
    let mut world = World::new();
    world.load(&sources(vec![policy("p", DENY_ALL)], vec![binding("b", "p")]));
    assert_eq!(messages(&mut world, &create(pod())), ["no"]);
    world.load(&sources(vec![policy("p", DENY_ALL)], vec![]));
    assert_eq!(messages(&mut world, &create(pod())), Vec::<String>::new());
}

#[test]
fn a_namespace_selector_follows_the_cache() {
    let mut selected = binding("b", "p");
    selected.rules.namespace_selector.match_labels.insert("tier".into(), "gold".into());
    let mut world = World::new();
    world.load(&sources(vec![policy("p", DENY_ALL)], vec![selected]));
    let failures = world.validate(&create(pod())).failures;
    assert_eq!(failures[0].code, Code::MatchError, "an unknown namespace is an error, not a mismatch");

    let gold = namespace("team-a", json!({"tier": "gold"}));
    world.events.send(ObjectEvent::Replace(namespace_kind(), vec![gold.clone()])).unwrap();
    assert_eq!(messages(&mut world, &create(pod())), ["no"]);
    world.events.send(ObjectEvent::Upsert(namespace("team-a", json!({"tier": "tin"})))).unwrap();
    assert_eq!(messages(&mut world, &create(pod())), Vec::<String>::new());
    world.events.send(ObjectEvent::Upsert(gold)).unwrap();
    assert_eq!(messages(&mut world, &create(pod())), ["no"]);
}

#[test]
fn lookups_need_their_kind_in_the_cache() {
    let mut looks = policy(
        "looks",
        r#"deny contains msg if {
            some name, ns in data.inventory.cluster["v1"].Namespace
            ns.metadata.labels.tier == "gold"
            msg := sprintf("saw %s", [name])
        }"#,
    );
    looks.lookups = vec![namespace_kind()];
    let mut world = World::new();
    let build = world.load(&sources(vec![looks], vec![binding("b", "looks")]));
    assert_eq!(build.set.lookups(), [namespace_kind()]);
    assert_eq!(world.validate(&create(pod())).failures[0].code, Code::LookupUnavailable);
    let objects = vec![namespace("a", json!({"tier": "gold"})), namespace("b", json!(null))];
    world.events.send(ObjectEvent::Replace(namespace_kind(), objects)).unwrap();
    assert_eq!(messages(&mut world, &create(pod())), ["saw a"]);
    let key = namespace("a", json!(null)).key;
    world.events.send(ObjectEvent::Delete(key)).unwrap();
    assert_eq!(messages(&mut world, &create(pod())), Vec::<String>::new());
}

#[test]
fn a_policy_sees_only_the_kinds_it_declares() {
    let counts = r#"deny contains sprintf("%v kinds", [count(kinds)]) if {
        kinds := {kind | some version; some kind, _ in data.inventory.cluster[version]}
    }"#;
    let (mut one, mut both) = (policy("one", counts), policy("both", counts));
    let node = GroupVersionKind { group: String::new(), version: "v1".into(), kind: "Node".into() };
    one.lookups = vec![namespace_kind()];
    both.lookups = vec![namespace_kind(), node.clone()];
    let mut world = World::new();
    let event = |kind: &GroupVersionKind| {
        let key = ObjectKey { kind: kind.clone(), namespace: String::new(), name: "x".into() };
        ObjectEvent::Replace(kind.clone(), vec![StoredObject { key, json: "{}".into() }])
    };
    // One kind is there before the policies are, the other comes later.
    world.events.send(event(&node)).unwrap();
    world.validate(&create(pod()));
    world.load(&sources(vec![one, both], vec![binding("a", "one"), binding("b", "both")]));
    world.events.send(event(&namespace_kind())).unwrap();
    assert_eq!(messages(&mut world, &create(pod())), ["1 kinds", "2 kinds"]);
}

#[test]
fn managed_fields_are_shown_to_who_names_them() {
    let names = r#"deny contains m.manager if some m in input.review.object.metadata.managedFields"#;
    let asks = r#"deny contains "found" if input.review.object.metadata[input.parameters.field]"#;
    let walks =
        r#"deny contains "walked" if { walk(input.review.object, [path, "kubectl"]); count(path) > 0 }"#;
    let guesses = r#"deny contains "guessed" if input.review.object.metadata[_][_].manager"#;
    let texts = [("names", names), ("asks", asks), ("guesses", guesses), ("walks", walks)];
    let mut bindings = texts.map(|(name, _)| binding(name, name)).to_vec();
    bindings[1].parameters = json!({"field": "managedFields"});
    let mut world = World::new();
    world.load(&sources(texts.map(|(name, text)| policy(name, text)).to_vec(), bindings));
    let mut object = pod();
    object["metadata"]["managedFields"] = json!([{"manager": "kubectl"}]);
    assert_eq!(messages(&mut world, &create(object)), ["found", "kubectl", "walked"]);
}

#[test]
fn a_delete_is_judged_by_the_old_object() {
    let rules = "deny contains \"kept\" if input.review.oldObject.metadata.labels.app == \"web\"";
    let mut selected = binding("b", "p");
    selected.rules.object_selector.match_labels.insert("app".into(), "web".into());
    let mut world = World::new();
    world.load(&sources(vec![policy("p", rules)], vec![selected]));
    assert_eq!(messages(&mut world, &review("DELETE", json!(null), pod())), ["kept"]);
}

#[test]
fn past_the_deadline_nothing_is_let_through() {
    let mut world = World::new();
    world.load(&sources(vec![policy("p", DENY_ALL)], vec![binding("b", "p")]));
    let evaluation = world.evaluator.validate(&create(pod()), std::time::Instant::now());
    assert_eq!(evaluation.failures[0].code, Code::DeadlineExceeded);
    assert!(evaluation.failures[0].refuses());
}

#[test]
fn ten_thousand_idle_bindings_change_no_verdict() {
    let mut bindings = vec![binding("zz-match", "p")];
    for number in 0..10_000 {
        let mut idle = binding(&format!("idle-{number}"), "p");
        match number % 4 {
            0 => idle.rules.resources[0].kinds = vec!["Service".into()],
            1 => idle.rules.namespaces = vec![format!("tenant-{number}")],
            2 => idle.rules.excluded_namespaces = vec!["team-*".into()],
            _ => idle.rules.subjects.users = vec![format!("user-{number}")],
        }
        bindings.push(idle);
    }
    let mut world = World::new();
    world.load(&sources(vec![policy("p", DENY_ALL)], bindings));
    for _ in 0..2 {
        assert_eq!(messages(&mut world, &create(pod())), ["no"]);
    }
}
