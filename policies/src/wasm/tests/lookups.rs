use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{Code, LookupKind, ObjectKey, WasmInterface};

use super::guests::{self, Objects};
use crate::wasm::Call;
use crate::{Answer, EvaluationError, Limits};

/// A guest that makes one host call and answers with its response, or fails with its error.
fn caller(operation: &str, payload: &str) -> String {
    let (operation_length, payload_length) = (operation.len(), payload.len());
    let payload = payload.replace('"', "\\\"");
    format!(
        r#"(data (i32.const 1024) "kubewarden")
        (data (i32.const 1040) "kubernetes")
        (data (i32.const 1056) "{operation}")
        (data (i32.const 2048) "{payload}")
        (data (i32.const 4096) "{{\"accepted\":false,\"message\":\"\",\"audit_annotations\":")
        (func $call (export "__guest_call") (param i32 i32) (result i32)
          (if (call $host_call (i32.const 1024) (i32.const 10) (i32.const 1040) (i32.const 10)
              (i32.const 1056) (i32.const {operation_length}) (i32.const 2048) (i32.const {payload_length}))
            (then
              (call $host_response (i32.const 4147))
              (i32.store8 (i32.add (i32.const 4147) (call $host_response_len)) (i32.const 125))
              (call $guest_response (i32.const 4096) (i32.add (i32.const 52) (call $host_response_len)))
              (return (i32.const 1))))
          (call $host_error (i32.const 8192))
          (call $guest_error (i32.const 8192) (call $host_error_len))
          (i32.const 0))"#
    )
}

fn kind(kind: &str) -> LookupKind {
    LookupKind { group: String::new(), version: "v1".to_owned(), kind: kind.to_owned() }
}

fn ask(operation: &str, payload: &str) -> Result<Answer, EvaluationError> {
    let key = |namespace: &str, name: &str| ObjectKey {
        kind: kind(if namespace.is_empty() { "Namespace" } else { "Pod" }),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    let objects = Objects(BTreeMap::from([
        (key("", "shop"), Arc::from(r#"{"metadata":{"name":"shop","uid":"1"}}"#)),
        (key("shop", "a"), Arc::from(r#"{"metadata":{"name":"a"}}"#)),
        (key("other", "b"), Arc::from(r#"{"metadata":{"name":"b"}}"#)),
    ]));
    let interface = WasmInterface::Kubewarden;
    let module =
        guests::load(interface, &guests::assemble(interface, &caller(operation, payload))).expect("a module");
    let limits = Limits { timeout: Duration::from_secs(5), ..Limits::default() };
    module.validate(&Call {
        request: guests::REQUEST,
        settings: "{}",
        lookups: &objects,
        declared: &[kind("Namespace"), kind("Pod")],
        limits: &limits,
        budget: Duration::from_secs(5),
    })
}

fn response(operation: &str, payload: &str) -> serde_json::Value {
    let answer = ask(operation, payload).unwrap_or_else(|error| panic!("{error}"));
    answer.observations[0].details["audit_annotations"].clone()
}

#[test]
fn objects_are_served_as_kubewarden_s_sdks_expect() {
    let payload =
        r#"{"api_version":"v1","kind":"Namespace","name":"shop","namespace":null,"disable_cache":false}"#;
    assert_eq!(response("get_resource", payload)["metadata"]["uid"], "1");
    let payload = r#"{"api_version":"v1","kind":"Namespace","name":"shop","field_masks":["metadata.name"]}"#;
    assert_eq!(response("get_resource", payload), serde_json::json!({"metadata": {"name": "shop"}}));
    let payload =
        r#"{"api_version":"v1","kind":"Pod","namespace":"shop","label_selector":null,"field_selector":null}"#;
    let list = response("list_resources_by_namespace", payload);
    assert_eq!((&list["kind"], &list["apiVersion"]), (&"PodList".into(), &"v1".into()));
    assert_eq!(list["items"], serde_json::json!([{"metadata": {"name": "a"}}]));
    let list = response("list_resources_all", r#"{"api_version":"v1","kind":"Pod"}"#);
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
}

#[test]
fn what_cannot_be_served_is_an_error_with_its_cause() {
    let cases = [
        (
            "get_resource",
            r#"{"api_version":"v1","kind":"Namespace","name":"gone"}"#,
            Code::PolicyError,
            "not found",
        ),
        (
            "get_resource",
            r#"{"api_version":"v1","kind":"Secret","name":"s"}"#,
            Code::LookupUnavailable,
            "`lookups`",
        ),
        ("get_resource", "[]", Code::PolicyError, "cannot be read"),
        (
            "list_resources_by_namespace",
            r#"{"api_version":"v1","kind":"Pod"}"#,
            Code::PolicyError,
            "`namespace`",
        ),
        (
            "list_resources_all",
            r#"{"api_version":"v1","kind":"Pod","field_selector":"metadata.name=a"}"#,
            Code::HostCallUnsupported,
            "field selector",
        ),
        (
            "list_resources_all",
            r#"{"api_version":"v1","kind":"Pod","label_selector":"a of b"}"#,
            Code::PolicyError,
            "label selector",
        ),
        ("can_i", "{}", Code::HostCallUnsupported, "kubewarden/kubernetes/can_i"),
    ];
    for (operation, payload, code, says) in cases {
        let error = ask(operation, payload).expect_err("no answer");
        assert_eq!(error.code, code, "{operation} {payload}: {error}");
        assert!(error.message.contains(says), "`{error}` lacks `{says}`");
    }
}
