use model::{Code, Enforcement, FailurePolicy, Operation, Source};
use serde_json::{Value, json};

use super::*;

fn policy(spec: Value) -> Result<PolicyDraft, model::LoadFault> {
    match read("Policy", spec)? {
        ConfigObject::Policy(draft) => Ok(*draft),
        ConfigObject::Binding(_) => panic!("a binding was read from a policy"),
    }
}

fn binding(spec: Value) -> Result<model::PolicyBinding, model::LoadFault> {
    match read("PolicyBinding", spec)? {
        ConfigObject::Binding(binding) => Ok(*binding),
        ConfigObject::Policy(_) => panic!("a policy was read from a binding"),
    }
}

fn read(kind: &str, spec: Value) -> Result<ConfigObject, model::LoadFault> {
    let object = json!({
        "apiVersion": "bailey.dev/v1alpha1", "kind": kind,
        "metadata": {"name": "a", "generation": 7, "uid": "u", "managedFields": []},
        "spec": spec, "status": {"anything": 1},
    });
    decode(object.to_string().as_bytes())
}

fn rego(change: impl FnOnce(&mut Value)) -> Value {
    let mut spec = json!({"rego": {"source": "package a"}});
    change(&mut spec);
    spec
}

fn wasm(module: &Value) -> Value {
    json!({"wasm": {"module": module}})
}

fn bound(change: impl FnOnce(&mut Value)) -> Value {
    let mut spec = json!({"policy": "p", "match": {"resources": [{"apiGroups": [""], "kinds": ["Pod"]}]}});
    change(&mut spec);
    spec
}

#[test]
fn a_policy_becomes_a_draft_with_its_defaults() {
    let draft = policy(json!({
        "description": "d",
        "rego": {"source": "package a", "libraries": [{"name": "lib.rego", "source": "package lib"}]},
        "parameters": {"schema": {"type": "object", "x": {"y": [1]}}},
        "messages": {"c": "text"},
        "lookups": [{"version": "v1", "kind": "Namespace"}],
        "limits": {"timeoutMilliseconds": 50, "memoryMiB": 32},
    }))
    .unwrap();
    assert_eq!((draft.name.as_str(), draft.generation, draft.mutates), ("a", 7, false));
    assert_eq!(draft.parameter_schema, Some(json!({"type": "object", "x": {"y": [1]}})));
    assert_eq!(draft.messages["c"], "text");
    assert_eq!(draft.lookups[0].api_version(), "v1");
    assert_eq!((draft.limits.timeout_ms, draft.limits.memory_mib), (Some(50), Some(32)));
    let policy = draft.resolve(|_| panic!("Rego has no module")).unwrap();
    let Source::Rego { version, modules } = policy.source else { panic!("not Rego") };
    assert_eq!(version, model::RegoVersion::V1);
    let names: Vec<_> = modules.iter().map(|module| module.name.as_str()).collect();
    assert_eq!(names, ["policy.rego", "lib.rego"]);
}

#[test]
fn a_binding_becomes_the_model_with_its_defaults() {
    let read = binding(bound(|_| {})).unwrap();
    assert_eq!(
        (read.enforcement, read.failure_policy, read.order),
        (Enforcement::Deny, FailurePolicy::Fail, 0)
    );
    assert_eq!(read.parameters, json!({}));
    let read = binding(bound(|spec| {
        spec["match"]["resources"][0]["operations"] = json!(["DELETE"]);
        spec["match"]["resources"][0]["scope"] = json!("Cluster");
        spec["match"]["namespaceSelector"] = json!({
            "matchLabels": {"a": "b"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["x"]}],
        });
        spec["match"]["subjects"] = json!({"serviceAccounts": ["ns:name"]});
        spec["enforcement"] = json!("audit");
        spec["failurePolicy"] = json!("Ignore");
        spec["parameters"] = json!({"labels": ["owner"]});
    }))
    .unwrap();
    assert_eq!((read.enforcement, read.failure_policy), (Enforcement::Audit, FailurePolicy::Ignore));
    assert_eq!(read.rules.resources[0].operations, [Operation::Delete]);
    assert_eq!(read.rules.resources[0].scope, model::Scope::Cluster);
    assert_eq!(read.rules.namespace_selector.match_expressions[0].key, "k");
    assert_eq!(read.rules.subjects.service_accounts, ["ns:name"]);
    assert_eq!(read.parameters, json!({"labels": ["owner"]}));
}

