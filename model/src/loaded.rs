use std::fmt;

use crate::{Code, Policy, PolicyBinding};

/// A place in a source text; lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The module's name, such as `policy.rego`.
    pub module: String,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.module, self.line, self.column)
    }
}

/// Why a policy or binding could not be read or compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadFault {
    /// The stable code.
    pub code: Code,
    /// What is wrong, for the author.
    pub message: String,
    /// Where it is wrong.
    pub position: Option<Position>,
}

impl fmt::Display for LoadFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.position {
            Some(position) => write!(formatter, "{position}: {}", self.message),
            None => formatter.write_str(&self.message),
        }
    }
}

impl std::error::Error for LoadFault {}

impl LoadFault {
    /// A fault without a place.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), position: None }
    }
}

/// An object as it was read: by name, good or not, so that a bad one is known and not merely absent.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded<T> {
    /// The object's name.
    pub name: String,
    /// The object's generation; 0 for files.
    pub generation: i64,
    /// The object, or why it could not be read.
    pub value: Result<T, LoadFault>,
}

/// All policies and bindings at one moment, from the cluster or from files.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sources {
    /// The policies, sorted by name.
    pub policies: Vec<Loaded<Policy>>,
    /// The bindings, sorted by name.
    pub bindings: Vec<Loaded<PolicyBinding>>,
}
