use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Finding, GroupVersionKind, Operation, StageTimes};

/// A policy that was asked about a request. Names are shared: every review names every policy it asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyUse {
    /// The binding's name.
    pub binding: Arc<str>,
    /// The policy's name.
    pub policy: Arc<str>,
    /// The version that answered: its generation and the first digits of its content's digest.
    pub version: Arc<str>,
    /// Microseconds its evaluation took.
    pub micros: u32,
    /// The stable code of its failure; `None` when it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What went wrong, where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_message: Option<String>,
}

/// What is kept of one decision. Never the object itself: it may hold secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The decision's id: a UUID of version 7, so ids sort by time.
    pub id: String,
    /// When it was decided: microseconds since 1970-01-01 UTC.
    pub time_micros: i64,
    /// `validate` or `mutate`.
    pub phase: String,
    /// The review's uid.
    pub uid: String,
    /// Who asked.
    pub username: String,
    /// Their groups.
    pub groups: Vec<String>,
    /// The tenant, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What was asked; `None` when the review could not be decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// The kind of the object.
    pub kind: GroupVersionKind,
    /// The subresource; empty where there is none.
    pub sub_resource: String,
    /// The namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// The object's name; may be empty.
    pub name: String,
    /// Whether nothing was to be stored.
    pub dry_run: bool,
    /// Whether the request was let through.
    pub allowed: bool,
    /// The stable code of a refusal; empty when allowed.
    pub code: String,
    /// The message of a refusal; empty when allowed.
    pub message: String,
    /// Whether the object was changed.
    pub patched: bool,
    /// The policies asked.
    pub policies: Vec<PolicyUse>,
    /// What they found.
    pub findings: Vec<Finding>,
    /// Time by stage.
    pub times: StageTimes,
}
