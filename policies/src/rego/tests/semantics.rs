//! Rego means one thing, whichever of the two ways evaluates it.

use std::time::{Duration, Instant};

use regorus::{Engine, Value};

use super::*;
use crate::rego::builtins::Scope;
use crate::rego::runner::{Machine, Plain, Runner, Time};

/// What `deny` comes to on the virtual machine and in the interpreter.
pub(super) fn both(rules: &str) -> [String; 2] {
    let paths = ["data.test.deny".to_owned()];
    let engine = || {
        let mut engine = Engine::new();
        engine.set_strict_builtin_errors(false);
        engine.add_policy("policy.rego".to_owned(), format!("package test\n{rules}")).unwrap();
        engine
    };
    let machine = Machine::new(engine(), &paths).unwrap_or_else(|error| panic!("{error}\n{rules}"));
    let plain = Plain::new(engine(), &paths).unwrap_or_else(|error| panic!("{error}\n{rules}"));
    [Runner::from(machine), Runner::from(plain)].map(|mut runner| {
        on_evaluation_thread(|| {
            let budget = Duration::from_secs(2);
            let time = Time { budget, left: budget };
            let scope = Scope::open(&patient(), budget, Instant::now());
            runner.begin(Value::new_object(), None).unwrap();
            let outcome = runner.evaluate(0, time);
            let outcome = scope.refusal().map_or(outcome, Err);
            outcome.map_or_else(|error| error.code.to_string(), |value| value.to_string())
        })
    })
}

