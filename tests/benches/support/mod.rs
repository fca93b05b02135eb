//! What the benches over whole processes share.
#![allow(unreachable_pub, dead_code, reason = "shared by benches, each uses a part")]

#[path = "../../../policies/benches/support/mod.rs"]
mod library;

use std::path::PathBuf;
use std::time::Duration;

use model::{PolicyBinding, Sources};
use serde_json::{Value, json};

#[allow(unused_imports, reason = "each bench uses a part")]
pub use library::{idle, library, review};

/// As a figure of a table.
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The sources as the YAML files an administrator would write; JSON is YAML.
pub fn documents(sources: &Sources) -> String {
    let policies = sources.policies.iter().map(|loaded| {
        let policy = loaded.value.as_ref().expect("a good policy");
        let model::Source::Rego { modules, .. } = &policy.source else { panic!("the library is Rego") };
        document("Policy", &policy.name, json!({"rego": {"source": modules[0].text}}))
    });
    let bindings = sources.bindings.iter().map(|loaded| {
        let binding = loaded.value.as_ref().expect("a good binding");
        document("PolicyBinding", &binding.name, binding_spec(binding))
    });
    policies.chain(bindings).collect::<Vec<_>>().join("\n---\n")
}

fn binding_spec(binding: &PolicyBinding) -> Value {
    let row = &binding.rules.resources[0];
    json!({
        "policy": binding.policy,
        "parameters": binding.parameters,
        "match": {"resources": [{"apiGroups": row.groups, "kinds": row.kinds}], "namespaces": binding.rules.namespaces},
    })
}

fn document(kind: &str, name: &str, spec: Value) -> String {
    json!({"apiVersion": "bailey.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
        .to_string()
}

/// The release binary beside this bench.
pub fn release_binary() -> PathBuf {
    // target/PROFILE/deps/webhook-HASH: the load may be of any profile, the server is always a release.
    let own = std::env::current_exe().expect("the bench's own path");
    let binary = own.ancestors().nth(3).expect("a target folder").join("release/bailey");
    assert!(binary.is_file(), "no {}; run `cargo xtask bench webhook`", binary.display());
    binary
}
