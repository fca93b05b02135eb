use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use model::{Digest, LabelSelector, LoadFault, LookupKind, ObjectKey, WasmInterface};
use sha2::{Digest as _, Sha256};

use crate::wasm::{Call, WasmConfig, WasmModule, WasmRuntime};
use crate::{Answer, EvaluationError, Limits, Lookups};

/// A request as the guests of this module get it; they do not read it.
pub(super) const REQUEST: &[u8] = br#"{"uid":"1","object":{"metadata":{"name":"web"}}}"#;

/// One runtime for all tests: as in a process.
pub(super) fn runtime() -> &'static WasmRuntime {
    static RUNTIME: OnceLock<WasmRuntime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let config = WasmConfig { cache_dir: None, slots: 8, limits: Limits::default() };
        WasmRuntime::new(config).expect("a runtime")
    })
}

pub(super) fn digest(bytes: &[u8]) -> Digest {
    Digest::new(Sha256::digest(bytes).into())
}

pub(super) fn load(interface: WasmInterface, bytes: &[u8]) -> Result<WasmModule, LoadFault> {
    runtime().compile(interface, bytes, &digest(bytes), &Limits::default())
}

pub(super) fn folder(interface: WasmInterface) -> PathBuf {
    let name = match interface {
        WasmInterface::Bailey => "component",
        WasmInterface::Kubewarden => "wapc",
    };
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../wasm-plugins/hostile")).join(name)
}

/// A guest of the hostile set, as a binary; see `wasm-plugins/hostile/README.md`.
pub(super) fn assemble(interface: WasmInterface, fields: &str) -> Vec<u8> {
    let whole = fields.trim_start().starts_with("(module") || fields.trim_start().starts_with("(component");
    let text = if whole { fields.to_owned() } else { around(interface, fields) };
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The shell with the fields in place, and the defaults of what they do not define.
fn around(interface: WasmInterface, fields: &str) -> String {
    let shell = std::fs::read_to_string(folder(interface).join("shell.wat")).expect("a shell");
    let (head, rest) = shell.split_once(";; fields\n").expect("a place for fields");
    let (defaults, tail) = rest.split_once(";; end\n").expect("an end");
    let defaults: String = defaults
        .split(";; default ")
        .filter_map(|part| part.split_once('\n'))
        .filter(|(name, _)| !fields.contains(&format!("${name} ")))
        .map(|(_, text)| text)
        .collect();
    format!("{head}{fields}\n{defaults}{tail}")
}

pub(super) fn read(interface: WasmInterface, name: &str) -> String {
    let path = folder(interface).join(format!("{name}.wat"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(super) fn good(interface: WasmInterface) -> WasmModule {
    load(interface, &assemble(interface, &read(interface, "good"))).expect("a good guest")
}

/// Objects for lookups.
#[derive(Default)]
pub(super) struct Objects(pub(super) BTreeMap<ObjectKey, Arc<str>>);

impl Lookups for Objects {
    fn get(&self, key: &ObjectKey) -> Result<Option<Arc<str>>, EvaluationError> {
        Ok(self.0.get(key).cloned())
    }

    fn list(
        &self,
        kind: &LookupKind,
        namespace: Option<&str>,
        _selector: &LabelSelector,
    ) -> Result<Vec<Arc<str>>, EvaluationError> {
        let in_namespace = |key: &ObjectKey| namespace.is_none_or(|namespace| key.namespace == namespace);
        let found = self.0.iter().filter(|(key, _)| key.kind == *kind && in_namespace(key));
        Ok(found.map(|(_, object)| Arc::clone(object)).collect())
    }
}

pub(super) fn validate(module: &WasmModule, limits: &Limits) -> Result<Answer, EvaluationError> {
    let call = Call {
        request: REQUEST,
        settings: "{}",
        lookups: &Objects::default(),
        declared: &[],
        limits,
        budget: Duration::from_secs(5),
    };
    module.validate(&call)
}
