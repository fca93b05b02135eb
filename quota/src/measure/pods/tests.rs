use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::measure::{Operator, PodScopes, Scope};

const GI: i128 = 1_073_741_824;

fn measured(pod: &Value) -> Measured {
    measure(pod.to_string().as_bytes()).unwrap()
}

/// The amounts but the number of Pods, with quantities as text.
fn asked(pod: &Value) -> Vec<(String, String)> {
    let amounts = measured(pod).amounts;
    let text = |amount| model::Amount::of(amount, true).to_string();
    let all = amounts.into_iter().map(|(name, amount)| (name.into_owned(), text(amount)));
    all.filter(|(name, _)| !name.ends_with("pods")).collect()
}

fn container(name: &str, requests: Value, limits: Value) -> Value {
    json!({"name": name, "image": "i", "resources": {"requests": requests, "limits": limits}})
}

fn sidecar(name: &str, requests: Value) -> Value {
    json!({"name": name, "restartPolicy": "Always", "resources": {"requests": requests}})
}

fn requests(amounts: Value) -> Value {
    container("c", amounts, json!({}))
}

#[track_caller]
fn assert_asks(pod: &Value, expected: &[(&str, &str)]) {
    let expected: Vec<(String, String)> =
        expected.iter().map(|(name, amount)| ((*name).to_owned(), (*amount).to_owned())).collect();
    assert_eq!(asked(pod), expected, "{pod}");
}

#[test]
fn each_resource_counts_by_its_name_of_requests_and_of_limits() {
    for (resource, by_requests, by_limits) in [
        ("cpu", Some("requests.cpu"), Some("limits.cpu")),
        ("memory", Some("requests.memory"), Some("limits.memory")),
        ("ephemeral-storage", Some("requests.ephemeral-storage"), Some("limits.ephemeral-storage")),
        ("hugepages-2Mi", Some("requests.hugepages-2Mi"), None),
        ("example.com/dongle", Some("requests.example.com/dongle"), None),
        (
            "deviceclass.resource.kubernetes.io/gpu",
            Some("requests.deviceclass.resource.kubernetes.io/gpu"),
            None,
        ),
        ("kubernetes.io/thing", None, None),
        ("storage", None, None),
    ] {
        for containers in ["containers", "initContainers"] {
            let pod = |requests: Value, limits: Value| json!({"spec": {containers: [container("c", requests, limits)]}});
            let alone =
                |name: Option<&'static str>| name.map(|name| (name, "3")).into_iter().collect::<Vec<_>>();
            assert_asks(&pod(json!({resource: "3"}), json!({})), &alone(by_requests));
            assert_asks(&pod(json!({}), json!({resource: "3"})), &alone(by_limits));
        }
    }
}

#[test]
fn containers_are_added_and_starting_ones_count_if_they_are_more() {
    let spec = json!({
        "initContainers": [
            container("a", json!({"cpu": "1", "memory": "50M", "example.com/dongle": 4}), json!({"cpu": 2, "memory": "100M"})),
            container("b", json!({"cpu": 3}), json!({}))],
        "containers": [
            container("c", json!({"cpu": "1", "memory": "50M"}), json!({"cpu": "2", "memory": "100M"})),
            container("d", json!({"cpu": "250m", "memory": "25M", "example.com/dongle": 1}), json!({"cpu": 2}))]});
    let all = [
        ("limits.cpu", "4"),
        ("limits.memory", "100000000"),
        ("requests.cpu", "3"),
        ("requests.example.com/dongle", "4"),
        ("requests.memory", "75000000"),
    ];
    assert_asks(&json!({ "spec": spec }), &all);
    assert_asks(&json!({"spec": {}}), &[]);
    assert_asks(&json!({}), &[]);
    assert_asks(
        &json!({"spec": {"containers": null, "initContainers": null, "affinity": null}, "status": null}),
        &[],
    );
}

