//! The custom resources of the group `bailey.dev`, and how they become what the other crates know.
//!
//! The types here are the wire format, the same in the cluster and in files. [`decode`] and the readers of
//! this crate turn them into a [`PolicyDraft`] or a [`model::PolicyBinding`], or say in a
//! [`model::LoadFault`] which field is wrong.

pub mod binding;
mod bounds;
pub mod budget;
mod convert;
mod crds;
mod decode;
mod draft;
pub mod exception;
pub mod fairness_class;
pub mod grants;
pub mod hostname;
pub mod isolation;
pub mod ledger;
pub mod policy;
pub mod rate_ledger;
pub mod request;
pub mod rules;
mod schema;
pub mod status;
pub mod tenant;

pub use crds::{crd_documents, crds};
pub use decode::{ConfigObject, decode};
pub use draft::{DraftSource, ModuleLocation, ModuleReference, PolicyDraft};
pub use fairness_class::check_fairness_class;
pub use request::check_quota_request;
pub use tenant::check_tenant;

pub(crate) use decode::{ConfigKind, Place, decode_value};
pub(crate) use draft::MAX_MODULE_BYTES;

/// The API group.
pub const GROUP: &str = "bailey.dev";
/// The version of the API group.
pub const VERSION: &str = "v1alpha1";

#[cfg(test)]
mod tests;
