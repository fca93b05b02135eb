use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Code, Enforcement, FailurePolicy};

/// What a policy says of one fault, before a binding gives it weight.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Observation {
    /// A code of the policy's own, a key of its message catalogue; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// The policy's message; the catalogue's text wins where the code is in it.
    #[serde(default)]
    pub message: String,
    /// The field at fault, such as `spec.containers[0].image`; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Values for the catalogue's placeholders and for the record.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub details: serde_json::Map<String, serde_json::Value>,
    /// Whether the policy itself asks for a warning only, whatever the binding's enforcement.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub warn_only: bool,
}

/// One fault that one binding found in one request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The binding's name.
    pub binding: String,
    /// The policy's name.
    pub policy: String,
    /// What it does: the binding's enforcement, or `warn` where the policy asked for it.
    pub enforcement: Enforcement,
    /// The policy's own code; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// The message as it is shown.
    pub message: String,
    /// The field at fault; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What the policy added.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub details: serde_json::Map<String, serde_json::Value>,
    /// Whether its binding lets an exception cover it.
    #[serde(skip)]
    pub exceptions: bool,
    /// The exception in the object's namespace that covers it: then it refuses nothing and warns of nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
}

/// A binding that could not answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The binding's name.
    pub binding: String,
    /// The policy's name.
    pub policy: String,
    /// How strictly the binding is enforced.
    pub enforcement: Enforcement,
    /// What the binding wants done about a failure.
    pub failure_policy: FailurePolicy,
    /// The stable code.
    pub code: Code,
    /// What went wrong, for a person.
    pub message: String,
}

impl Failure {
    /// Whether this failure refuses the request: fail-closed, and the binding enforces.
    pub fn refuses(&self) -> bool {
        self.failure_policy == FailurePolicy::Fail && self.enforcement == Enforcement::Deny
    }
}

impl Observation {
    /// The text shown: the catalogue's entry for the code with its `{placeholders}` filled from
    /// `details` and `path`, or the policy's own message where the catalogue has none.
    ///
    /// A placeholder without a value stays as it is written, so that a fault in the catalogue is seen.
    pub fn render(&self, catalogue: &BTreeMap<String, String>) -> String {
        match catalogue.get(&self.code) {
            Some(template) if !self.code.is_empty() => self.fill(template),
            _ if !self.message.is_empty() => self.message.clone(),
            _ if !self.code.is_empty() => self.code.clone(),
            _ => "refused without a message".to_owned(),
        }
    }

    fn fill(&self, template: &str) -> String {
        let mut text = String::with_capacity(template.len().saturating_mul(2));
        let mut rest = template;
        while let Some((before, tail)) = rest.split_once('{') {
            text.push_str(before);
            let Some((name, after)) = tail.split_once('}') else {
                text.push('{');
                rest = tail;
                continue;
            };
            match self.value(name) {
                Some(value) => text.push_str(&value),
                None => text.extend(["{", name, "}"]),
            }
            rest = after;
        }
        text.push_str(rest);
        text
    }

    fn value(&self, name: &str) -> Option<String> {
        match (name, self.details.get(name)) {
            (_, Some(serde_json::Value::String(value))) => Some(value.clone()),
            (_, Some(value)) => Some(value.to_string()),
            ("path", None) if !self.path.is_empty() => Some(self.path.clone()),
            ("message", None) if !self.message.is_empty() => Some(self.message.clone()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_wins_and_fills_placeholders() {
        let mut observation =
            Observation { code: "c".into(), message: "own".into(), ..Observation::default() };
        assert_eq!(observation.render(&BTreeMap::new()), "own");
        let catalogue = BTreeMap::from([(
            "c".to_owned(),
            "label `{label}` at {path} of {n}, {unknown} {open".to_owned(),
        )]);
        observation.path = "metadata.labels".into();
        observation.details.insert("label".into(), "{n}".into());
        observation.details.insert("n".into(), 3.into());
        assert_eq!(observation.render(&catalogue), "label `{n}` at metadata.labels of 3, {unknown} {open");
    }
}
