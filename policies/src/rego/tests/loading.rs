use super::*;
use model::Code;

#[test]
fn a_policy_without_an_entry_rule_says_which_would_pass() {
    let text = fault(V1, "package a.b\nallow := true");
    assert_eq!(text, "policy.rego:1:1: package `a.b` defines no rule named `deny`, `violation` or `warn`");
    let modules = [module("policy.rego", "package p\ndeny := true")];
    let fault = RegoProgram::compile(V1, &modules, false, true, &Limits::default()).unwrap_err();
    assert!(fault.message.contains("`patch`"), "{fault}");
}

#[test]
fn entry_rules_must_be_rules() {
    assert!(fault(V1, "package p\ndeny(x) := x").contains("`deny` is a function"));
    assert!(fault(V1, "package p\ndeny.a contains 1").contains("must be one rule"));
}

#[test]
fn syntax_errors_have_their_position() {
    let text = fault(V1, "package p\n\ndeny contains x if {\n  x := \n}");
    assert!(text.starts_with("policy.rego:4:"), "{text}");
    assert!(!text.contains('\n'), "{text}");
    assert!(fault(V1, "deny := true").starts_with("policy.rego:1:"));
    assert!(fault(V1, "package p\ndeny[x] { x := 1 }").starts_with("policy.rego:2:"), "v0 syntax in v1");
    assert!(load(V0, "package p\ndeny[x] { x := \"1\" }").is_ok());
}

#[test]
fn variables_that_nothing_sets_are_refused() {
    for (rule, name, column) in [
        ("deny contains x if { x := y }", "y", 27),
        ("deny contains x if { some c in input.review.containers; x := cc.image }", "cc", 62),
        ("deny contains x if { x := sprintf(\"%v\", [z]) }", "z", 42),
        ("deny contains x", "x", 15),
        ("f(a) := b\ndeny contains f(1)", "b", 9),
        ("deny contains x if { x := [y | some z in [1]] }", "y", 28),
        ("deny contains \"x\" if { not startswith(nam, \"a\") }", "nam", 39),
    ] {
        let expected =
            format!("policy.rego:2:{column}: nothing in the rule gives the variable `{name}` a value");
        assert_eq!(fault(V1, &format!("package p\n{rule}")), expected);
    }
    for rule in [
        "deny contains x if { input.review.names[x] }",
        "deny contains x if { [x, _] = input.review.pair }",
        "deny contains x if { input.review == {\"a\": 1}; x = 1 }",
        "deny contains k if { some k, _ in input.review }",
        "deny contains p if { walk(input, [p, 1]) }",
        "deny contains x if { split(\"a\", \"b\", x) }",
        "f(a, [b, {\"c\": c}]) := a + b + c\ndeny contains f(1, [2, {\"c\": 3}])",
        "deny contains x if { some i; x := input.review[i] }",
        "deny contains x if { every n in input.review { n > 1 }; x := 1 }",
        "deny contains x if { input.review[{\"a\": x}] }",
    ] {
        if let Err(fault) = load(V1, &format!("package p\n{rule}")) {
            panic!("{fault} in {rule}");
        }
    }
}

#[test]
fn functions_are_called_with_their_number_of_arguments() {
    let text = fault(V1, "package p\ndeny contains x if { x := to_number(input.review.uid, 1, 2) }");
    assert_eq!(text, "policy.rego:2:27: `to_number` takes 1 argument, 3 are given");
    let text = fault(V1, "package p\nf(a, b) := a + b\ndeny contains f(1)");
    assert_eq!(text, "policy.rego:3:15: `f` takes 2 arguments, 1 is given");
}

#[test]
fn an_error_in_a_library_names_the_library() {
    let modules =
        [module("policy.rego", "package p\ndeny := true"), module("lib.rego", "package l\nf(x) := ")];
    let fault = RegoProgram::compile(V1, &modules, false, false, &Limits::default()).unwrap_err();
    assert_eq!(fault.position.map(|place| place.module).as_deref(), Some("lib.rego"));
}

#[test]
fn data_outside_of_the_policy_is_refused() {
    let cases = [
        ("deny contains data.inventory.cluster", "spec.lookups"),
        ("deny contains data.other.x", "`data.other.x` is not there"),
        ("deny contains x if { x := data[_] }", "`data` is not there"),
        ("deny contains x if { x := data }", "`data` is not there"),
        ("import data.secrets\ndeny contains secrets.x", "`data.secrets.x` is not there"),
    ];
    for (rules, expected) in cases {
        let text = fault(V1, &format!("package p\n{rules}"));
        assert!(text.contains(expected), "{rules}: {text}");
        assert!(text.starts_with("policy.rego:"), "{text}");
    }
    let modules = [module("policy.rego", "package inventory.x\ndeny := true")];
    assert!(RegoProgram::compile(V1, &modules, true, false, &Limits::default()).is_err());
}

#[test]
fn unknown_and_unserved_built_ins_are_refused_with_a_reason() {
    for (call, expected) in [
        ("http.send({\"method\": \"get\", \"url\": \"http://x\"})", "network"),
        ("opa.runtime()", "server"),
        ("rand.intn(\"a\", 3)", "chance"),
        ("uuid.rfc4122(\"a\")", "chance"),
        ("graph.reachable_paths({}, [])", "no bound"),
        ("regex.template_match(\"a\", \"b\", \"{\", \"}\")", "regex.match"),
        ("json.match_schema({}, {})", "schema"),
        ("io.jwt.decode(\"x\")", "neither a function"),
        ("net.lookup_ip_addr(\"x\")", "neither a function"),
        ("nothing(1)", "neither a function"),
        ("__builtin_host_await(1, \"x\")", "neither a function"),
    ] {
        let text = fault(V1, &format!("package p\ndeny contains x if {{ x := {call} }}"));
        assert!(text.contains(expected) && text.starts_with("policy.rego:2:"), "{call}: {text}");
    }
}

#[test]
fn every_built_in_of_this_build_is_in_the_table() {
    use crate::rego::builtins::{Audit, audit};
    let mut unknown: Vec<&str> =
        regorus::unstable::BUILTINS.keys().copied().filter(|name| audit(name) == Audit::Unknown).collect();
    unknown.sort_unstable();
    assert!(unknown.is_empty(), "neither guarded nor refused: {unknown:?}");
}

#[test]
fn no_module_and_too_much_text_are_faults() {
    let none = RegoProgram::compile(V1, &[], false, false, &Limits::default()).unwrap_err();
    assert_eq!(none.code, Code::PolicyInvalid);
    let long = format!("package p\ndeny := true\n{}", "# comment\n".repeat(30_000));
    assert!(fault(V1, &long).contains("at most 262144"));
}
