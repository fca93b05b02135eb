//! What does one call of a WebAssembly policy cost, with an instance of its own, for a review of 4 KiB?
//!
//! Needs the guests of `wasm-plugins/` in `BAILEY_WASM_DIR` or `target/guests`. The goal is less than
//! 100 µs for guests in Rust, of either calling convention; `empty` is the host's own share of it.

#![expect(clippy::expect_used, reason = "a bench fails by panicking, its functions are not an interface")]

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use model::{Digest, LabelSelector, LookupKind, ObjectKey, WasmInterface};
use policies::wasm::{Call, WasmConfig, WasmRuntime};
use policies::{EvaluationError, Limits, Lookups};
use serde_json::json;
use sha2::{Digest as _, Sha256};

struct NoObjects;

impl Lookups for NoObjects {
    fn get(&self, _key: &ObjectKey) -> Result<Option<Arc<str>>, EvaluationError> {
        Ok(None)
    }

    fn list(
        &self,
        _kind: &LookupKind,
        _namespace: Option<&str>,
        _selector: &LabelSelector,
    ) -> Result<Vec<Arc<str>>, EvaluationError> {
        Ok(Vec::new())
    }
}

/// A waPC guest that admits everything without a look.
const EMPTY: &str = r#"(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "{\"accepted\":true}")
  (func (export "__guest_call") (param i32 i32) (result i32)
    (call $respond (i32.const 0) (i32.const 17))
    (i32.const 1)))"#;

/// An AdmissionRequest for a Pod, of about 4 KiB.
fn review() -> String {
    let container = |at: usize| {
        let environment: Vec<_> = (0..13)
            .map(|name| json!({"name": format!("SETTING_{name}"), "value": "a value of it"}))
            .collect();
        json!({
            "name": format!("container-{at}"), "image": format!("registry.example.com/team/service-{at}:1.2.{at}"),
            "env": environment, "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
            "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/token", "readOnly": true}],
        })
    };
    let containers: Vec<_> = (0..4).map(container).collect();
    let labels: serde_json::Map<_, _> =
        (0..8).map(|at| (format!("example.com/label-{at}"), json!("value"))).collect();
    let request = json!({
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "namespace": "shop", "name": "web",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "userInfo": {"username": "system:serviceaccount:ci:deployer", "groups": ["system:authenticated"]},
        "object": {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": labels,
            "annotations": {"example.com/cost-center": "cc-12"}}, "spec": {"containers": containers},
        },
    });
    request.to_string()
}

fn calls(criterion: &mut Criterion) {
    let directory = std::env::var_os("BAILEY_WASM_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/guests")),
        PathBuf::from,
    );
    let limits = Limits { timeout: Duration::from_secs(10), ..Limits::default() };
    let config = WasmConfig { cache_dir: None, slots: 2, limits };
    let runtime = WasmRuntime::new(config).expect("a runtime");
    let request = review();
    let scenarios = [
        ("empty", WasmInterface::Kubewarden, json!({})),
        ("allowed-registries", WasmInterface::Bailey, json!({"registries": ["registry.example.com"]})),
        ("trusted-hosts", WasmInterface::Kubewarden, json!({"domains": ["example.com"]})),
        (
            "cost-center",
            WasmInterface::Kubewarden,
            json!({"annotation": "example.com/cost-center", "pattern": "cc-[0-9]+"}),
        ),
    ];
    let mut group = criterion.benchmark_group(format!("fresh instance and call, {} bytes", request.len()));
    for (name, interface, settings) in scenarios {
        let bytes = match name {
            "empty" => wat::parse_str(EMPTY).expect("a module"),
            _ => match std::fs::read(directory.join(format!("{name}.wasm"))) {
                Ok(bytes) => bytes,
                Err(error) => {
                    println!("{name} is left out, {}: {error}", directory.display());
                    continue;
                }
            },
        };
        let digest = Digest::new(Sha256::digest(&bytes).into());
        let module = runtime.compile(interface, &bytes, &digest, &limits).expect("a module");
        let settings = settings.to_string();
        let call = Call {
            request: request.as_bytes(),
            settings: &settings,
            lookups: &NoObjects,
            declared: &[],
            limits: &limits,
            budget: Duration::from_secs(10),
        };
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(module.validate(&call)).expect("an answer"));
        });
    }
    group.finish();
}

criterion_group!(benches, calls);
criterion_main!(benches);
