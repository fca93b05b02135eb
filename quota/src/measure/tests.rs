use serde_json::json;

use super::*;

const KINDS: [(&str, &str); 6] = [
    ("", "pods"),
    ("", "services"),
    ("", "persistentvolumeclaims"),
    ("resource.k8s.io", "resourceclaims"),
    ("", "configmaps"),
    ("batch", "jobs"),
];

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
            assert_eq!(kinds_of(name).unwrap(), [GroupResource::new(group, resource)], "{name}");
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
    assert!(matches!(measure("", "pods", b"1"), Err(MeasureError::Field { .. })));
}