#[test]
fn sidecars_are_added_to_the_containers_and_to_those_that_start_after_them() {
    let pod = |init: Value, cpu: &str| json!({"spec": {"initContainers": init, "containers": [requests(json!({"cpu": cpu}))]}});
    let cpu = |amount| requests(json!({ "cpu": amount }));
    let side = |name, amount| sidecar(name, json!({ "cpu": amount }));
    for (init, main, expected) in [
        (json!([side("s", "1")]), "2", "3"),
        (json!([side("s", "1"), side("t", "2")]), "2", "5"),
        (json!([cpu("5"), side("s", "1")]), "1", "5"),
        (json!([side("s", "1"), cpu("5")]), "1", "6"),
        (json!([side("s", "1"), cpu("5"), side("t", "3"), cpu("4")]), "1", "8"),
        (json!([side("s", "1"), cpu("2"), side("t", "3")]), "4", "8"),
    ] {
        assert_asks(&pod(init.clone(), main), &[("requests.cpu", expected)]);
    }
    // What only a sidecar asks for is there while another starts, and counts once.
    let init = json!([sidecar("s", json!({"memory": "1Gi"})), cpu("5")]);
    assert_asks(&pod(init, "1"), &[("requests.cpu", "5"), ("requests.memory", "1Gi")]);
}

#[test]
fn overhead_is_added_to_requests_and_to_limits_that_there_are() {
    let pod = json!({"spec": {
        "overhead": {"cpu": "250m", "memory": "1Gi", "example.com/dongle": "1"},
        "containers": [container("c", json!({"cpu": "1"}), json!({"cpu": "2", "memory": "0"}))]}});
    let all = [
        ("limits.cpu", "2250m"),
        ("limits.memory", "0"),
        ("requests.cpu", "1250m"),
        ("requests.example.com/dongle", "1"),
        ("requests.memory", "1Gi"),
    ];
    assert_asks(&pod, &all);
}

#[test]
fn resources_of_the_pod_stand_for_those_of_its_containers() {
    let pod = |own: Value, containers: Value| {
        json!({"spec": {"resources": own, "initContainers": [sidecar("s", json!({"cpu": "9"}))],
            "containers": containers}})
    };
    let main = container(
        "c",
        json!({"cpu": "1", "memory": "2Gi", "hugepages-2Mi": "4Mi", "example.com/dongle": "1"}),
        json!({"cpu": "1"}),
    );
    let own = json!({"requests": {"cpu": "3", "hugepages-2Mi": "8Mi", "ephemeral-storage": "1Gi"},
        "limits": {"memory": "4Gi", "example.com/dongle": "7"}});
    let all = [
        ("limits.cpu", "1"),
        ("limits.memory", "4Gi"),
        ("requests.cpu", "3"),
        ("requests.example.com/dongle", "1"),
        ("requests.hugepages-2Mi", "8Mi"),
        ("requests.memory", "2Gi"),
    ];
    assert_asks(&pod(own, json!([main])), &all);
    assert_asks(&pod(json!({}), json!([{}])), &[("requests.cpu", "9")]);
    let with_overhead = json!({"spec": {"resources": {"requests": {"cpu": "1"}}, "overhead": {"cpu": "1"}}});
    assert_asks(&with_overhead, &[("requests.cpu", "2")]);
}

fn resized(status: Value, conditions: Value) -> Value {
    let main = container("c", json!({"cpu": "2"}), json!({"cpu": "4"}));
    json!({"spec": {"containers": [main]}, "status": {"containerStatuses": [status], "conditions": conditions}})
}

