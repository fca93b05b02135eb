//! Requests for more than a budget, and who decides on them.

use super::*;

/// alice owns alpha, whose Pods are limited, and bob below, which is under it; carol owns gamma, whose are not.
fn guard() -> Guard {
    let (mut alpha, gamma) = (tenant("alpha", &["alice"]), tenant("gamma", &["carol"]));
    alpha.budget.hard.insert("pods".into(), 10);
    alpha.budget.bands = vec![model::Band {
        name: "batch".into(),
        hard: [("pods".into(), 3)].into(),
        ..model::Band::default()
    }];
    let mut below = tenant("below", &["bob"]);
    below.parents = vec!["alpha".to_owned()];
    below.namespaces.limit = None;
    let namespaces = [("alpha-one", "alpha"), ("gamma-one", "gamma"), ("below-one", "below"), ("free", "")];
    let namespaces = namespaces.map(|(namespace, tenant)| {
        let tenant = (!tenant.is_empty()).then_some(tenant);
        (namespace.to_owned(), Arc::new(state(tenant, true)))
    });
    let index = TenantIndex::new([alpha, gamma, below].map(Arc::new), namespaces);
    Guard::new(watch::channel(Arc::new(index)).1, holdings(), ["platform".to_owned()])
}

/// A request, written by somebody; of its status where `status`.
fn ask(who: &str, status: bool, [object, old]: [Value; 2]) -> Request {
    let operation = if old.is_null() { Operation::Create } else { Operation::Update };
    let mut request = request(who, operation, "more", [object.clone(), old]);
    request.kind = model::GroupVersionKind {
        group: "bailey.dev".into(),
        version: "v1alpha1".into(),
        kind: "QuotaRequest".into(),
    };
    request.resource = GroupVersionResource {
        group: "bailey.dev".into(),
        version: "v1alpha1".into(),
        resource: "quotarequests".into(),
    };
    request.namespace = object["metadata"]["namespace"].as_str().unwrap().to_owned();
    request.sub_resource = if status { "status".to_owned() } else { String::new() };
    request
}

fn object(namespace: &str, spec: &Value, decision: &Value) -> Value {
    json!({
        "metadata": {"name": "more", "namespace": namespace, "generation": 3},
        "spec": spec, "status": {"decision": decision},
    })
}

fn spec(by: &str) -> Value {
    json!({"amounts": {"pods": 5}, "reason": "a term", "requestedBy": by})
}

/// The object as it is after the guard changed it.
fn changed(guard: &Guard, request: &Request) -> Value {
    match guard.judge(Phase::Mutate, request).unwrap() {
        Some(changed) => serde_json::from_slice(changed.request.object.as_deref().unwrap()).unwrap(),
        None => serde_json::from_slice(request.object.as_deref().unwrap()).unwrap(),
    }
}

#[test]
fn nobody_says_of_themselves_or_others_who_asked() {
    let guard = guard();
    let asked = |who: &str, new: &Value, old: Option<&Value>| {
        let objects = [new, old.unwrap_or(&Value::Null)]
            .map(|spec| if spec.is_null() { Value::Null } else { object("alpha-one", spec, &Value::Null) });
        let request = ask(who, false, objects);
        let author = changed(&guard, &request)["spec"]["requestedBy"].clone();
        (author, wall(&guard, Phase::Validate, &request).map(|(_, message)| message))
    };
    let bare = json!({"amounts": {"pods": 5}, "reason": "a term"});
    assert_eq!(asked("alice", &bare, None).0, "alice");
    let (author, wall) = asked("alice", &spec("root"), None);
    assert_eq!(author, "alice");
    assert!(wall.unwrap().contains("spec.requestedBy is for Bailey to write, and is `alice` here"));
    // Who changes nothing of it does not become its author, and does not take the author away.
    assert_eq!(asked("dave", &spec("dave"), Some(&spec("alice"))).0, "alice");
    assert_eq!(asked("dave", &bare, Some(&spec("alice"))).0, "alice");
    let mut more = spec("alice");
    more["amounts"]["pods"] = json!(50);
    assert_eq!(asked("dave", &more, Some(&spec("alice"))).0, "dave");
}

