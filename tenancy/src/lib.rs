//! Kubernetes in, values out, status back.

pub mod api;
mod digest;

pub use api::crd_documents;
