//! The guests of `wasm-plugins/`, built for real, against their own cases.
//!
//! Reads them from `BAILEY_WASM_DIR`, or from `target/guests` of the workspace.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use model::{Digest, LabelSelector, LookupKind, ObjectKey, Observation, WasmInterface};
use policies::wasm::{Call, WasmConfig, WasmModule, WasmRuntime};
use policies::{EvaluationError, Limits, Lookups, Mutation};
use serde::Deserialize;
use serde_json::{Value, json};

/// What `build-plugins` says of its output.
#[derive(Deserialize)]
struct Manifest {
    guests: BTreeMap<String, Entry>,
    skipped: Vec<String>,
}

#[derive(Deserialize)]
struct Entry {
    file: String,
    interface: WasmInterface,
    digest: String,
}

/// One case of a guest's `cases.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    settings: Value,
    #[serde(default)]
    request: Value,
    #[serde(default)]
    objects: Vec<Value>,
    findings: Option<Vec<Observation>>,
    /// `Some(None)`: asked for a change, and there is none.
    #[serde(default, deserialize_with = "present")]
    patch: Option<Option<Vec<Value>>>,
    error: Option<String>,
    refused_settings: Option<String>,
}

fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<Vec<Value>>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The objects of a case, for lookups.
struct Objects<'a>(&'a [Value]);

impl Lookups for Objects<'_> {
    fn get(&self, key: &ObjectKey) -> Result<Option<Arc<str>>, EvaluationError> {
        let same = |object: &&Value| {
            object["kind"] == key.kind.kind.as_str()
                && object["metadata"]["name"] == key.name.as_str()
                && object["metadata"]["namespace"].as_str().unwrap_or_default() == key.namespace
        };
        Ok(self.0.iter().find(same).map(|object| object.to_string().into()))
    }

    fn list(
        &self,
        kind: &LookupKind,
        _namespace: Option<&str>,
        _selector: &LabelSelector,
    ) -> Result<Vec<Arc<str>>, EvaluationError> {
        Ok(self
            .0
            .iter()
            .filter(|object| object["kind"] == kind.kind.as_str())
            .map(|object| object.to_string().into())
            .collect())
    }
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn directory() -> PathBuf {
    let directory =
        std::env::var_os("BAILEY_WASM_DIR").map_or_else(|| root().join("target/guests"), PathBuf::from);
    assert!(
        directory.join("guests.manifest").is_file(),
        "no guests in `{}`; build them with `cargo run --manifest-path wasm-plugins/Cargo.toml -p build-plugins -- \
         --out target/guests`, or name their directory in BAILEY_WASM_DIR",
        directory.display()
    );
    directory
}

/// All guests, compiled once: the one in Go takes seconds.
fn guests() -> &'static BTreeMap<String, WasmModule> {
    static GUESTS: OnceLock<BTreeMap<String, WasmModule>> = OnceLock::new();
    GUESTS.get_or_init(load)
}

fn load() -> BTreeMap<String, WasmModule> {
    let directory = directory();
    let manifest = std::fs::read(directory.join("guests.manifest")).expect("the manifest");
    let manifest: Manifest = serde_json::from_slice(&manifest).expect("the manifest");
    let known = manifest.guests.len() + manifest.skipped.len();
    assert_eq!(known, 4, "a guest is neither built nor skipped");
    let runtime =
        WasmRuntime::new(WasmConfig { cache_dir: None, slots: 16, limits: limits() }).expect("a runtime");
    let load = |(name, entry): (String, Entry)| {
        let bytes = std::fs::read(directory.join(&entry.file)).expect("the guest");
        let digest: Digest = entry.digest.parse().expect("a digest");
        let module = runtime.compile(entry.interface, &bytes, &digest, &limits());
        (name.clone(), module.unwrap_or_else(|fault| panic!("{name}: {fault}")))
    };
    manifest.guests.into_iter().map(load).collect()
}

/// As they are by default, but with time for a busy machine.
fn limits() -> Limits {
    Limits { timeout: Duration::from_secs(10), ..Limits::default() }
}

fn cases(name: &str) -> Vec<Case> {
    let path: &Path = &root().join("wasm-plugins").join(name).join("cases.json");
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn check(module: &WasmModule, case: &Case) {
    let (request, settings) = (case.request.to_string(), case.settings.to_string());
    let namespaces = [LookupKind { group: String::new(), version: "v1".into(), kind: "Namespace".into() }];
    let call = Call {
        request: request.as_bytes(),
        settings: &settings,
        lookups: &Objects(&case.objects),
        declared: &namespaces,
        limits: &limits(),
        budget: Duration::from_secs(10),
    };
    let verdict = module.validate_settings(&settings, &limits()).expect("a verdict on the settings");
    if let Some(says) = &case.refused_settings {
        let text = verdict.expect_err("refused settings");
        assert!(text.contains(says), "`{text}` lacks `{says}`");
        return;
    }
    assert_eq!(verdict, Ok(()));
    if let Some(code) = &case.error {
        let error = module.validate(&call).expect_err("no answer");
        assert_eq!(error.code.as_str(), code, "{error}");
    }
    if let Some(findings) = &case.findings {
        assert_eq!(module.validate(&call).expect("an answer").observations, *findings);
    }
    if let Some(patch) = &case.patch {
        let mutation = module.mutate(&call).expect("an answer").mutation;
        assert_eq!(mutation, patch.clone().map(Mutation::Patch));
        let Some(patch) = patch else { return };
        let mut changed = case.request.clone();
        let patch: json_patch::Patch = serde_json::from_value(json!(patch)).expect("a patch");
        json_patch::patch(&mut changed["object"], &patch).expect("a patch that applies");
        let changed = changed.to_string();
        let again = module.mutate(&Call { request: changed.as_bytes(), ..call }).expect("an answer");
        assert_eq!(again.mutation, None, "the policy changes its own result");
    }
}

#[test]
fn guests_answer_as_their_cases_say() {
    for (name, module) in guests() {
        for case in cases(name) {
            println!("{name}: {}", case.name);
            check(module, &case);
        }
    }
}

#[test]
fn guests_describe_themselves() {
    let guests = guests();
    let metadata = guests["trusted-hosts"].metadata();
    assert_eq!(metadata.mutating, Some(false));
    assert_eq!(metadata.lookup_kinds().len(), 1);
    assert_eq!(guests["allowed-registries"].metadata().mutating, None);
}

#[test]
fn a_guest_is_asked_by_many_threads_at_once() {
    let guests = guests();
    let module = &guests["allowed-registries"];
    let settings = json!({"registries": ["registry.example.com"]}).to_string();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let settings = &settings;
            scope.spawn(move || {
                for round in 0..50 {
                    let image = if round % 2 == 0 { "registry.example.com/a" } else { "evil.io/a" };
                    let name = format!("{thread}-{round}");
                    let request =
                        json!({"object": {"spec": {"containers": [{"name": name, "image": image}]}}})
                            .to_string();
                    let call = Call {
                        request: request.as_bytes(),
                        settings,
                        lookups: &Objects(&[]),
                        declared: &[],
                        limits: &limits(),
                        budget: Duration::from_secs(10),
                    };
                    let observations = module.validate(&call).expect("an answer").observations;
                    assert_eq!(observations.len(), round % 2);
                    assert!(observations.iter().all(|found| found.details["container"] == name.as_str()));
                }
            });
        }
    });
}
