//! What a rule came to, as observations or patch operations; what is neither is an error.

use model::{Code, Observation};
use regorus::Value;
use serde_json::Map;

use super::builtins::weigh_up_to;
use super::check::Entry;
use crate::{EvaluationError, Limits};

/// Nodes looked at before a result counts as too large, whatever its bytes.
const MAX_NODES: u64 = 200_000;

/// Reads the result of `deny`, `violation` or `warn`.
pub(super) fn observations(
    entry: Entry,
    value: &Value,
    limits: &Limits,
    into: &mut Vec<Observation>,
) -> Result<(), EvaluationError> {
    bound(entry, value, limits)?;
    let warn_only = entry == Entry::Warn;
    match value {
        Value::Undefined | Value::Bool(false) => {}
        Value::Bool(true) => into.push(generic(entry, warn_only)),
        Value::String(_) => into.push(observation(entry, value, warn_only)?),
        Value::Set(members) => {
            for member in members.iter() {
                into.push(observation(entry, member, warn_only)?);
            }
        }
        Value::Array(members) => {
            for member in members.iter() {
                into.push(observation(entry, member, warn_only)?);
            }
        }
        Value::Object(fields) if is_observation(value) || fields.is_empty() => {
            if !fields.is_empty() {
                into.push(observation(entry, value, warn_only)?);
            }
        }
        Value::Object(fields) => {
            for (key, member) in fields.iter() {
                into.extend(keyed(entry, key, member, warn_only)?);
            }
        }
        _ => return Err(invalid(entry, value)),
    }
    if into.len() > limits.findings {
        let message =
            format!("the policy made {} findings, at most {} are kept", into.len(), limits.findings);
        return Err(EvaluationError::new(Code::PolicyOutputTooLarge, message));
    }
    Ok(())
}

/// Reads the result of `patch`: operations in an array, or in a set where their order does not matter.
pub(super) fn operations(value: &Value, limits: &Limits) -> Result<Vec<serde_json::Value>, EvaluationError> {
    bound(Entry::Patch, value, limits)?;
    let members: Vec<&Value> = match value {
        Value::Undefined => Vec::new(),
        Value::Set(members) => members.iter().collect(),
        // A partial rule of arrays: `patch contains [{…}, {…}]`.
        Value::Array(members) => members.iter().collect(),
        _ => return Err(invalid(Entry::Patch, value)),
    };
    let mut operations = Vec::new();
    for member in members {
        match member {
            Value::Array(inner) => {
                for operation in inner.iter() {
                    operations.push(self::operation(operation)?);
                }
            }
            _ => operations.push(operation(member)?),
        }
    }
    if operations.len() > limits.findings {
        let message =
            format!("the policy made {} operations, at most {} are kept", operations.len(), limits.findings);
        return Err(EvaluationError::new(Code::PolicyOutputTooLarge, message));
    }
    Ok(operations)
}

fn operation(value: &Value) -> Result<serde_json::Value, EvaluationError> {
    let text = |name: &str| matches!(value, Value::Object(fields) if matches!(fields.get(&name.into()), Some(Value::String(_))));
    if text("op") && text("path") { Ok(json(value)) } else { Err(invalid(Entry::Patch, value)) }
}

fn bound(entry: Entry, value: &Value, limits: &Limits) -> Result<(), EvaluationError> {
    let most = u64::try_from(limits.output_bytes).unwrap_or(u64::MAX);
    match weigh_up_to(value, MAX_NODES) {
        Some(weight) if weight.bytes <= most => Ok(()),
        _ => {
            let message = format!("`{}` came to more than {most} bytes", entry.name());
            Err(EvaluationError::new(Code::PolicyOutputTooLarge, message))
        }
    }
}

fn generic(entry: Entry, warn_only: bool) -> Observation {
    let message = format!("`{}` is true, the policy gives no reason", entry.name());
    Observation { message, warn_only, ..Observation::default() }
}

