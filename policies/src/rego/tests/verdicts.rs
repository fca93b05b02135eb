use super::*;
use crate::Mutation;
use crate::rego::{EvaluationPath, RegoInventory};
use model::Code;

const POD: &str = r#"{"uid":"u","operation":"CREATE","object":{"metadata":{"name":"web","labels":{"app":"web"}},
    "spec":{"containers":[{"name":"a","image":"docker.io/nginx:latest"},{"name":"b","image":"registry.local/x:1"}]}}}"#;

#[test]
fn v1_and_v0_policies_find_the_same() {
    let v1 = r#"
        package allowed_registries
        violation contains {"msg": msg, "code": "registry", "details": {"image": container.image}} if {
            some container in input.review.object.spec.containers
            not startswith(container.image, "registry.local/")
            msg := sprintf("container `%v` uses image `%v`", [container.name, container.image])
        }"#;
    let v0 = r#"
        package allowed_registries
        violation[{"msg": msg, "details": {"image": container.image}}] {
            container := input.review.object.spec.containers[_]
            not startswith(container.image, "registry.local/")
            msg := sprintf("container `%v` uses image `%v`", [container.name, container.image])
        }"#;
    let expected = ["container `a` uses image `docker.io/nginx:latest`"];
    assert_eq!(messages(V1, v1, POD), expected);
    assert_eq!(messages(V0, v0, POD), expected);
    assert!(messages(V1, v1, r#"{"object":{"spec":{"containers":[]}}}"#).is_empty());
}

#[test]
fn an_observation_keeps_code_path_details_and_other_fields() {
    let text = r#"
        package p
        deny contains {"code": "c", "path": "spec.x", "details": {"n": 3, "s": {"b", "a"}}, "extra": [1.5]}
        warn contains "only a warning""#;
    let answer = ask(&load(V1, text).unwrap(), POD, &patient()).unwrap();
    let [deny, warn] = answer.observations.as_slice() else { panic!("{answer:?}") };
    assert_eq!((deny.code.as_str(), deny.path.as_str(), deny.warn_only), ("c", "spec.x", false));
    let details = serde_json::json!({"n": 3, "s": ["a", "b"], "extra": [1.5]});
    assert_eq!(serde_json::Value::Object(deny.details.clone()), details);
    assert_eq!((warn.message.as_str(), warn.warn_only), ("only a warning", true));
}

#[test]
fn all_shapes_of_a_rule_are_read() {
    let cases = [
        ("deny := \"text\"", vec!["text"]),
        ("deny := true", vec!["`deny` is true, the policy gives no reason"]),
        ("deny := false", vec![]),
        (
            "default deny := false\ndeny if input.review.uid == \"u\"",
            vec!["`deny` is true, the policy gives no reason"],
        ),
        ("default deny := false\ndeny if input.review.uid == \"x\"", vec![]),
        ("deny contains x if { x := input.review.nothing }", vec![]),
        ("deny := msg if { msg := input.review.nothing }", vec![]),
        ("deny := [\"b\", {\"msg\": \"a\"}]", vec!["b", "a"]),
        ("deny := {\"msg\": \"one\"}", vec!["one"]),
        ("deny := {\"broken\": true, \"fine\": false}", vec!["broken"]),
        (
            "deny[k] := v if { some k, v in {\"a\": \"first\", \"b\": {\"message\": \"second\"}} }",
            vec!["first", "second"],
        ),
        ("deny contains x if { some x in [\"b\", \"a\"] }\nviolation contains \"c\"", vec!["a", "b", "c"]),
    ];
    for (rule, expected) in cases {
        assert_eq!(messages(V1, &format!("package p\n{rule}"), POD), expected, "{rule}");
    }
}

#[test]
fn results_of_another_shape_are_errors() {
    for rule in [
        "deny := 3",
        "deny := null",
        "deny contains 3",
        "deny contains {\"details\": {}}",
        "deny contains {\"msg\": 3}",
        "deny contains [\"a\"]",
        "deny := {\"a\": 3}",
        "deny contains {3: \"x\", \"msg\": \"m\"}",
    ] {
        let error = ask(&load(V1, &format!("package p\n{rule}")).unwrap(), POD, &patient()).unwrap_err();
        assert_eq!(error.code, Code::PolicyOutputInvalid, "{rule}: {error}");
        assert!(error.message.contains("deny"), "{error}");
    }
}

#[test]
fn too_many_or_too_long_findings_are_errors() {
    let many = "package p\ndeny contains m if { some i in numbers.range(1, 101); m := sprintf(\"%d\", [i]) }";
    let long = "package p\ntext := concat(\"\", [\"0123456789\" | some _ in numbers.range(1, 9000)])
        deny contains m if { some i in numbers.range(1, 20); m := sprintf(\"%d%v\", [i, text]) }";
    for text in [many, long] {
        let error = ask(&load(V1, text).unwrap(), POD, &patient()).unwrap_err();
        assert_eq!(error.code, Code::PolicyOutputTooLarge, "{error}");
    }
}

#[test]
fn a_patch_is_an_array_or_a_set_of_operations() {
    for patch in [
        "patch := [{\"op\": \"add\", \"path\": \"/metadata/labels/a\", \"value\": 1}]",
        "patch contains {\"op\": \"add\", \"path\": \"/metadata/labels/a\", \"value\": 1}",
        "patch contains [{\"op\": \"add\", \"path\": \"/metadata/labels/a\", \"value\": 1}]",
    ] {
        let modules = [module("policy.rego", &format!("package p\n{patch}"))];
        let program = RegoProgram::compile(V1, &modules, false, true, &Limits::default()).unwrap();
        let mut instance = program.instantiate().unwrap();
        let limits = patient();
        let answer = instance.mutate(review(POD), Value::new_object(), &limits, limits.timeout).unwrap();
        let expected = serde_json::json!([{"op": "add", "path": "/metadata/labels/a", "value": 1}]);
        assert_eq!(answer.mutation, Some(Mutation::Patch(expected.as_array().unwrap().clone())), "{patch}");
    }
}

#[test]
fn an_undefined_patch_changes_nothing_and_a_wrong_one_is_an_error() {
    let mutate = |patch: &str| {
        let modules = [module("policy.rego", &format!("package p\n{patch}"))];
        let program = RegoProgram::compile(V1, &modules, false, true, &Limits::default()).unwrap();
        let limits = patient();
        program.instantiate().unwrap().mutate(review(POD), Value::new_object(), &limits, limits.timeout)
    };
    assert_eq!(mutate("patch := [] if { input.review.nothing }").unwrap().mutation, None);
    for wrong in
        ["patch := {\"op\": \"add\"}", "patch := [{\"op\": \"add\"}]", "patch := [3]", "patch := true"]
    {
        assert_eq!(mutate(wrong).unwrap_err().code, Code::PolicyOutputInvalid, "{wrong}");
    }
}

#[test]
fn libraries_are_other_packages() {
    let policy = "package p\nimport data.lib.images\ndeny contains \"latest\" if {
        some c in input.review.object.spec.containers\nimages.tag(c.image) == \"latest\"\ndata.lib.limits.max > 1 }";
    let images = "package lib.images\ntag(image) := t if { parts := split(image, \":\"); t := parts[count(parts) - 1] }";
    let limits = "package lib.limits\nmax := 2";
    let modules =
        [module("policy.rego", policy), module("images.rego", images), module("limits.rego", limits)];
    let program = RegoProgram::compile(V1, &modules, false, false, &Limits::default()).unwrap();
    assert_eq!(program.path(), EvaluationPath::Rvm);
    assert_eq!(ask(&program, POD, &patient()).unwrap().observations.len(), 1);
}

#[test]
fn parameters_and_both_names_of_the_request_are_there() {
    let text = "package p\ndeny contains input.parameters.text if { input.request.uid == input.review.uid }";
    let program = load(V1, text).unwrap();
    let request = input::decode(POD.as_bytes()).unwrap();
    let parameters = input::from_json(&serde_json::json!({"text": "hello"}));
    let limits = patient();
    let mut instance = program.instantiate().unwrap();
    let document = input::envelope(&request, &parameters);
    let answer = instance.validate(document, RegoInventory::new().data(), &limits, limits.timeout).unwrap();
    assert_eq!(answer.observations.first().map(|o| o.message.as_str()), Some("hello"));
}

#[test]
fn what_the_machine_does_not_compile_runs_in_the_interpreter() {
    let walks = "package p\ndeny contains \"privileged\" if { walk(input.review.object, [_, v]); v == \"registry.local/x:1\" }";
    let with = "package p\nname := input.review.object.metadata.name
        deny contains name if { other := name with input as {\"review\": {\"object\": {\"metadata\": {\"name\": \"x\"}}}}
            other == \"x\" }";
    for (text, expected) in [(walks, "privileged"), (with, "web")] {
        let program = load(V1, text).unwrap();
        assert_eq!(program.path(), EvaluationPath::Interpreter, "{text}");
        assert!(program.fallback_reason().is_some());
        assert_eq!(messages(V1, text, POD), [expected]);
    }
}

#[test]
fn print_is_taken_out_and_keeps_positions() {
    let text = "package p\ndeny contains \"x\" if {\n    print(\"a\",\n      input.review.uid)\n    print(1); input.review.uid == \"u\"\n}";
    let program = load(V1, text).unwrap();
    assert_eq!(program.path(), EvaluationPath::Rvm);
    assert_eq!(messages(V1, text, POD), ["x"]);
    let late = text.replace("\"u\"", "numbers.range(1, 10000000)");
    let error = ask(&load(V1, &late).unwrap(), POD, &patient()).unwrap_err();
    assert_eq!(error.code, Code::PolicyMemory, "{error}");
    assert!(fault(V1, &late.replace("numbers", "number")).starts_with("policy.rego:5:"));
}

#[test]
fn an_undefined_built_in_is_no_finding_in_both_paths() {
    for extra in ["", "\nother if { walk(input, [_, 1]) }\nviolation contains \"w\" if other"] {
        let text = format!(
            "package p\ndeny contains \"n\" if {{ to_number(\"x\") > 1 }}
            deny contains \"ok\" if {{ not to_number(\"x\") }}{extra}"
        );
        assert_eq!(messages(V1, &text, POD), ["ok"], "{extra}");
    }
}

#[test]
fn definitions_that_disagree_are_an_error() {
    for extra in ["", "\nother if { walk(input, [_, 77]) }\nwarn contains \"w\" if other"] {
        for rules in [
            "deny := \"a\" if input.review.uid\ndeny := \"b\" if input.review.operation",
            "f(x) := 1 if x.uid\nf(x) := 2 if x.operation\ndeny contains \"x\" if f(input.review) == 3",
            "tier := 1 if input.review.uid\ntier := 2 if input.review.operation\ndeny contains \"x\" if tier == 3",
            "tier := 1 if input.review.uid\ntier := 2 if input.review.operation\ndeny contains \"x\" if { not tier }",
            "deny[k] := v if { some k, v in {\"a\": \"1\"} }\ndeny[k] := v if { some k, v in {\"a\": \"2\"} }",
        ] {
            let text = format!("package p\n{rules}{extra}");
            let error = ask(&load(V1, &text).unwrap(), POD, &patient()).expect_err(&text);
            assert_eq!(error.code, Code::PolicyError, "{text}: {error}");
        }
    }
}

#[test]
fn else_and_patterns_in_arguments_choose_the_same_in_both_paths() {
    let text = r#"
        level(n) := "high" if { n > 10 } else := "middle" if { n > 5 } else := "low"
        kind(["pod", name]) := sprintf("pod %v", [name])
        kind(["node", name]) := sprintf("node %v", [name])
        pick := "a" if { input.review.nothing } else := "b"
        parts contains x if { some x in ["p", "q"] }
        deny contains level(12)
        deny contains level(7)
        deny contains level(1)
        deny contains kind(["node", "n"])
        deny contains pick
        deny contains concat("", [x | some x in parts; x != "p"])"#;
    let expected = ["b", "high", "low", "middle", "node n", "q"];
    for extra in ["", "\nother if { walk(input, [_, 77]) }\nwarn contains \"w\" if other"] {
        assert_eq!(messages(V1, &format!("package p\n{text}{extra}"), POD), expected, "{extra}");
    }
}
