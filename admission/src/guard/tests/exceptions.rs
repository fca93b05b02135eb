//! Exceptions: who asked, who decided, and until when.

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::*;

fn at(days: i64) -> String {
    OffsetDateTime::now_utc().checked_add(Duration::days(days)).unwrap().format(&Rfc3339).unwrap()
}

fn exception(by: &str, expires: &str, generation: i64, approval: Value) -> Value {
    let mut object = json!({
        "apiVersion": "bailey.dev/v1alpha1", "kind": "PolicyException",
        "metadata": {"name": "e", "namespace": "alpha-one", "uid": "u", "generation": generation},
        "spec": {"policy": "p", "reason": "r", "expires": expires},
    });
    if !by.is_empty() {
        object["spec"]["requestedBy"] = json!(by);
    }
    if !approval.is_null() {
        object["status"] = json!({"approval": approval});
    }
    object
}

fn ask(who: &str, sub_resource: &str, [new, old]: [Value; 2]) -> Request {
    let operation = if old.is_null() { Operation::Create } else { Operation::Update };
    let mut request = request(who, operation, "e", [new, old]);
    request.namespace = "alpha-one".to_owned();
    request.sub_resource = sub_resource.to_owned();
    request.resource.group = "bailey.dev".to_owned();
    request.resource.resource = "policyexceptions".to_owned();
    request
}

/// The object as it is after the mutating phase.
fn mutated(guard: &Guard, request: &Request) -> Value {
    match guard.judge(Phase::Mutate, request).unwrap() {
        Some(changed) => serde_json::from_slice(&changed.request.object.unwrap()).unwrap(),
        None => serde_json::from_slice(request.object.as_ref().unwrap()).unwrap(),
    }
}

#[test]
fn who_asks_is_written_down_and_cannot_be_forged() {
    let guard = guard();
    let end = at(7);
    for claimed in ["", "root", "alice"] {
        let create = ask("alice", "", [exception(claimed, &end, 1, Value::Null), Value::Null]);
        assert_eq!(mutated(&guard, &create)["spec"]["requestedBy"], "alice", "{claimed}");
        let refused = wall(&guard, Phase::Validate, &create);
        assert_eq!(refused.is_none(), claimed == "alice", "{refused:?}");
    }
    // Who changes what is asked for asks; who changes a label does not.
    let stored = exception("alice", &end, 1, Value::Null);
    let changed = ask("bob", "", [exception("alice", &at(8), 1, Value::Null), stored.clone()]);
    assert_eq!(mutated(&guard, &changed)["spec"]["requestedBy"], "bob");
    let mut labelled = exception("bob", &end, 1, Value::Null);
    labelled["metadata"]["labels"] = json!({"a": "b"});
    let labelled = ask("bob", "", [labelled, stored]);
    assert_eq!(mutated(&guard, &labelled)["spec"]["requestedBy"], "alice");
    assert_refused(&guard, Phase::Validate, &labelled, Code::TenantDenied, "is `alice`, who asked");
}

#[test]
fn an_exception_ends_within_a_bounded_time() {
    let guard = guard();
    for (who, expires, says) in [
        ("alice", at(91), "more than 90 days ahead: the latest is `"),
        ("root", at(91), "more than 90 days ahead"),
        ("alice", at(-1), "which is over"),
        ("alice", "soon".to_owned(), "which is no time: write it like"),
    ] {
        let create = ask(who, "", [exception(who, &expires, 1, Value::Null), Value::Null]);
        assert_refused(&guard, Phase::Validate, &create, Code::TenantDenied, says);
    }
    let create = ask("alice", "", [exception("alice", &at(90), 1, Value::Null), Value::Null]);
    assert_eq!(wall(&guard, Phase::Validate, &create), None);
    // One that is over may still get a label, or lose a finalizer.
    let over = exception("alice", &at(-1), 1, Value::Null);
    assert_eq!(wall(&guard, Phase::Validate, &ask("alice", "", [over.clone(), over])), None);
}

#[test]
fn administrators_decide_and_nobody_else_does() {
    let guard = guard();
    let stored = exception("alice", &at(7), 2, Value::Null);
    let decision = |by: &str, uid: &str, generation: i64| {
        let mut decision = json!({"decision": "Approved", "uid": uid, "generation": generation});
        if !by.is_empty() {
            decision["by"] = json!(by);
        }
        decision
    };
    let decide = |who: &str, expires: &str, decision: Value| {
        ask(who, "status", [exception("alice", expires, 2, decision), stored.clone()])
    };
    for who in ["alice", "bob", "eve"] {
        let refused = decide(who, &at(7), decision(who, "u", 2));
        assert_refused(
            &guard,
            Phase::Validate,
            &refused,
            Code::TenantDenied,
            "approved and refused by users of the groups",
        );
    }
    let approved = decide("root", &at(7), decision("alice", "u", 2));
    let approval = &mutated(&guard, &approved)["status"]["approval"];
    assert_eq!(approval["by"], "root");
    assert!(OffsetDateTime::parse(approval["at"].as_str().unwrap(), &Rfc3339).is_ok());
    assert_eq!(wall(&guard, Phase::Validate, &decide("root", &at(7), decision("root", "u", 2))), None);
    for (expires, decision, says) in [
        (at(7), decision("root", "u", 1), "it was changed since"),
        (at(7), decision("root", "v", 2), "look at it again"),
        (at(7), decision("alice", "u", 2), "and you are `root`"),
        (at(91), decision("root", "u", 2), "more than 90 days ahead"),
        (at(-1), decision("root", "u", 2), "which is over"),
    ] {
        assert_refused(
            &guard,
            Phase::Validate,
            &decide("root", &expires, decision),
            Code::TenantDenied,
            says,
        );
    }
    // What is over can be refused, and a decision taken back.
    let mut refusal = decision("root", "u", 2);
    refusal["decision"] = json!("Refused");
    assert_eq!(wall(&guard, Phase::Validate, &decide("root", &at(-1), refusal)), None);
    assert_eq!(wall(&guard, Phase::Validate, &decide("root", &at(7), Value::Null)), None);
}

#[test]
fn who_decided_stays_written_down() {
    let guard = guard();
    let decision = |by: &str| json!({"decision": "Approved", "uid": "u", "generation": 2, "by": by, "at": "2027-01-01T00:00:00Z"});
    let [stored, claimed] = ["dean", "root"].map(|by| exception("alice", &at(7), 2, decision(by)));
    let again = ask("root", "status", [claimed, stored]);
    assert_eq!(mutated(&guard, &again)["status"]["approval"], decision("dean"));
}