#[test]
fn a_container_that_is_resized_counts_the_most_of_spec_promise_and_reality() {
    let pending = |reason: &str| json!([{"type": "Ready"}, {"type": "PodResizePending", "reason": reason}]);
    let given = |requests: &str, limits: &str, allocated: &str| {
        json!({"name": "c", "allocatedResources": {"cpu": allocated},
            "resources": {"requests": {"cpu": requests}, "limits": {"cpu": limits}}})
    };
    let rows = [
        (given("1", "1", "1"), json!(null), "2", "4"),
        (given("3", "5", "1"), json!(null), "3", "5"),
        (given("1", "1", "5"), json!(null), "5", "4"),
        (given("1", "1", "1"), pending("Deferred"), "2", "4"),
        (given("1", "1", "1"), pending("Infeasible"), "1", "1"),
        (given("1", "3", "1500m"), pending("Infeasible"), "1500m", "3"),
        (json!({"name": "other", "resources": {"requests": {"cpu": "9"}}}), json!(null), "2", "4"),
        (json!({"name": "c", "allocatedResources": {"cpu": "9"}}), json!(null), "2", "4"),
        (json!({"name": "c", "resources": {}, "allocatedResources": {"cpu": "9"}}), json!(null), "9", "4"),
    ];
    for (status, conditions, requests, limits) in rows {
        let pod = resized(status, conditions);
        assert_asks(&pod, &[("limits.cpu", limits), ("requests.cpu", requests)]);
    }
    let nothing_given = resized(json!({"name": "c", "resources": {}}), pending("Infeasible"));
    assert_asks(&nothing_given, &[]);
    let first = json!([{"type": "PodResizePending", "reason": "Deferred"}, pending("Infeasible")[1]]);
    let pod = resized(given("1", "1", "1"), first);
    assert_asks(&pod, &[("limits.cpu", "4"), ("requests.cpu", "2")]);
}

#[test]
fn of_starting_containers_only_sidecars_are_resized() {
    let pod = |init: Value| {
        json!({"spec": {"initContainers": [init], "containers": [requests(json!({"cpu": "1"}))]},
            "status": {"initContainerStatuses": [{"name": "s", "resources": {"requests": {"cpu": "7", "memory": "1Gi"}}}]}})
    };
    assert_asks(&pod(sidecar("s", json!({}))), &[("requests.cpu", "8"), ("requests.memory", "1Gi")]);
    assert_asks(&pod(container("s", json!({"cpu": "2"}), json!({}))), &[("requests.cpu", "2")]);
}

#[test]
fn what_the_status_says_of_the_pod_itself_does_not_count() {
    let pod = json!({"spec": {"resources": {"requests": {"cpu": "2"}}, "containers": []},
        "status": {"resources": {"requests": {"cpu": "9"}}, "allocatedResources": {"cpu": "9"}}});
    assert_asks(&pod, &[("requests.cpu", "2")]);
}