#[test]
fn a_bad_policy_is_refused_with_the_field_named() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let key = json!({"namespace": "n", "name": "m", "key": "k"});
    let cases = [
        (json!({}), "spec: neither rego nor wasm is given"),
        (
            rego(|spec| spec["wasm"] = wasm(&json!({"file": "/x"}))["wasm"].clone()),
            "spec: both rego and wasm",
        ),
        (rego(|spec| spec["regos"] = json!(1)), "spec.regos: unknown field `regos`"),
        (rego(|spec| spec["rego"]["sorce"] = json!("")), "spec.rego.sorce: unknown field `sorce`"),
        (json!({"rego": {}}), "spec.rego: missing field `source`"),
        (rego(|spec| spec["rego"]["source"] = json!("")), "spec.rego.source: has 0 characters, at least 1"),
        (rego(|spec| spec["rego"]["source"] = json!(7)), "spec.rego.source: invalid type: integer `7`"),
        (rego(|spec| spec["rego"]["version"] = json!("v2")), "spec.rego.version: unknown variant `v2`"),
        (
            rego(|spec| spec["rego"]["libraries"] = json!([{"name": "policy.rego", "source": "x"}])),
            "spec.rego.libraries[0].name: `policy.rego` is the name of another module",
        ),
        (
            rego(|spec| spec["rego"]["libraries"] = json!([{"name": "a/b", "source": "x"}])),
            "spec.rego.libraries[0].name: `a/b` is not a name",
        ),
        (
            rego(|spec| spec["rego"]["libraries"] = json!([{"name": "l", "source": "x".repeat(256 << 10)}])),
            "spec.rego: source and libraries have 262153 bytes, at most 262144",
        ),
        (rego(|spec| spec["limits"] = json!({"memoryMiB": 0})), "spec.limits.memoryMiB: is 0, at least 1"),
        (
            rego(|spec| spec["limits"] = json!({"timeoutMilliseconds": -1})),
            "spec.limits.timeoutMilliseconds: invalid",
        ),
        (rego(|spec| spec["messages"] = json!({"": "x"})), "spec.messages: the code `` has 0 bytes"),
        (
            rego(|spec| spec["parameters"] = json!({"schema": true})),
            "spec.parameters.schema: is not an object",
        ),
        (rego(|spec| spec["lookups"] = json!([{"kind": "Pod"}])), "spec.lookups[0]: missing field `version`"),
        (wasm(&json!({})), "spec.wasm.module: exactly one of file, configMap and secret"),
        (wasm(&json!({"file": "/x", "secret": key, "digest": digest})), "spec.wasm.module: exactly one of"),
        (wasm(&json!({"secret": key})), "spec.wasm.module: a digest is needed"),
        (wasm(&json!({"secret": key, "digest": "sha256:zz"})), "spec.wasm.module.digest: `sha256:zz` is not"),
        (wasm(&json!({"file": "x.wasm"})), "spec.wasm.module.file: `x.wasm` is relative"),
    ];
    for (spec, expected) in cases {
        let fault = policy(spec.clone()).expect_err(&spec.to_string());
        assert_eq!(fault.code, Code::PolicyInvalid);
        assert!(fault.message.starts_with(expected), "{} is not {expected}", fault.message);
    }
}

#[test]
fn a_bad_binding_is_refused_with_the_field_named() {
    let row = |field: &'static str, value: Value| bound(|spec| spec["match"]["resources"][0][field] = value);
    let requirement =
        |value: Value| bound(|spec| spec["match"]["objectSelector"] = json!({"matchExpressions": [value]}));
    let cases = [
        (
            bound(|spec| spec["match"]["resources"] = json!([])),
            "spec.match.resources: has 0 items, at least 1",
        ),
        (row("kinds", json!([])), "spec.match.resources[0]: names neither kinds nor resources"),
        (
            row("operations", json!(["PATCH"])),
            "spec.match.resources[0].operations[0]: unknown variant `PATCH`",
        ),
        (row("apiGroups", json!([])), "spec.match.resources[0].apiGroups: has 0 items"),
        (row("kinds", json!([""])), "spec.match.resources[0].kinds[0]: has 0 characters"),
        (row("scope", json!("All")), "spec.match.resources[0].scope: unknown variant `All`"),
        (
            requirement(json!({"key": "k", "operator": "In"})),
            "spec.match.objectSelector.matchExpressions: `k`",
        ),
        (
            requirement(json!({"key": "k", "operator": "Exists", "values": ["x"]})),
            "spec.match.objectSelector",
        ),
        (
            requirement(json!({"key": "k", "operator": "Gt"})),
            "spec.match.objectSelector.matchExpressions[0].operator",
        ),
        (bound(|spec| spec["order"] = json!(2_000_000)), "spec.order: is 2000000, at most 1000000"),
        (bound(|spec| spec["order"] = json!(1e30)), "spec.order: invalid type: floating point"),
        (
            bound(|spec| spec["match"]["names"] = json!(vec!["a"; 300])),
            "spec.match.names: has 300 items, at most 256",
        ),
        (
            bound(|spec| spec["match"]["subjects"] = json!({"serviceAccounts": ["a"]})),
            "spec.match.subjects.serviceAccounts[0]: has 1 characters",
        ),
        (
            bound(|spec| spec["match"]["excludedSubjects"] = json!({"serviceAccounts": ["a:b:c"]})),
            "spec.match.excludedSubjects.serviceAccounts[0]: `a:b:c` is not",
        ),
        (
            bound(|spec| spec["match"]["namespace"] = json!([])),
            "spec.match.namespace: unknown field `namespace`",
        ),
        (bound(|spec| spec["enforcement"] = json!("Deny")), "spec.enforcement: unknown variant `Deny`"),
    ];
    for (spec, expected) in cases {
        let fault = binding(spec.clone()).expect_err(&spec.to_string());
        assert_eq!(fault.code, Code::BindingInvalid);
        assert!(fault.message.starts_with(expected), "{} is not {expected}", fault.message);
    }
    let fault = binding(bound(|spec| spec["parameters"] = json!([1]))).unwrap_err();
    assert_eq!(fault.code, Code::ParametersInvalid);
}

