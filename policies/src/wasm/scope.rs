use std::sync::Arc;

use model::{Code, LabelSelector, LookupKind, ObjectKey};
use scoped_tls_hkt::scoped_thread_local;

use super::Call;
use crate::{EvaluationError, Lookups};

// A store's data outlives every borrow, a call's lookups do not. They wait here for the guest's host
// calls, which run on the thread of the call.
scoped_thread_local!(static CALL: for<'a> &'a Call<'a>);

/// Runs a guest; its host calls see this call.
pub(super) fn within<R>(call: &Call<'_>, run: impl FnOnce() -> R) -> R {
    CALL.set(call, run)
}

/// Serves a host call from the call that the running guest answers.
pub(super) fn with_call<R>(
    serve: impl FnOnce(&Call<'_>) -> Result<R, EvaluationError>,
) -> Result<R, EvaluationError> {
    if CALL.is_set() { CALL.with(serve) } else { Err(unavailable()) }
}

/// No lookups: for guests that are only started or asked about settings.
pub(super) struct NoLookups;

impl Lookups for NoLookups {
    fn get(&self, _key: &ObjectKey) -> Result<Option<Arc<str>>, EvaluationError> {
        Err(unavailable())
    }

    fn list(
        &self,
        _kind: &LookupKind,
        _namespace: Option<&str>,
        _selector: &LabelSelector,
    ) -> Result<Vec<Arc<str>>, EvaluationError> {
        Err(unavailable())
    }
}

fn unavailable() -> EvaluationError {
    EvaluationError::new(Code::LookupUnavailable, "objects can be looked up only while a request is reviewed")
}
