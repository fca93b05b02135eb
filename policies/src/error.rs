use model::Code;
use thiserror::Error;

/// Why an evaluation gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct EvaluationError {
    /// The stable code.
    pub code: Code,
    /// What went wrong, for a person: lower-case start, one line, no final stop.
    pub message: String,
}

impl EvaluationError {
    /// An error of this code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
