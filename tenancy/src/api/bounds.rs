//! Bounds on sizes, numbers and choices, read from the generated schemas: what the API server enforces on
//! objects holds for files too, and is written once.

use std::sync::LazyLock;

use model::{Code, LoadFault};
use serde_json::{Map, Value};

use super::{crds, decode::ConfigKind};

static SCHEMAS: LazyLock<[Value; 2]> = LazyLock::new(|| {
    let spec = |index: usize| {
        let crds = crds().unwrap_or_default();
        let schema = crds
            .get(index)
            .and_then(|crd| crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec"));
        schema.cloned().unwrap_or_default()
    };
    [spec(0), spec(1)]
});

/// A field out of bounds: its path, and why.
type Breach = (String, String);

/// Checks a spec, which already has the right types, against the bounds of its schema.
///
/// # Errors
/// The path of the first field out of bounds, and what would pass.
pub(super) fn check(kind: ConfigKind, spec: &Value) -> Result<(), LoadFault> {
    let [policy, binding] = &*SCHEMAS;
    let schema = match kind {
        ConfigKind::Policy => policy,
        ConfigKind::Binding => binding,
    };
    walk(schema, spec, "spec").map_err(|(path, why)| {
        let code = if path == "spec.parameters" { Code::ParametersInvalid } else { kind.code() };
        LoadFault::new(code, format!("{path}: {why}"))
    })
}

fn walk(schema: &Value, value: &Value, path: &str) -> Result<(), Breach> {
    let Some(schema) = schema.as_object() else { return Ok(()) };
    match value {
        // Serde reads a list as a struct's fields in their order.
        Value::Array(_) if schema.get("type").and_then(Value::as_str) == Some("object") => {
            Err((path.to_owned(), "is a list, an object is needed".to_owned()))
        }
        Value::String(text) => {
            let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
            within(schema, ("minLength", "maxLength"), length, path, "characters")?;
            choice(schema, value, path)
        }
        Value::Array(items) => {
            let length = u64::try_from(items.len()).unwrap_or(u64::MAX);
            within(schema, ("minItems", "maxItems"), length, path, "items")?;
            let Some(item) = schema.get("items") else { return Ok(()) };
            let mut items = items.iter().enumerate();
            items.try_for_each(|(index, value)| walk(item, value, &format!("{path}[{index}]")))
        }
        Value::Object(fields) => {
            let length = u64::try_from(fields.len()).unwrap_or(u64::MAX);
            within(schema, ("minProperties", "maxProperties"), length, path, "entries")?;
            let known = schema.get("properties");
            let any = schema.get("additionalProperties");
            fields.iter().try_for_each(|(name, value)| {
                let field = known.and_then(|known| known.get(name)).or(any);
                field.map_or(Ok(()), |field| walk(field, value, &format!("{path}.{name}")))
            })
        }
        Value::Number(number) => range(schema, number.as_f64(), path),
        Value::Null | Value::Bool(_) => Ok(()),
    }
}

fn within(
    schema: &Map<String, Value>,
    (low, high): (&str, &str),
    found: u64,
    path: &str,
    unit: &str,
) -> Result<(), Breach> {
    let low = schema.get(low).and_then(Value::as_u64).unwrap_or(0);
    let high = schema.get(high).and_then(Value::as_u64).unwrap_or(u64::MAX);
    match found {
        _ if found < low => Err((path.to_owned(), format!("has {found} {unit}, at least {low} are needed"))),
        _ if found > high => {
            Err((path.to_owned(), format!("has {found} {unit}, at most {high} are allowed")))
        }
        _ => Ok(()),
    }
}

fn choice(schema: &Map<String, Value>, value: &Value, path: &str) -> Result<(), Breach> {
    match schema.get("enum").and_then(Value::as_array) {
        Some(choices) if !choices.contains(value) => {
            let choices: Vec<_> =
                choices.iter().filter_map(Value::as_str).map(|name| format!("`{name}`")).collect();
            let found = value.as_str().unwrap_or_default();
            Err((path.to_owned(), format!("`{found}` is not one of {}", choices.join(", "))))
        }
        _ => Ok(()),
    }
}

fn range(schema: &Map<String, Value>, found: Option<f64>, path: &str) -> Result<(), Breach> {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let (low, high) = (bound("minimum"), bound("maximum"));
    let Some(found) = found else { return Ok(()) };
    match (low, high) {
        (Some(low), _) if found < low => {
            Err((path.to_owned(), format!("is {found}, at least {low} is needed")))
        }
        (_, Some(high)) if found > high => {
            Err((path.to_owned(), format!("is {found}, at most {high} is allowed")))
        }
        _ => Ok(()),
    }
}
