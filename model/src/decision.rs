use serde::{Deserialize, Serialize};

use crate::{Code, Failure, Finding, PolicyUse};

/// What the API server is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The request may go on.
    Allowed,
    /// The request is refused.
    Denied {
        /// The stable code.
        code: Code,
        /// The HTTP status of the answer the user sees, such as 403.
        status: u16,
        /// The message, for the person refused.
        message: String,
        /// Seconds after which the same request may pass; for 429 and 503.
        retry_after_seconds: Option<u32>,
    },
}

impl Verdict {
    /// Whether the request may go on.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed)
    }
}

/// Microseconds spent in each stage of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StageTimes {
    /// Reading and decoding the review.
    pub decode: u32,
    /// Waiting for an evaluation thread.
    pub queue: u32,
    /// Finding the bindings that match.
    pub matching: u32,
    /// Evaluating them.
    pub evaluate: u32,
    /// From the first byte read to the verdict.
    pub total: u32,
}

/// What was decided on one request, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The decision's own id, shown in refusals.
    pub id: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Warnings for the user.
    pub warnings: Vec<String>,
    /// Everything found.
    pub findings: Vec<Finding>,
    /// Everything that could not answer.
    pub failures: Vec<Failure>,
    /// The policies asked.
    pub policies: Vec<PolicyUse>,
    /// The JSON Patch of a mutating review; `None` when nothing changes.
    pub patch: Option<serde_json::Value>,
    /// Time by stage.
    pub times: StageTimes,
}