#[test]
fn an_envelope_that_does_not_fit_is_refused() {
    let object = |change: &dyn Fn(&mut Value)| {
        let mut object = json!({
            "apiVersion": "bailey.dev/v1alpha1", "kind": "Policy", "metadata": {"name": "a"},
            "spec": {"rego": {"source": "package a"}},
        });
        change(&mut object);
        decode(object.to_string().as_bytes())
    };
    assert!(object(&|_| {}).is_ok());
    assert!(object(&|object| object["metadata"] = json!({"generateName": "a-"})).is_ok());
    type Case<'a> = (&'a dyn Fn(&mut Value), &'a str);
    let cases: [Case<'_>; 6] = [
        (&|object| object["extra"] = json!(1), "extra: unknown field `extra`"),
        (
            &|object| object["apiVersion"] = json!("bailey.dev/v2"),
            "apiVersion: `bailey.dev/v2` is not served",
        ),
        (&|object| object["kind"] = json!("Tenant"), "kind: `Tenant` is unknown"),
        (&|object| object["metadata"] = json!({}), "metadata.name: a name is needed"),
        (&|object| object["metadata"]["name"] = json!("A_b"), "metadata.name: `A_b` is not a name"),
        (&|object| object["spec"] = json!([]), "spec: is a list, an object is needed"),
    ];
    for (change, expected) in cases {
        let fault = object(change).unwrap_err();
        assert!(fault.message.starts_with(expected), "{} is not {expected}", fault.message);
    }
    for bad in ["", "[]", "{", "null", "\u{0}"] {
        assert_eq!(decode(bad.as_bytes()).unwrap_err().code, Code::PolicyInvalid, "{bad}");
    }
}

#[test]
fn a_module_of_another_digest_is_refused() {
    let reference = |bytes: &[u8]| {
        let digest = crate::digest::digest_of(bytes).to_string();
        policy(wasm(&json!({"file": "/m.wasm", "digest": digest}))).unwrap()
    };
    let read = |location: &ModuleLocation| location.accept(bytes::Bytes::from_static(b"module"));
    let resolved = reference(b"module").resolve(read).unwrap();
    assert!(matches!(resolved.source, Source::Wasm { bytes, .. } if bytes == "module"));
    let fault = reference(b"other").resolve(read).unwrap_err();
    assert_eq!(fault.code, Code::ModuleDigestMismatch);
}

/// The committed files are what the types say; `cargo xtask gen` writes them.
#[test]
fn the_committed_definitions_are_fresh() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/crds");
    for (name, text) in crd_documents().unwrap() {
        let committed = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert_eq!(committed, text, "deploy/crds/{name} is not what the types say: run `cargo xtask gen`");
    }
}

#[test]
fn the_definitions_are_structural() {
    fn walk(path: &str, value: &Value) {
        match value {
            Value::Object(object) => {
                assert_ne!(object.get("additionalProperties"), Some(&json!(false)), "{path}");
                assert!(!object.get("nullable").is_some_and(Value::is_boolean), "{path}");
                assert!(
                    !(object.contains_key("properties") && object.contains_key("additionalProperties")),
                    "{path}"
                );
                // Every list and text is bounded, so that the cost of the rules is.
                if path.contains(".spec.properties.") && !path.ends_with(".properties") {
                    let bounded = object.contains_key("enum") || object.contains_key("pattern");
                    match object.get("type").and_then(Value::as_str) {
                        Some("string") => assert!(bounded || object.contains_key("maxLength"), "{path}"),
                        Some("array") => assert!(object.contains_key("maxItems"), "{path}"),
                        _ => {}
                    }
                }
                object.iter().for_each(|(key, value)| walk(&format!("{path}.{key}"), value));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(path, value)),
            _ => {}
        }
    }
    for crd in crds().unwrap() {
        walk("", crd.pointer("/spec/versions/0/schema").unwrap());
    }
}
