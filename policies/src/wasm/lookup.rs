use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use model::{Code, LookupKind, ObjectKey};

use super::{Call, fault, scope, selector};
use crate::EvaluationError;

/// One object, where the policy declared its kind.
pub(super) fn get(
    kind: LookupKind,
    namespace: String,
    name: String,
) -> Result<Option<Arc<str>>, EvaluationError> {
    scope::with_call(|call| {
        check_declared(call, &kind)?;
        let object = call.lookups.get(&ObjectKey { kind, namespace, name })?;
        check_size(call, object.as_slice())?;
        Ok(object)
    })
}

/// The objects of a kind, where the policy declared it; together they must fit the guest's memory.
pub(super) fn list(
    kind: &LookupKind,
    namespace: Option<&str>,
    labels: &str,
) -> Result<Vec<Arc<str>>, EvaluationError> {
    scope::with_call(|call| {
        check_declared(call, kind)?;
        let selector = selector::parse(labels).map_err(|message| {
            EvaluationError::new(
                Code::PolicyError,
                format!("the label selector `{}` {message}", fault::one_line(labels)),
            )
        })?;
        let objects = call.lookups.list(kind, namespace, &selector)?;
        check_size(call, &objects)?;
        Ok(objects)
    })
}

fn check_declared(call: &Call<'_>, kind: &LookupKind) -> Result<(), EvaluationError> {
    if call.declared.contains(kind) {
        return Ok(());
    }
    let message = format!(
        "the policy looks up `{} {}` without declaring it, add it to its `lookups`",
        fault::one_line(&kind.api_version()),
        fault::one_line(&kind.kind)
    );
    Err(EvaluationError::new(Code::LookupUnavailable, message))
}

fn check_size(call: &Call<'_>, objects: &[Arc<str>]) -> Result<(), EvaluationError> {
    let total = objects.iter().fold(0_usize, |total, object| total.saturating_add(object.len()));
    if total <= call.limits.memory_bytes {
        return Ok(());
    }
    let limit = call.limits.memory_bytes;
    let message =
        format!("the objects looked up have {total} bytes, more than the {limit} of the policy's memory");
    Err(EvaluationError::new(Code::PolicyMemory, message))
}

/// Writes a guest's log line.
pub(super) fn log(level: &str, message: &str) {
    let message = fault::one_line(message);
    match level {
        "error" | "critical" => {
            tracing::error!(target: "bailey::guest", guest_message = %message, "policy log")
        }
        "warn" | "warning" => tracing::warn!(target: "bailey::guest", guest_message = %message, "policy log"),
        "info" => tracing::info!(target: "bailey::guest", guest_message = %message, "policy log"),
        _ => tracing::debug!(target: "bailey::guest", guest_message = %message, "policy log"),
    }
}

/// Nanoseconds since 1970; 0 for a clock set before it.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
