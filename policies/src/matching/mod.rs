//! Which bindings concern a request.
//!
//! Semantics follow Kubernetes webhook matching, so that a rule means the same everywhere:
//! - a namespaced object is tested by its namespace; other cluster-scoped objects pass `namespaces`,
//!   `excludedNamespaces` and `namespaceSelector` untested, as they pass a webhook's namespaceSelector;
//!   a Namespace is tested by its own name and labels;
//! - a selector matches when the object or the old object has the labels, so that taking a label off
//!   does not take an object out of a policy's reach while it still has it;
//! - `*` as group never means Bailey's own: no policy can lock its administrator out of mending it.
//!
//! Cost: one hash look-up per request for what can be decided from kind, operation and namespace (see
//! [`Index`]), then one test per binding that is left.

mod index;
mod rules;

pub(crate) use index::{Index, RouteKey, Routes};
pub(crate) use rules::{Matcher, RequestLabels};
