//! The custom resource `Policy`: what is asked.

#![expect(unreachable_pub, reason = "the derive repeats each type inside a function")]
#![expect(clippy::duplicated_attributes, reason = "every printer column has a type and a priority")]

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use model::{RegoVersion, WasmInterface};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{schema, status::PolicyStatus};

/// What is asked: a policy in Rego or WebAssembly, with its messages and limits.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "bailey.dev",
    version = "v1alpha1",
    kind = "Policy",
    plural = "policies",
    shortname = "bpol",
    category = "bailey",
    derive = "PartialEq",
    doc = "What is asked: a policy in Rego or WebAssembly. It answers only where a PolicyBinding binds it.",
    status = "PolicyStatus",
    printcolumn(name = "Engine", type_ = "string", json_path = ".status.engine"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "Revision", type_ = "string", json_path = ".status.revision", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new("has(self.rego) != has(self.wasm)").message("exactly one of rego and wasm is needed"),
    validation = Rule::new("!has(self.messages) || self.messages.all(code, size(code) >= 1 && size(code) <= 128)")
        .message("a key of messages has 1 to 128 characters").field_path(".messages")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicySpec {
    /// What the policy is for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// A policy in Rego. Exactly one of rego and wasm is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rego: Option<RegoSource>,
    /// A policy in WebAssembly. Exactly one of rego and wasm is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wasm: Option<WasmSource>,
    /// Whether the policy changes objects: it is then asked on mutation (rule `patch` in Rego, `mutate` in wasm).
    #[serde(default)]
    pub mutates: bool,
    /// What bindings may set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<PolicyParameters>,
    /// The message catalogue: a finding's code to its text, with placeholders as in `label {label} at {path}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::messages")]
    pub messages: BTreeMap<String, String>,
    /// The kinds of other cluster objects that the policy may look up; only these are cached for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub lookups: Vec<LookupReference>,
    /// Limits of the policy's own, never wider than the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<PolicyLimits>,
}

/// A policy in Rego.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new(
        "size(self.source) + (has(self.libraries) ? self.libraries.map(l, size(l.source)).sum() : 0) <= 262144"
    ).message("source and libraries together may have 262144 characters")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegoSource {
    /// The dialect of all modules: v1, or v0 for Rego as OPA before 1.0 read it.
    #[serde(default)]
    #[schemars(schema_with = "schema::rego_version")]
    pub version: RegoVersion,
    /// The policy module; errors name it `policy.rego`.
    #[schemars(length(min = 1, max = 262_144))]
    pub source: String,
    /// Modules that the policy imports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub libraries: Vec<RegoLibrary>,
}

/// A module that a Rego policy imports.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("self.name != 'policy.rego'").message("policy.rego is the name of the policy module")
        .field_path(".name")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegoLibrary {
    /// The name that errors show, such as `lib.rego`.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub name: String,
    /// The source text.
    #[schemars(length(min = 1, max = 262_144))]
    pub source: String,
}

/// A policy in WebAssembly.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WasmSource {
    /// The calling convention: Bailey's component interface, or the protocol of Kubewarden policies.
    #[serde(default)]
    #[schemars(schema_with = "schema::wasm_interface")]
    pub interface: WasmInterface,
    /// Where the module is.
    pub module: WasmModule,
}

/// Where a wasm module is: exactly one of file, configMap and secret.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("[has(self.file), has(self.configMap), has(self.secret)].filter(given, given).size() == 1")
        .message("exactly one of file, configMap and secret is needed"),
    validation = Rule::new("has(self.file) || has(self.digest)")
        .message("a digest is needed with configMap and secret, as sha256: and 64 lower-case hexadecimal digits"),
    validation = Rule::new("!has(self.file) || self.file.startsWith('/')")
        .message("a file in the cluster is an absolute path on the server").field_path(".file")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WasmModule {
    /// A file on the server: an absolute path; beside a policy read from a file, relative to that file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub file: Option<String>,
    /// A key of a ConfigMap, in binaryData or data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<KeyReference>,
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<KeyReference>,
    /// The digest that the module must have: sha256: and 64 lower-case hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,
}

/// One key of a ConfigMap or Secret.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyReference {
    /// The namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The object's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// What bindings may set.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyParameters {
    /// A JSON Schema that the parameters of every binding must fit.
    #[schemars(schema_with = "schema::open_object")]
    pub schema: Value,
}

/// A kind of cluster objects.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LookupReference {
    /// The API group; empty for the core group.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub group: String,
    /// The version, such as `v1`.
    #[schemars(length(min = 1, max = 63))]
    pub version: String,
    /// The kind, such as `Namespace`.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
}

/// Limits of a policy's own.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyLimits {
    /// The time of one evaluation, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60_000))]
    pub timeout_milliseconds: Option<u32>,
    /// The memory of one wasm guest, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "memoryMiB")]
    #[schemars(range(min = 1, max = 4_096))]
    pub memory_mib: Option<u32>,
}
