use std::collections::BTreeSet;
use std::sync::Arc;

use model::LookupKind;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::host_call::{Refusal, unsupported};
use crate::wasm::{fault, lookup};

/// A guest's request for one object.
#[derive(Deserialize)]
struct GetResource {
    api_version: String,
    kind: String,
    name: String,
    namespace: Option<String>,
    #[serde(default)]
    field_masks: Option<BTreeSet<String>>,
}

/// A guest's request for the objects of a kind.
#[derive(Deserialize)]
struct ListResources {
    api_version: String,
    kind: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    label_selector: Option<String>,
    #[serde(default)]
    field_selector: Option<String>,
    #[serde(default)]
    field_masks: Option<BTreeSet<String>>,
}

/// A Kubernetes list object.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectList {
    api_version: String,
    kind: String,
    metadata: Map<String, Value>,
    items: Vec<Box<RawValue>>,
}

/// The object as JSON; an absent one is an error, as Kubewarden's SDKs expect.
pub(super) fn get_resource(payload: &[u8]) -> Result<Vec<u8>, Refusal> {
    let request: GetResource = read(payload)?;
    let kind = kind(&request.api_version, &request.kind);
    let namespace = request.namespace.unwrap_or_default();
    match lookup::get(kind, namespace.clone(), request.name.clone())? {
        Some(object) => {
            pruned(&object, request.field_masks.as_ref()).map(|json| json.get().as_bytes().to_vec())
        }
        None => {
            let place =
                if namespace.is_empty() { String::new() } else { format!(" in namespace `{namespace}`") };
            let (api_version, kind, name) = (request.api_version, request.kind, request.name);
            Err(Refusal::Answer(fault::one_line(&format!(
                "{api_version} {kind} `{name}` was not found{place}"
            ))))
        }
    }
}

/// The objects of a kind, of one namespace or of all, as a list object.
pub(super) fn list_resources(payload: &[u8], in_namespace: bool) -> Result<Vec<u8>, Refusal> {
    let request: ListResources = read(payload)?;
    if request.field_selector.is_some_and(|selector| !selector.is_empty()) {
        return Err(unsupported("kubewarden/kubernetes with a field selector"));
    }
    let namespace = match (in_namespace, request.namespace) {
        (true, None) => return Err(Refusal::Answer("`namespace` is missing in the request".to_owned())),
        (true, namespace) => namespace,
        (false, _) => None,
    };
    let kind = kind(&request.api_version, &request.kind);
    let labels = request.label_selector.unwrap_or_default();
    let objects = lookup::list(&kind, namespace.as_deref(), &labels)?;
    let items = objects
        .iter()
        .map(|object| pruned(object, request.field_masks.as_ref()))
        .collect::<Result<_, _>>()?;
    let list = ObjectList {
        api_version: request.api_version,
        kind: format!("{}List", request.kind),
        metadata: Map::new(),
        items,
    };
    serde_json::to_vec(&list).map_err(|error| Refusal::Answer(format!("the list cannot be written: {error}")))
}

fn read<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(payload)
        .map_err(|error| Refusal::Answer(format!("the request cannot be read: {error}")))
}

fn kind(api_version: &str, kind: &str) -> LookupKind {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    LookupKind { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
}

/// An object with only the fields asked for; all of them where none are named.
fn pruned(object: &Arc<str>, masks: Option<&BTreeSet<String>>) -> Result<Box<RawValue>, Refusal> {
    let written = match masks {
        Some(masks) if !masks.is_empty() => serde_json::from_str(object).and_then(|value: Value| {
            let paths: Vec<Vec<&str>> = masks.iter().map(|mask| mask.split('.').collect()).collect();
            let paths: Vec<&[&str]> = paths.iter().map(Vec::as_slice).collect();
            serde_json::value::to_raw_value(&keep(value, &paths))
        }),
        _ => RawValue::from_string(object.to_string()),
    };
    written.map_err(|error| Refusal::Answer(format!("the object cannot be read: {error}")))
}

/// Keeps the fields on these paths; lists are looked through.
fn keep(value: Value, paths: &[&[&str]]) -> Value {
    match value {
        _ if paths.iter().any(|path| path.is_empty()) => value,
        Value::Array(items) => items.into_iter().map(|item| keep(item, paths)).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .filter_map(|(name, field)| {
                let below: Vec<&[&str]> = paths
                    .iter()
                    .filter_map(|path| path.split_first().filter(|(first, _)| **first == name))
                    .map(|(_, rest)| rest)
                    .collect();
                (!below.is_empty()).then(|| (name, keep(field, &below)))
            })
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_masks_keep_only_what_they_name() {
        let object = Arc::from(
            r#"{"metadata":{"name":"a","uid":"u"},"spec":{"containers":[{"image":"i","x":1}],"y":2}}"#,
        );
        let masks = BTreeSet::from(["metadata.name".to_owned(), "spec.containers.image".to_owned()]);
        let Ok(json) = pruned(&object, Some(&masks)) else { panic!("an object") };
        let value: Value = serde_json::from_str(json.get()).expect("JSON");
        assert_eq!(
            value,
            serde_json::json!({"metadata": {"name": "a"}, "spec": {"containers": [{"image": "i"}]}})
        );
        let Ok(json) = pruned(&object, None) else { panic!("an object") };
        assert_eq!(json.get(), &*object);
    }
}
