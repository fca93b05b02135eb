//! Applying what a mutating policy wants to an object, within bounds.

use json_patch::{Patch, PatchOperation};
use model::Code;
use serde_json::Value;

use crate::{EvaluationError, Mutation};

/// The largest object a mutation may make, in bytes of JSON: more than etcd stores.
const MAX_OBJECT_BYTES: usize = 8 << 20;

/// What a policy may never change: an object's identity.
const IDENTITY: &[&str] = &[
    "/apiVersion",
    "/kind",
    "/metadata/name",
    "/metadata/generateName",
    "/metadata/namespace",
    "/metadata/uid",
];

/// The object as the policy wants it.
///
/// # Errors
/// [`Code::MutationInvalid`] when the patch is malformed, does not apply, grows the object beyond
/// [`MAX_OBJECT_BYTES`] or changes its identity.
pub(crate) fn apply(object: &Value, mutation: Mutation) -> Result<Value, EvaluationError> {
    let changed = match mutation {
        Mutation::Object(changed) => changed,
        Mutation::Patch(operations) => apply_operations(object.clone(), operations)?,
    };
    for pointer in IDENTITY {
        if object.pointer(pointer) != changed.pointer(pointer) {
            return Err(invalid(format!("a policy may not change `{pointer}`")));
        }
    }
    Ok(changed)
}

/// The least patch from one object to another; `None` when they are equal.
pub(crate) fn difference(from: &Value, to: &Value) -> Option<Value> {
    let Patch(operations) = json_patch::diff(from, to);
    if operations.is_empty() { None } else { serde_json::to_value(operations).ok() }
}

/// The paths that differ between two objects.
pub(crate) fn paths(from: &Value, to: &Value) -> Vec<String> {
    let Patch(operations) = json_patch::diff(from, to);
    operations.iter().map(|operation| operation.path().to_string()).collect()
}

/// Applies operations one by one, so that `copy` cannot double an object without bound.
fn apply_operations(mut object: Value, operations: Vec<Value>) -> Result<Value, EvaluationError> {
    for (number, operation) in operations.into_iter().enumerate() {
        let operation: PatchOperation = serde_json::from_value(operation)
            .map_err(|error| invalid(format!("patch operation {number} is malformed: {error}")))?;
        let copies = matches!(operation, PatchOperation::Copy(_));
        json_patch::patch(&mut object, &[operation])
            .map_err(|error| invalid(format!("patch operation {number} does not apply: {error}")))?;
        if copies && size(&object) > MAX_OBJECT_BYTES {
            return Err(invalid(format!("the patch grows the object beyond {MAX_OBJECT_BYTES} bytes")));
        }
    }
    Ok(object)
}

/// A lower bound of an object's length as JSON, in bytes.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len().saturating_add(2),
        Value::Array(items) => items.iter().map(size).fold(2, usize::saturating_add),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| key.len().saturating_add(size(value)))
            .fold(2, usize::saturating_add),
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

fn invalid(message: String) -> EvaluationError {
    EvaluationError::new(Code::MutationInvalid, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(operations: Value) -> Result<Value, EvaluationError> {
        let Value::Array(operations) = operations else { unreachable!() };
        apply(&json!({"kind": "Pod", "metadata": {"name": "a"}}), Mutation::Patch(operations))
    }

    #[test]
    fn a_patch_is_applied_and_described() {
        let changed =
            patched(json!([{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}])).unwrap();
        assert_eq!(changed.pointer("/metadata/labels/a"), Some(&json!("b")));
        let before = json!({"kind": "Pod", "metadata": {"name": "a"}});
        assert_eq!(paths(&before, &changed), ["/metadata/labels"]);
        assert_eq!(difference(&before, &before), None);
    }

    #[test]
    fn bad_patches_have_a_code_and_say_which_operation() {
        let doubling: Vec<Value> =
            std::iter::once(json!({"op": "add", "path": "/x", "value": "y".repeat(1000)}))
                .chain((0..60).map(|number| json!({"op": "copy", "from": "", "path": format!("/c{number}")})))
                .collect();
        for (operations, text) in [
            (json!([{"op": "replace", "path": "/absent", "value": 1}]), "operation 0 does not apply"),
            (json!([{"op": "frob", "path": "/x"}]), "operation 0 is malformed"),
            (json!(["nonsense"]), "operation 0 is malformed"),
            (
                json!([{"op": "replace", "path": "/metadata/name", "value": "b"}]),
                "may not change `/metadata/name`",
            ),
            (json!([{"op": "remove", "path": "/kind"}]), "may not change `/kind`"),
            (Value::Array(doubling), "beyond"),
        ] {
            let error = patched(operations).unwrap_err();
            assert_eq!(error.code, Code::MutationInvalid);
            assert!(error.message.contains(text), "{error}");
        }
    }
}