/// Whether an object is one observation and not a partial object of them.
fn is_observation(value: &Value) -> bool {
    let Value::Object(fields) = value else { return false };
    ["msg", "message", "code"]
        .iter()
        .any(|name| matches!(fields.get(&(*name).into()), Some(Value::String(_))))
}

/// A member of a partial object: its key is the message where the value has none.
fn keyed(
    entry: Entry,
    key: &Value,
    member: &Value,
    warn_only: bool,
) -> Result<Option<Observation>, EvaluationError> {
    match (key, member) {
        (_, Value::Bool(false)) => Ok(None),
        (Value::String(_), Value::Bool(true)) => observation(entry, key, warn_only).map(Some),
        (_, Value::String(_)) => observation(entry, member, warn_only).map(Some),
        (_, Value::Object(_)) => observation(entry, member, warn_only).map(Some),
        _ => Err(invalid(entry, member)),
    }
}

fn observation(entry: Entry, value: &Value, warn_only: bool) -> Result<Observation, EvaluationError> {
    let fields = match value {
        Value::String(text) => {
            return Ok(Observation { message: text.to_string(), warn_only, ..Observation::default() });
        }
        Value::Object(fields) => fields,
        _ => return Err(invalid(entry, value)),
    };
    let mut observation = Observation { warn_only, ..Observation::default() };
    for (name, field) in fields.iter() {
        let Value::String(name) = name else { return Err(invalid(entry, value)) };
        match (name.as_ref(), field) {
            ("msg" | "message", Value::String(text)) => observation.message = text.to_string(),
            ("code", Value::String(text)) => observation.code = text.to_string(),
            ("path", Value::String(text)) => observation.path = text.to_string(),
            ("msg" | "message" | "code" | "path", _) => return Err(wrong_field(entry, name, field)),
            ("details", Value::Object(_)) => observation.details.extend(object(field)),
            // Gatekeeper's policies put any value here.
            ("details", _) => {
                observation.details.insert("details".to_owned(), json(field));
            }
            _ => {
                observation.details.insert(name.to_string(), json(field));
            }
        }
    }
    if observation.message.is_empty() && observation.code.is_empty() {
        let message = format!("a member of `{}` has neither `msg` nor `code`", entry.name());
        return Err(EvaluationError::new(Code::PolicyOutputInvalid, message));
    }
    Ok(observation)
}

fn wrong_field(entry: Entry, name: &str, found: &Value) -> EvaluationError {
    let message = format!("`{name}` of a member of `{}` is {}, not a text", entry.name(), kind(found));
    EvaluationError::new(Code::PolicyOutputInvalid, message)
}

fn invalid(entry: Entry, found: &Value) -> EvaluationError {
    let wanted = match entry {
        Entry::Patch => "JSON Patch operations with `op` and `path`",
        _ => "texts or objects with `msg` or `code`",
    };
    let message = format!("`{}` gave {}, it must give {wanted}", entry.name(), kind(found));
    EvaluationError::new(Code::PolicyOutputInvalid, message)
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Set(_) => "a set",
        Value::Object(_) => "an object",
        Value::Undefined => "an undefined value",
    }
}

// To JSON -----------------------------------------------------------------------------------------------

fn object(value: &Value) -> Map<String, serde_json::Value> {
    let Value::Object(fields) = value else { return Map::new() };
    fields.iter().map(|(name, value)| (name_of(name), json(value))).collect()
}

fn name_of(key: &Value) -> String {
    match key {
        Value::String(text) => text.to_string(),
        _ => json(key).to_string(),
    }
}

/// A value as JSON: sets become arrays, names that are not texts become their JSON.
fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null | Value::Undefined => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::String(text) => text.as_ref().into(),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Set(items) => items.iter().map(json).collect(),
        Value::Object(_) => serde_json::Value::Object(object(value)),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(value), ..) => value.into(),
            (None, Some(value), _) => value.into(),
            (None, None, Some(value)) => value.into(),
            // JSON has no exact form that every reader takes.
            (None, None, None) => number.format_decimal().into(),
        },
    }
}
