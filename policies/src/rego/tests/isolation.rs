//! A reused instance keeps nothing from one request to the next, and instances share nothing.

use std::sync::Arc;

use super::*;
use proptest::prelude::*;

/// Rules of every kind that a machine caches: complete, default, sets, objects, functions, comprehensions.
const BUSY: &str = r#"
    package p
    import data.lib
    default tier := "none"
    tier := input.review.tier
    names contains n if some n in input.review.names
    sizes[k] := v if some k, v in input.review.sizes
    large := {k | some k, v in sizes; v > input.review.limit}
    longest(list) := max([count(x) | some x in list])
    deny contains sprintf("name %v", [n]) if { some n in names; lib.bad(n) }
    deny contains sprintf("large %v", [large]) if count(large) > 0
    deny contains sprintf("tier %v at %v", [tier, time.now_ns() > 0]) if tier != "none"
    violation contains {"code": "long", "details": {"n": longest(input.review.names)}} if longest(input.review.names) > 3
    violation contains {"msg": "too big"} if { x := to_number(input.review.number); numbers.range(1, x)[_] == -1 }
    warn contains n if { some n in names; not lib.bad(n) }
    warn contains "wrong" if { input.review.wrong + 1 == 2 }
"#;
const LIB: &str = "package lib\nbad(n) if startswith(n, \"x\")\nbad(n) if contains(n, \"!\")";

fn request() -> impl Strategy<Value = String> {
    let names = prop::collection::vec("[xy!a-c]{0,5}", 0..6);
    let sizes = prop::collection::btree_map("[a-d]{1,2}", 0..20_i64, 0..5);
    let number = prop::option::of(prop_oneof![
        Just("3".to_owned()),
        Just("999999999999".to_owned()),
        Just("?".to_owned())
    ]);
    (
        names,
        sizes,
        0..20_i64,
        prop::option::of("[a-z]{1,4}"),
        number,
        prop::option::of(prop_oneof![Just(serde_json::json!(1)), Just(serde_json::json!("s"))]),
    )
        .prop_map(|(names, sizes, limit, tier, number, wrong)| {
            let mut review = serde_json::json!({"names": names, "sizes": sizes, "limit": limit});
            let fields = review.as_object_mut().unwrap();
            tier.map(|tier| fields.insert("tier".into(), tier.into()));
            number.map(|number| fields.insert("number".into(), number.into()));
            wrong.map(|wrong| fields.insert("wrong".into(), wrong));
            review.to_string()
        })
}

fn busy(extra: &str) -> RegoProgram {
    let modules = [module("policy.rego", &format!("{BUSY}{extra}")), module("lib.rego", LIB)];
    RegoProgram::compile(V1, &modules, false, false, &Limits::default()).unwrap()
}

fn compare_with_fresh(extra: &str, requests: &[String]) -> Result<(), TestCaseError> {
    let program = busy(extra);
    let limits = patient();
    let ask = |instance: &mut crate::rego::RegoInstance, request: &str| {
        instance.validate(review(request), Value::new_object(), &limits, limits.timeout)
    };
    let mut reused = program.instantiate().unwrap();
    for request in requests {
        let expected = ask(&mut program.instantiate().unwrap(), request);
        prop_assert_eq!(ask(&mut reused, request), expected, "{}", request);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_reused_machine_answers_as_a_fresh_one(requests in prop::collection::vec(request(), 1..12)) {
        compare_with_fresh("", &requests)?;
    }

    #[test]
    fn a_reused_interpreter_answers_as_a_fresh_one(requests in prop::collection::vec(request(), 1..6)) {
        compare_with_fresh("\nwarn contains \"w\" if { walk(input, [_, \"x!\"]) }", &requests)?;
    }
}

#[test]
fn programs_are_shared_and_instances_are_sent() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<RegoProgram>();
    sent::<crate::rego::RegoInstance>();
    sent::<crate::rego::RegoInventory>();
}

#[test]
fn instances_on_two_threads_answer_for_themselves() {
    let program = Arc::new(busy(""));
    let limits = patient();
    thread::scope(|scope| {
        for name in ["xa", "b!"] {
            let program = Arc::clone(&program);
            scope.spawn(move || {
                let mut instance = program.instantiate().unwrap();
                for round in 0..200 {
                    let request = format!(r#"{{"names":["{name}","c{round}"],"sizes":{{}},"limit":1}}"#);
                    let answer = instance
                        .validate(review(&request), Value::new_object(), &limits, limits.timeout)
                        .unwrap();
                    let found: Vec<&str> = answer.observations.iter().map(|o| o.message.as_str()).collect();
                    assert_eq!(found.first().copied(), Some(format!("name {name}").as_str()));
                    assert_eq!(found.last().copied(), Some(format!("c{round}").as_str()));
                }
            });
        }
    });
}