fn each_comes_to(cases: &[(&str, &str)]) {
    let wrong: Vec<_> = cases
        .iter()
        .map(|(rules, expected)| (rules, expected, both(rules)))
        .filter(|(_, expected, found)| found.iter().any(|found| found != *expected))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_condition_that_fails_in_a_comprehension_ends_only_its_body() {
    each_comes_to(&[
        ("deny contains x if { some x in [1, 2]; ys := [y | x == 1; y := 3]; count(ys) == 0 }", "[2]"),
        ("deny contains x if { some x in [1, 2]; ys := [y | x = 1; y := 3]; count(ys) == 0 }", "[2]"),
        ("deny contains x if { some x in [1, 2]; ys := [y | x == 1; some y in [3]]; count(ys) == 0 }", "[2]"),
        ("deny contains x if { some x in [1, 2]; ys := {y | x == 1; some y in [3]}; count(ys) == 0 }", "[2]"),
        (
            "deny contains x if { some x in [1, 2]; ys := {y: 1 | x == 1; some y in [3]}; count(ys) == 0 }",
            "[2]",
        ),
        ("deny contains x if { some x in [1, 2]; not count([y | x == 1; y := 3]) == 1 }", "[2]"),
        (
            "deny contains x if { some x in [1, 2]; a := [y | x == 1; y := 3]; b := [y | x == 2; y := 4]; count(a) > count(b) }",
            "[1]",
        ),
        ("deny contains x if { x := [count(ys) | some i in [1, 2]; ys := [y | i == 1; y := 3]] }", "[[1,0]]"),
        (
            "deny contains x if { some x in [\"1\", \"b\"]; ns := [n | n := to_number(x)]; count(ns) == 0 }",
            "[\"b\"]",
        ),
        ("deny contains \"a\" if { every x in [1, 2] { count([y | x == 1; y := 1]) < 2 } }", "[\"a\"]"),
        ("deny contains x if { some x in [1, 2]; count(f(x)) == 0 }\nf(x) := [y | x == 1; y := 3]", "[2]"),
    ]);
}

#[test]
fn a_comprehension_whose_body_failed_is_over() {
    each_comes_to(&[
        ("deny contains \"a\" if { ys := [y | false; y := 3]; count(ys) == 5 }", "[]"),
        (
            "deny contains \"a\" if { ys := [y | false; y := 3]; zs := [y | y := 4]; zs[0] == 4; count(ys) == 0 }",
            "[\"a\"]",
        ),
        ("deny contains c if { c := [x | ys := [y | false; y := 3]; x := count(ys); x == 1] }", "[[]]"),
        ("deny contains \"a\" if { not q }\nq if count(xs) == 3\nxs := [y | false; y := 3]", "[\"a\"]"),
    ]);
}

#[test]
fn what_is_undefined_is_bound_to_nothing() {
    let list = r#"[{"n": "a"}, {"n": "b", "m": "U"}]"#;
    each_comes_to(&[
        (&format!("deny contains x.n if {{ some x in {list}; m := x.m; not m in [\"D\"] }}"), "[\"b\"]"),
        ("deny contains \"a\" if { m := input.nope; not m == 1 }", "[]"),
        ("deny contains \"a\" if { m = input.nope; not m == 1 }", "[]"),
        ("deny contains \"a\" if { [m, _] := [input.nope, 1]; not m == 1 }", "[]"),
        ("deny contains \"a\" if { every x in [{\"a\": 1}, {}] { y := x.a; not y == 2 } }", "[]"),
        ("deny contains p\np := input.nope\np := 5", "[5]"),
        ("deny contains p\ndefault p := 4\np := input.nope", "[4]"),
        ("deny contains p\np := input.nope if true\nelse := 5", "[5]"),
        ("deny contains \"a\" if f(input.nope)\nf(x) if true", "[]"),
    ]);
}

#[test]
fn what_is_undefined_is_no_member() {
    let list = r#"[{"n": 1}, {"n": 2, "m": 1}]"#;
    each_comes_to(&[
        ("deny contains count([l | l := input.nope])", "[0]"),
        (&format!("deny contains count([x.m | some x in {list}])"), "[1]"),
        (&format!("deny contains count({{x.m | some x in {list}}})"), "[1]"),
        (&format!("deny contains count({{x.n: x.m | some x in {list}}})"), "[1]"),
        (&format!("deny contains count({{x.m: x.n | some x in {list}}})"), "[1]"),
        (&format!("deny contains count([[x.m] | some x in {list}])"), "[1]"),
        ("deny contains count(o)\no[k] := v if { some k in [\"a\", \"b\"]; v := {\"a\": 1}[k] }", "[1]"),
    ]);
}

#[test]
fn different_values_are_an_error() {
    each_comes_to(&[
        ("deny contains p\np := x if some x in [1, 2]", "policy_error"),
        ("deny contains p\np := x if some x in [2, 2]", "[2]"),
        ("deny contains f(1)\nf(y) := x + y if some x in [1, 2]", "policy_error"),
        ("deny contains [f(1), f(2), f(1)]\nf(y) := x + y if some x in [1, 1]", "[[2,3,2]]"),
        ("deny contains {\"k\": x | some x in [1, 2]}", "policy_error"),
        ("deny contains {\"k\": 1 | some x in [1, 2]}", "[{\"k\":1}]"),
        ("deny contains {\"k\": count({\"k\": y | some y in [1, x]}) | some x in [1, 1]}", "[{\"k\":1}]"),
        ("deny contains \"a\" if not {\"k\": x | some x in [1, 2]} == {}", "policy_error"),
    ]);
}

#[test]
fn a_wildcard_wants_a_value_too() {
    let cases = [
        ("deny contains \"a\" if { _ := input.review.uid }", vec!["a"]),
        ("deny contains \"a\" if { _ := input.review.nope }", vec![]),
        ("deny contains \"a\" if {\n_ := # := \ninput.review.nope }", vec![]),
        ("deny contains \"a\" if { [_, b] := [input.review.nope, 1]; b == 1 }", vec![]),
        ("deny contains \"a\" if { xs := [1 | _ := input.review.nope]; count(xs) == 0 }", vec!["a"]),
        ("deny contains \"a\" if { _:=to_number(\"x\") }", vec![]),
    ];
    for (rules, expected) in cases {
        assert_eq!(messages(V1, &format!("package test\n{rules}"), r#"{"uid": "u"}"#), expected, "{rules}");
    }
}