#[test]
fn a_pod_that_has_ended_is_only_an_object() {
    let pod = |phase: &str| {
        let pod =
            json!({"spec": {"containers": [requests(json!({"cpu": "1"}))]}, "status": {"phase": phase}});
        measured(&pod).amounts.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(pod("Succeeded"), ["count/pods"]);
    assert_eq!(pod("Failed"), ["count/pods"]);
    for phase in ["Pending", "Running", "Unknown", ""] {
        assert_eq!(pod(phase), ["count/pods", "pods", "requests.cpu"], "{phase}");
    }
}

#[test]
fn a_pod_that_should_long_be_gone_is_only_an_object() {
    let pod = |deleted: Value, grace: Value| {
        measured(&json!({"metadata": {"deletionTimestamp": deleted, "deletionGracePeriodSeconds": grace}}))
    };
    let left = |pod: &Measured, now| pod.amounts_at(now).keys().cloned().collect::<Vec<_>>();
    let deleted = pod(json!("2026-03-01T10:00:00Z"), json!(30));
    assert_eq!(left(&deleted, datetime!(2026-03-01 10:00:30 UTC)), ["count/pods", "pods"]);
    assert_eq!(left(&deleted, datetime!(2026-03-01 10:00:30.1 UTC)), ["count/pods"]);
    for (deleted, grace) in [(json!("2026-03-01T10:00:00Z"), json!(null)), (json!(null), json!(30))] {
        assert_eq!(pod(deleted, grace).until, None);
    }
    assert_eq!(pod(json!("2026-03-01T10:00:00Z"), json!(i64::MIN)).until.map(|at| at.year()), Some(-9999));
    let bad = json!({"metadata": {"deletionTimestamp": "soon", "deletionGracePeriodSeconds": 0}});
    let error = measure(bad.to_string().as_bytes()).unwrap_err().to_string();
    assert!(error.starts_with("`metadata.deletionTimestamp`: "), "{error}");
}

fn scopes(spec: Value, status: Value) -> PodScopes {
    match measured(&json!({"spec": spec, "status": status})).scopes {
        Scopes::Pod(scopes) => scopes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_deadline_makes_it_terminating() {
    for (deadline, expected) in
        [(json!(0), true), (json!(30), true), (json!(-1), false), (json!(null), false)]
    {
        let scopes = scopes(json!({"activeDeadlineSeconds": deadline}), json!({}));
        assert_eq!(scopes.terminating, expected, "{deadline}");
    }
}

#[test]
fn best_effort_is_what_the_status_says_or_who_asks_for_nothing() {
    let (none, some) = (requests(json!({"example.com/dongle": 1, "cpu": 0})), requests(json!({"cpu": "1m"})));
    for (spec, status, expected) in [
        (json!({"containers": [none]}), json!({}), true),
        (json!({"containers": [none, some]}), json!({}), false),
        (json!({"containers": [none], "initContainers": [some]}), json!({}), false),
        (json!({"containers": [some]}), json!({"qosClass": "BestEffort"}), true),
        (json!({"containers": [none]}), json!({"qosClass": "Burstable"}), false),
        (json!({"containers": [some], "resources": {}}), json!({}), true),
        (json!({"containers": [none], "resources": {"limits": {"memory": "1"}}}), json!({}), false),
    ] {
        assert_eq!(scopes(spec.clone(), status.clone()).best_effort, expected, "{spec} {status}");
    }
}

#[test]
fn affinity_to_other_namespaces_is_seen_wherever_it_is() {
    let required = |term: Value| json!({"requiredDuringSchedulingIgnoredDuringExecution": [{}, term]});
    let preferred = |term: Value| json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]});
    for (term, expected) in [
        (json!({"topologyKey": "zone"}), false),
        (json!({"namespaces": []}), false),
        (json!({"namespaces": ["other"]}), true),
        (json!({"namespaceSelector": null}), false),
        (json!({"namespaceSelector": {}}), true),
    ] {
        for terms in [required(term.clone()), preferred(term.clone())] {
            for kind in ["podAffinity", "podAntiAffinity"] {
                let affinity = json!({"affinity": {kind: terms, "nodeAffinity": {"required": 1}}});
                let scopes = scopes(affinity.clone(), json!({}));
                assert_eq!(scopes.cross_namespace_pod_affinity, expected, "{affinity}");
            }
        }
    }
}

#[test]
fn the_priority_class_is_told() {
    let pod = measured(&json!({"spec": {"priorityClassName": "high"}}));
    assert_eq!(pod.priority_class(), Some("high"));
    assert!(pod.scopes.matches(Scope::PriorityClass, Operator::In, &["high".to_owned()]));
    assert_eq!(measured(&json!({"spec": {"priorityClassName": ""}})).priority_class(), None);
}

#[test]
fn amounts_saturate_and_bad_ones_are_errors() {
    let twice =
        json!([requests(json!({"example.com/dongle": "1e400"})), requests(json!({"example.com/dongle": 1}))]);
    let pod = measured(&json!({"spec": {"containers": twice, "overhead": {"memory": "9Gi"}}}));
    assert_eq!(pod.amounts["requests.example.com/dongle"], i128::MAX);
    assert_eq!(pod.amounts["requests.memory"], 9 * GI * ONE);
    for (amount, said) in [
        (json!("much"), "`spec.containers[0].resources.requests.cpu`: `much` is no quantity"),
        (json!("-1"), "`spec.containers[0].resources.requests.cpu`: `-1` is negative"),
        (json!(-1), "`spec.containers[0].resources.requests.cpu`: `-1` is negative"),
        (json!({}), "`spec.containers[0].resources.requests.cpu`: invalid type: map"),
    ] {
        let pod = json!({"spec": {"containers": [requests(json!({ "cpu": amount }))]}});
        let error = measure(pod.to_string().as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
}
