//! Schemas of fields whose types are not this crate's own, or whose bounds the derive cannot say.

use fairness::rates::Class;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::json;

fn choice(default: &str, values: &[&str]) -> Schema {
    json_schema!({ "type": "string", "enum": values, "default": default })
}

fn texts(max_items: usize, min_length: usize, max_length: usize) -> Schema {
    json_schema!({
        "type": "array", "maxItems": max_items,
        "items": { "type": "string", "minLength": min_length, "maxLength": max_length },
    })
}

pub(super) fn rego_version(_: &mut SchemaGenerator) -> Schema {
    choice("v1", &["v0", "v1"])
}

pub(super) fn wasm_interface(_: &mut SchemaGenerator) -> Schema {
    choice("bailey", &["bailey", "kubewarden"])
}

pub(super) fn enforcement(_: &mut SchemaGenerator) -> Schema {
    choice("deny", &["deny", "warn", "audit"])
}

pub(super) fn failure_policy(_: &mut SchemaGenerator) -> Schema {
    choice("Fail", &["Fail", "Ignore"])
}

pub(super) fn scope(_: &mut SchemaGenerator) -> Schema {
    choice("*", &["*", "Namespaced", "Cluster"])
}

/// A class of requests, as rates tell them apart.
pub(super) fn request_class(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": Class::ALL.map(Class::as_str) })
}

pub(super) fn selector_operator(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"] })
}

pub(super) fn operations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 4,
        "items": { "type": "string", "enum": ["CREATE", "UPDATE", "DELETE", "CONNECT"] },
    })
}

/// Any JSON object, kept as it is.
pub(super) fn open_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

pub(super) fn messages(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": 256,
        "additionalProperties": { "type": "string", "minLength": 1, "maxLength": 4096 },
    })
}

pub(super) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": 64,
        "additionalProperties": { "type": "string", "maxLength": 63 },
    })
}

pub(super) fn label_values(_: &mut SchemaGenerator) -> Schema {
    texts(64, 0, 63)
}

/// Groups, versions, kinds and resources.
pub(super) fn names(_: &mut SchemaGenerator) -> Schema {
    texts(64, 1, 253)
}

/// Groups: at least one, and the core group is the empty text.
pub(super) fn names_required(_: &mut SchemaGenerator) -> Schema {
    let mut schema = texts(64, 0, 253);
    schema.insert("minItems".to_owned(), 1.into());
    schema
}

/// Names with globs.
pub(super) fn patterns(_: &mut SchemaGenerator) -> Schema {
    texts(256, 1, 253)
}

pub(super) fn service_accounts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 256,
        "items": { "type": "string", "minLength": 3, "maxLength": 317, "pattern": "^[^:]+:[^:]+$" },
    })
}

/// Codes of findings.
pub(super) fn codes(_: &mut SchemaGenerator) -> Schema {
    texts(32, 1, 128)
}

/// Names with globs, few: tenants write them, and every exception is held in memory.
pub(super) fn few_patterns(_: &mut SchemaGenerator) -> Schema {
    texts(32, 1, 253)
}

/// Kinds or resources, with group and subresource.
pub(super) fn kinds(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 32,
        "items": {
            "type": "string", "minLength": 1, "maxLength": 317,
            "pattern": "^[A-Za-z][A-Za-z0-9]*([.][a-z0-9.-]+)?(/[a-z]+)?$",
        },
    })
}

/// A time as RFC 3339 has it.
pub(super) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "maxLength": 64 })
}

/// Kubernetes conditions, merged by type.
pub(super) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 8,
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": { "type": "string", "maxLength": 316 },
                "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
                "observedGeneration": { "type": "integer", "format": "int64", "minimum": 0 },
                "lastTransitionTime": { "type": "string", "format": "date-time" },
                "reason": { "type": "string", "minLength": 1, "maxLength": 1024 },
                "message": { "type": "string", "maxLength": 32768 },
            },
        },
    })
}

/// Address ranges such as `203.0.113.0/24` or `2001:db8::/32`.
pub(super) fn address_ranges(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 64,
        "items": { "type": "string", "maxLength": 43, "pattern": "^[0-9a-fA-F.:]+/[0-9]{1,3}$" },
    })
}

fn choices(values: &[&str]) -> Schema {
    json_schema!({
        "type": "array", "maxItems": values.len(), "items": { "type": "string", "enum": values },
    })
}

pub(super) fn pull_policies(_: &mut SchemaGenerator) -> Schema {
    choices(&["Always", "IfNotPresent", "Never"])
}

pub(super) fn service_types(_: &mut SchemaGenerator) -> Schema {
    choices(&["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"])
}

pub(super) fn qos_classes(_: &mut SchemaGenerator) -> Schema {
    choices(&["Guaranteed", "Burstable", "BestEffort"])
}

pub(super) fn percentages(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": 16,
        "additionalProperties": { "type": "integer", "format": "int32", "minimum": 100, "maximum": 100_000 },
    })
}

pub(super) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": 64,
        "additionalProperties": { "type": "string", "maxLength": 1024 },
    })
}

/// Any JSON objects, few.
pub(super) fn open_objects(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 16,
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
    })
}

/// Objects of the kinds that templates may be, with a name of their own.
pub(super) fn templates(_: &mut SchemaGenerator) -> Schema {
    let rules = json!([
        {
            "rule": "!self.metadata.name.startsWith('bailey-') && !has(self.metadata.namespace)",
            "message": "a template has a name that does not begin with `bailey-`, and no namespace",
        },
    ]);
    json_schema!({
        "type": "array", "maxItems": 16,
        "items": {
            "type": "object",
            "required": ["apiVersion", "kind", "metadata"],
            "properties": {
                "apiVersion": { "type": "string", "maxLength": 64 },
                "kind": {
                    "type": "string",
                    "enum": [
                        "ConfigMap", "LimitRange", "NetworkPolicy", "PodDisruptionBudget", "ResourceQuota", "Role",
                        "ServiceAccount",
                    ],
                },
                "metadata": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": { "type": "string", "minLength": 1, "maxLength": 253 },
                        "namespace": { "type": "string", "maxLength": 63 },
                    },
                    "x-kubernetes-preserve-unknown-fields": true,
                },
            },
            "x-kubernetes-preserve-unknown-fields": true,
            "x-kubernetes-validations": rules,
        },
    })
}

/// Amounts by resource name, none of them negative.
pub(super) fn quantities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": 64,
        "additionalProperties": {
            "anyOf": [{ "type": "integer" }, { "type": "string" }],
            "x-kubernetes-int-or-string": true,
            "pattern": r"^\+?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]+))?$",
        },
    })
}

/// The same, at least one.
pub(super) fn quantities_required(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = quantities(generator);
    schema.insert("minProperties".to_owned(), 1.into());
    schema
}

/// A moment.
pub(super) fn instant(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "maxLength": 40 })
}