#[test]
fn what_has_no_budget_is_not_asked_for() {
    let guard = guard();
    let asked = |who: &str, namespace: &str, spec: Value| {
        let request = ask(who, false, [object(namespace, &spec, &Value::Null), Value::Null]);
        wall(&guard, Phase::Validate, &request)
    };
    assert_eq!(asked("alice", "alpha-one", spec("alice")), None);
    let namespaces = json!({"amounts": {"count/namespaces": 1}, "reason": "r", "requestedBy": "carol"});
    assert_eq!(asked("carol", "gamma-one", namespaces), None, "their number is a budget too");
    let mut banded = spec("alice");
    banded["band"] = json!("batch");
    assert_eq!(asked("alice", "alpha-one", banded.clone()), None);
    banded["band"] = json!("production");
    let cases = [
        ("alice", "alpha-one", banded, "has no band `production`; it has `batch`"),
        ("carol", "gamma-one", spec("carol"), "the tenant `gamma` has no budget of `pods`"),
        ("bob", "below-one", spec("bob"), "the tenant `alpha` above it has one"),
        ("eve", "free", spec("eve"), "the namespace `free` belongs to no tenant"),
    ];
    for (who, namespace, spec, part) in cases {
        let (code, message) = asked(who, namespace, spec).unwrap();
        assert!(code == Code::QuotaInvalid && message.contains(part), "{part}: {message}");
    }
}

#[test]
fn members_decide_nothing_and_administrators_what_was_asked() {
    let guard = guard();
    let approved = json!({"verdict": "Approved", "generation": 3, "granted": {"pods": 5}});
    let decide = |who: &str, namespace: &str, decision: &Value| {
        let old = object(namespace, &spec("alice"), &Value::Null);
        ask(who, true, [object(namespace, &spec("alice"), decision), old])
    };
    for who in ["alice", "carol", "system:serviceaccount:alpha-one:default"] {
        let refused = decide(who, "alpha-one", &approved);
        assert_refused(&guard, Phase::Validate, &refused, Code::TenantDenied, "wall `quota-decision`");
    }
    let by_root = decide("root", "alpha-one", &approved);
    assert_eq!(wall(&guard, Phase::Validate, &by_root), None);
    let written = changed(&guard, &by_root)["status"]["decision"].clone();
    assert_eq!((&written["by"], &written["tenant"]), (&json!("root"), &json!("alpha")));
    assert!(written["at"].as_str().unwrap().ends_with('Z'), "{written}");
    let with = |change: fn(&mut Value)| {
        let mut decision = approved.clone();
        change(&mut decision);
        decision
    };
    let cases: [(&str, Value, &str); 6] = [
        ("alpha-one", with(|it| it["generation"] = json!(2)), "decide on generation 3"),
        ("alpha-one", with(|it| it["granted"]["pods"] = json!(6)), "of `pods` 5 were asked for"),
        ("alpha-one", with(|it| it["granted"]["pods"] = json!("0")), "more than nothing"),
        ("alpha-one", with(|it| it["granted"]["cpu"] = json!(1)), "`requests.cpu` was not asked for"),
        ("alpha-one", with(|it| it["granted"] = json!({})), "nothing is granted"),
        ("gamma-one", approved.clone(), "the tenant `gamma` has no budget of `pods`"),
    ];
    for (namespace, decision, part) in cases {
        assert_refused(
            &guard,
            Phase::Validate,
            &decide("root", namespace, &decision),
            Code::QuotaInvalid,
            part,
        );
    }
    let refusal = json!({"verdict": "Refused", "generation": 3});
    assert_eq!(wall(&guard, Phase::Validate, &decide("root", "gamma-one", &refusal)), None);
}

#[test]
fn who_decided_stays_who_decided() {
    let guard = guard();
    let decision = json!({
        "verdict": "Approved", "generation": 3, "granted": {"pods": 5}, "tenant": "alpha", "by": "root",
        "at": "2026-11-22T10:00:00Z",
    });
    let mut claimed = decision.clone();
    claimed["by"] = json!("nobody");
    claimed["tenant"] = json!("gamma");
    let objects = [&claimed, &decision].map(|decision| object("alpha-one", &spec("alice"), decision));
    assert_eq!(changed(&guard, &ask("helper", true, objects))["status"]["decision"], decision);
}
