use std::sync::Arc;

use model::{LabelSelector, LookupKind, ObjectKey};

use crate::EvaluationError;

/// Other cluster objects, as a wasm guest may look them up: served from watch caches, never by a call.
pub trait Lookups {
    /// One object's JSON text; `None` when there is no such object.
    ///
    /// # Errors
    /// [`model::Code::LookupUnavailable`] when the kind is not cached.
    fn get(&self, key: &ObjectKey) -> Result<Option<Arc<str>>, EvaluationError>;

    /// The JSON text of all objects of a kind, in a namespace or in all, with these labels.
    ///
    /// # Errors
    /// [`model::Code::LookupUnavailable`] when the kind is not cached.
    fn list(
        &self,
        kind: &LookupKind,
        namespace: Option<&str>,
        selector: &LabelSelector,
    ) -> Result<Vec<Arc<str>>, EvaluationError>;
}
