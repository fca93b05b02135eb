//! Kubernetes in, values out, status back.

pub mod api;
mod digest;
pub mod files;
mod tasks;

pub use api::crd_documents;
