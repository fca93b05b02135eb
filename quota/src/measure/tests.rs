use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

const KINDS: [(&str, &str); 6] = [
    ("", "pods"),
    ("", "services"),
    ("", "persistentvolumeclaims"),
    ("resource.k8s.io", "resourceclaims"),
    ("", "configmaps"),
    ("batch", "jobs"),
];

/// Every field that is read, so that chance finds them.
const FIELDS: &str =
    "metadata annotations deletionTimestamp deletionGracePeriodSeconds ownerReferences controller kind
    apiVersion volume.beta.kubernetes.io/storage-class resource.kubernetes.io/extended-resource-claim
    spec containers initContainers resources requests limits overhead restartPolicy name
    activeDeadlineSeconds priorityClassName affinity podAffinity podAntiAffinity namespaces
    requiredDuringSchedulingIgnoredDuringExecution preferredDuringSchedulingIgnoredDuringExecution
    podAffinityTerm namespaceSelector status phase qosClass conditions type reason containerStatuses
    initContainerStatuses allocatedResources ports nodePort allocateLoadBalancerNodePorts
    storageClassName volumeAttributesClassName storage devices firstAvailable exactly deviceClassName
    allocationMode count cpu memory hugepages-2Mi example.com/gpu currentVolumeAttributesClassName
    modifyVolumeStatus";
const VALUES: &[&str] = &[
    "1",
    "500m",
    "1Gi",
    "-1",
    "1e400",
    "9223372036854775807Ki",
    "0.0000000001",
    "Always",
    "Failed",
    "Infeasible",
    "PodResizePending",
    "NodePort",
    "LoadBalancer",
    "ExactCount",
    "All",
    "gold",
    "hugepages-a",
    "true",
    "Pod",
    "v1",
    "",
    "2026-03-01T10:00:00Z",
];

fn fields() -> Vec<&'static str> {
    FIELDS.split_whitespace().collect()
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(VALUES).prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ]
}

fn object() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(6, 96, 8, |inner| {
        let field = (prop::sample::select(fields()), inner.clone());
        let fields = prop::collection::vec(field, 0..8);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::Array),
            fields.prop_map(|fields| {
                Value::Object(
                    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>(),
                )
            }),
        ]
    })
}

/// What is read of it is of the right type more often than not.
fn pod() -> impl Strategy<Value = Value> {
    let amount =
        prop_oneof![prop::sample::select(VALUES).prop_map(Value::from), any::<i64>().prop_map(Value::from)];
    let list = prop::collection::btree_map(prop::sample::select(fields()), amount, 0..4)
        .prop_map(|list| json!(list));
    let container = (list.clone(), list.clone(), any::<bool>()).prop_map(|(requests, limits, sidecar)| {
        json!({"name": "c", "restartPolicy": if sidecar { "Always" } else { "" },
            "resources": {"requests": requests, "limits": limits}, "allocatedResources": requests})
    });
    let containers = prop::collection::vec(container, 0..4);
    (containers.clone(), containers.clone(), containers, list).prop_map(|(main, init, statuses, overhead)| {
        json!({"spec": {"containers": main, "initContainers": init, "overhead": overhead},
            "status": {"containerStatuses": statuses}})
    })
}

fn check(json: &[u8]) {
    let sums = [Sum::named("sum/pods:$..requests.*").unwrap().unwrap()];
    for (group, resource) in KINDS {
        let measured = measure(group, resource, json).map(|measured| measured.amounts);
        for amounts in measured.into_iter().chain(add_up(&sums, json)) {
            assert!(amounts.values().all(|amount| *amount >= 0), "{amounts:?}");
            for name in amounts.keys() {
                assert_eq!(canonical(name), *name);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_object_makes_it_panic_or_count_below_zero(object in object()) {
        check(object.to_string().as_bytes());
    }

    #[test]
    fn no_pod_makes_it_panic_or_count_below_zero(pod in pod()) {
        check(pod.to_string().as_bytes());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        check(&bytes);
    }

    #[test]
    fn no_name_makes_it_panic(name in "[a-z./-]{0,40}|\\PC{0,20}") {
        let _ = kinds_of(&name);
        let _ = Sum::named(&name);
        let _ = kinds_of(&format!("sum/pods:{name}"));
        let once = canonical(&name);
        prop_assert_eq!(canonical(&once), &*once);
    }
}

#[test]
fn any_kind_counts_as_one() {
    for (group, resource, name) in [
        ("", "configmaps", "configmaps"),
        ("", "secrets", "secrets"),
        ("", "endpoints", "count/endpoints"),
        ("batch", "jobs", "count/jobs.batch"),
        ("a.example.com", "services", "count/services.a.example.com"),
    ] {
        let measured = measure(group, resource, b"never read").unwrap();
        assert_eq!(measured.amounts, Amounts::from([(Cow::Owned(name.to_owned()), number::ONE)]));
        assert_eq!(measured.scopes, Scopes::Other);
        assert_eq!(kinds_of(name).unwrap(), [GroupResource::new(group, resource)]);
    }
}

#[test]
fn events_and_what_is_not_stored_count_nothing() {
    for (group, resource) in
        [("", "events"), ("events.k8s.io", "events"), ("authentication.k8s.io", "tokenreviews")]
    {
        assert_eq!(measure(group, resource, b"{}"), Ok(Measured::default()));
    }
}

#[test]
fn every_amount_is_of_a_name_whose_kind_is_that_of_the_object() {
    let spec = json!({"containers": [{"resources": {"requests": {"cpu": 1, "example.com/gpu": 1, "hugepages-2Mi": 1,
            "memory": 1, "ephemeral-storage": 1}, "limits": {"cpu": 1, "memory": 1, "ephemeral-storage": 1}}}],
        "storageClassName": "gold", "resources": {"requests": {"storage": 1}},
        "devices": {"requests": [{"exactly": {"deviceClassName": "gpu", "allocationMode": "All"}}]}});
    let object = json!({ "spec": spec }).to_string();
    for (group, resource) in KINDS {
        let measured = measure(group, resource, object.as_bytes()).unwrap();
        assert!(!measured.amounts.is_empty());
        for name in measured.amounts.keys() {
            let kinds = kinds_of(name).unwrap();
            assert_eq!(kinds.first(), Some(&GroupResource::new(group, resource)), "{name}");
            assert_eq!(
                kinds.len() == 2,
                name.contains("example.com/"),
                "{name}: devices may be an extended resource"
            );
        }
    }
}

#[test]
fn what_is_no_json_or_too_deep_is_an_error() {
    let deep = |field: &str| {
        format!("{{\"spec\": {{\"{field}\": {}{}}}}}", "[".repeat(100_000), "]".repeat(100_000))
    };
    for (json, group, resource) in
        [("", "", "pods"), ("{", "", "services"), ("nul", "", "persistentvolumeclaims")]
    {
        let error = measure(group, resource, json.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("the object is not JSON: "), "{error}");
    }
    assert!(measure("", "pods", deep("containers").as_bytes()).is_err());
    // What is not counted may be as deep as it likes: it is passed over.
    assert!(measure("", "pods", deep("other").as_bytes()).is_ok());
    let sums = [Sum::named("sum/pods:$..a").unwrap().unwrap()];
    assert!(matches!(add_up(&sums, deep("other").as_bytes()), Err(MeasureError::Json(_))));
    assert!(matches!(measure("", "pods", b"1"), Err(MeasureError::Field { .. })));
}
