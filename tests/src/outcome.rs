//! What a user is told when a request is refused.

use kube::core::Status;

/// A refusal as the client sees it.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The HTTP status.
    pub code: u16,
    /// The whole message, with the API server's own first words.
    pub message: String,
    /// Bailey's code, such as `policy_denied`.
    pub reason: String,
    /// The decision's id, which the audit record has too.
    pub decision: String,
}

/// The refusal in a client's result.
///
/// # Panics
/// When the request was allowed, failed for another reason than an answer, or the answer is not Bailey's.
pub fn refusal<T: std::fmt::Debug>(result: kube::Result<T>) -> Refusal {
    let status = match result {
        Err(kube::Error::Api(status)) => status,
        Err(other) => panic!("the API server did not answer: {other}"),
        Ok(value) => panic!("the request was allowed: {value:?}"),
    };
    from_status(&status).unwrap_or_else(|| panic!("the refusal is not Bailey's: {status:?}"))
}

fn from_status(status: &Status) -> Option<Refusal> {
    let cause = status.details.as_ref()?.causes.first()?;
    let decision = cause.message.strip_prefix("decision ")?;
    Some(Refusal {
        code: status.code,
        message: status.message.clone(),
        reason: cause.reason.clone(),
        decision: decision.to_owned(),
    })
}
