//! What the guard changes in an object, as the object and as the patch that says so.

use bytes::Bytes;
use model::{Code, Request};
use serde_json::{Map, Value, json};

use super::{Changed, Wall};

/// One change of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Edit {
    /// Sets a member; objects on the way that are missing are made.
    Set(Vec<String>, Value),
    /// Takes a member away.
    Remove(Vec<String>),
}

impl Edit {
    pub(super) fn set<'a>(path: impl IntoIterator<Item = &'a str>, value: impl Into<Value>) -> Self {
        Self::Set(path.into_iter().map(str::to_owned).collect(), value.into())
    }

    pub(super) fn remove<'a>(path: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Remove(path.into_iter().map(str::to_owned).collect())
    }
}

/// The request with these changes; `None` without any.
pub(super) fn apply(request: &Request, edits: &[Edit]) -> Result<Option<Changed>, Wall> {
    if edits.is_empty() {
        return Ok(None);
    }
    let unreadable = |error: serde_json::Error| malformed(&format!("the object cannot be read: {error}"));
    let mut envelope: Map<String, Value> = serde_json::from_slice(&request.raw).map_err(unreadable)?;
    let mut object = envelope.remove("object").unwrap_or_default();
    let mut patch = Vec::new();
    for edit in edits {
        edit.apply(&mut object, &mut patch)
            .ok_or_else(|| malformed("the object has a member of a wrong type"))?;
    }
    let text = serde_json::to_vec(&object).map_err(unreadable)?;
    envelope.insert("object".to_owned(), object);
    let raw = serde_json::to_vec(&envelope).map_err(unreadable)?;
    let request = Request { raw: Bytes::from(raw), object: Some(Bytes::from(text)), ..request.clone() };
    Ok(Some(Changed { request, patch }))
}

fn malformed(message: &str) -> Wall {
    Wall { rule: "", code: Code::ReviewMalformed, message: message.to_owned() }
}

impl Edit {
    /// Changes the object and adds the operations; `None` where something on the way is no object.
    fn apply(&self, object: &mut Value, patch: &mut Vec<Value>) -> Option<()> {
        let (Self::Set(path, _) | Self::Remove(path)) = self;
        let (last, way) = path.split_last()?;
        let mut here = object;
        let mut pointer = String::new();
        for step in way {
            pointer.push_str(&format!("/{}", escaped(step)));
            let members = here.as_object_mut()?;
            let missing = members.get(step).is_none_or(Value::is_null);
            if missing && matches!(self, Self::Remove(_)) {
                return Some(());
            }
            if missing {
                members.insert(step.clone(), Value::Object(Map::new()));
                patch.push(json!({"op": "add", "path": pointer, "value": {}}));
            }
            here = members.get_mut(step)?;
        }
        pointer.push_str(&format!("/{}", escaped(last)));
        let members = here.as_object_mut()?;
        match self {
            Self::Set(_, value) => {
                patch.push(json!({"op": "add", "path": pointer, "value": value}));
                members.insert(last.clone(), value.clone());
            }
            Self::Remove(_) => {
                if members.remove(last).is_some() {
                    patch.push(json!({"op": "remove", "path": pointer}));
                }
            }
        }
        Some(())
    }
}

/// A member's name as a JSON Pointer has it.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
