//! What objects say, as far as Bailey keeps it.

use model::quantity;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::plan::Kind;

/// What objects that Bailey names itself begin with; those it keeps to the letter.
pub(super) const OWN_NAMES: &str = "bailey-";

/// What is known of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// Its digest: nothing more is needed of an object that is kept to the letter.
    Digest(u128),
    /// The digests of a binding and of its role, which cannot be changed.
    Binding(u128, u128),
    /// What it says: of a template only the fields that the template names are kept.
    Fields(Value),
}

impl Content {
    /// What an object that was found says. `fields` are all of its members but metadata.
    pub(super) fn found(kind: Kind, name: &str, fields: Value) -> Self {
        let kept = kept(fields);
        if !is_exact(kind, name) {
            return Self::Fields(kept);
        }
        match kept.get("roleRef") {
            Some(role) => Self::Binding(digest(&kept), digest(role)),
            None => Self::Digest(digest(&kept)),
        }
    }

    /// Whether an object that says this needs no write to say what is wanted.
    pub(super) fn says(&self, wanted: &Value, digest: u128) -> bool {
        match self {
            Self::Digest(found) | Self::Binding(found, _) => *found == digest,
            Self::Fields(found) => contains(found, wanted),
        }
    }
}

/// Whether a binding that was found can become another: only where the role is the same.
pub(super) fn has_role(found: &Content, wanted: &Value) -> bool {
    match found {
        Content::Binding(_, role) => wanted.get("roleRef").is_some_and(|wanted| digest(wanted) == *role),
        Content::Fields(fields) => fields.get("roleRef") == wanted.get("roleRef"),
        Content::Digest(_) => true,
    }
}

/// Whether every field of an object is Bailey's, and the API server adds none.
fn is_exact(kind: Kind, name: &str) -> bool {
    let kinds = [Kind::NetworkPolicy, Kind::RoleBinding, Kind::ClusterRole, Kind::ClusterRoleBinding];
    kinds.contains(&kind) && name.starts_with(OWN_NAMES)
}

/// Leaves out what is not kept: status, and what a stored object has that nobody wrote.
fn kept(fields: Value) -> Value {
    let Value::Object(mut fields) = fields else { return fields };
    for name in ["status", "apiVersion", "kind", "metadata"] {
        fields.remove(name);
    }
    fields.retain(|_, value| !value.is_null());
    Value::Object(fields)
}

/// The digest of a value: its first 128 bits of SHA-256, with the members of objects in order.
pub(super) fn digest(value: &Value) -> u128 {
    let hash = Sha256::digest(value.to_string().as_bytes());
    hash.iter().take(16).fold(0, |digest, byte| (digest << 8) | u128::from(*byte))
}

/// Whether a value has everything that another has: members of objects, and lists as they are.
fn contains(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => has_members(found, wanted),
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len()
                && found.iter().zip(wanted).all(|(found, wanted)| contains(found, wanted))
        }
        // The API server writes `1000m` as `1`.
        (Value::String(found), Value::String(wanted)) => {
            found == wanted || quantity(found).is_some_and(|amount| quantity(wanted) == Some(amount))
        }
        (found, wanted) => found == wanted,
    }
}

fn has_members(found: &Map<String, Value>, wanted: &Map<String, Value>) -> bool {
    wanted.iter().all(|(name, wanted)| found.get(name).is_some_and(|found| contains(found, wanted)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_of_a_template_may_have_more_but_nothing_else() {
        let wanted = json!({"data": {"a": "1"}, "items": [{"x": 1}]});
        let says = |found: Value| Content::found(Kind::ConfigMap, "settings", found).says(&wanted, 0);
        assert!(says(json!({"data": {"a": "1", "b": "2"}, "items": [{"x": 1, "y": 2}], "status": {}})));
        assert!(says(json!({"data": {"a": "1000m"}, "items": [{"x": 1}]})), "the same amount");
        assert!(!says(json!({"data": {"a": "2"}, "items": [{"x": 1}]})));
        assert!(!says(json!({"data": {"a": "1"}, "items": [{"x": 1}, {"x": 2}]})));
    }

    #[test]
    fn an_object_of_bailey_is_kept_to_the_letter() {
        let wanted = json!({"spec": {"podSelector": {}}});
        let says = |found: Value| {
            Content::found(Kind::NetworkPolicy, "bailey-isolation", found).says(&wanted, digest(&wanted))
        };
        assert!(says(json!({"spec": {"podSelector": {}}, "status": null, "kind": "NetworkPolicy"})));
        assert!(
            !says(json!({"spec": {"podSelector": {"matchLabels": {"a": "b"}}}})),
            "it would narrow the wall"
        );
    }
}
