use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How a set-based requirement compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelectorOperator {
    /// The label is there and its value is one of the values.
    In,
    /// The label is absent, or its value is none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// One set-based requirement on one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// How it compares.
    pub operator: SelectorOperator,
    /// The values of `In` and `NotIn`; empty for the others.
    pub values: BTreeSet<String>,
}

/// A label selector as Kubernetes defines it: all requirements must hold; an empty one selects all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LabelSelector {
    /// Labels that must have exactly this value.
    pub match_labels: BTreeMap<String, String>,
    /// Set-based requirements.
    pub match_expressions: Vec<Requirement>,
}

/// Why a selector is not valid.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SelectorError {
    /// A requirement of `In` or `NotIn` names no value.
    #[error("`{key}`: the operator needs at least one value")]
    ValuesMissing {
        /// The label's key.
        key: String,
    },
    /// A requirement of `Exists` or `DoesNotExist` names values.
    #[error("`{key}`: the operator takes no values")]
    ValuesNotAllowed {
        /// The label's key.
        key: String,
    },
    /// The key is empty.
    #[error("a requirement has an empty key")]
    KeyMissing,
}

impl LabelSelector {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// See [`SelectorError`].
    pub fn validate(&self) -> Result<(), SelectorError> {
        for requirement in &self.match_expressions {
            let key = requirement.key.clone();
            let set_based = matches!(requirement.operator, SelectorOperator::In | SelectorOperator::NotIn);
            match (key.is_empty(), set_based, requirement.values.is_empty()) {
                (true, _, _) => return Err(SelectorError::KeyMissing),
                (false, true, true) => return Err(SelectorError::ValuesMissing { key }),
                (false, false, false) => return Err(SelectorError::ValuesNotAllowed { key }),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the selector has no requirement, and so selects everything.
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// Whether these labels are selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }
}

impl Requirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let found = labels.get(&self.key);
        match self.operator {
            SelectorOperator::In => found.is_some_and(|value| self.values.contains(value)),
            SelectorOperator::NotIn => found.is_none_or(|value| !self.values.contains(value)),
            SelectorOperator::Exists => found.is_some(),
            SelectorOperator::DoesNotExist => found.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(key: &str, operator: SelectorOperator, values: &[&str]) -> LabelSelector {
        LabelSelector {
            match_expressions: vec![Requirement {
                key: key.into(),
                operator,
                values: values.iter().map(|value| (*value).into()).collect(),
            }],
            ..LabelSelector::default()
        }
    }

    #[test]
    fn set_based_requirements_follow_kubernetes() {
        use SelectorOperator::*;
        let labels = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
        let cases = [
            (requirement("tier", In, &["gold", "silver"]), true),
            (requirement("tier", In, &["silver"]), false),
            (requirement("absent", In, &["x"]), false),
            (requirement("tier", NotIn, &["gold"]), false),
            (requirement("absent", NotIn, &["gold"]), true),
            (requirement("tier", Exists, &[]), true),
            (requirement("absent", Exists, &[]), false),
            (requirement("tier", DoesNotExist, &[]), false),
            (requirement("absent", DoesNotExist, &[]), true),
            (LabelSelector::default(), true),
        ];
        for (selector, expected) in cases {
            assert_eq!(selector.matches(&labels), expected, "{selector:?}");
        }
    }

    #[test]
    fn bad_selectors_are_errors_not_mismatches() {
        use SelectorOperator::*;
        for selector in
            [requirement("", Exists, &[]), requirement("a", In, &[]), requirement("a", Exists, &["x"])]
        {
            assert!(selector.validate().is_err(), "{selector:?}");
        }
    }
}
