//! Kubernetes in, values out, status back.
//!
//! Comes in: policies and bindings as custom resources or as files, their wasm modules, and the cluster
//! objects that policies look up. Goes out: [`model::Sources`], whole and at once, and
//! [`model::ObjectEvent`]s in order. Back go statuses and events. It compiles and evaluates nothing.
//!
//! - [`api`]: the custom resources, and [`api::decode`] for the check at their own admission.
//! - [`files`]: the same objects from a directory, read again when it changes.
//! - [`cluster`]: everything that is watched in a cluster.
//! - [`budgets`]: what counts toward budgets, and what the replicas hold of them.
//! - [`hostnames`]: which tenant has which host name.
//! - [`fairness`]: what tenants get of the API server, kept as their classes say.
//! - [`rates`]: what this replica may let pass of the rates of tenants.
//! - `controllers`: what tenants have in the cluster, kept as it should be.
//! - [`rbac`]: who may do what, from the cluster's roles and bindings or from a dump of them.
//! - [`self_service`]: what users and administrators do with tenants from a command line, with their own rights.
//! - [`StatusReport`]: how a policy or binding stands, for [`cluster::Cluster::report`].

pub mod api;
pub mod budgets;
pub mod cluster;
mod controllers;
mod digest;
pub mod fairness;
pub mod files;
pub mod hostnames;
mod manifests;
pub mod rates;
pub mod rbac;
pub mod self_service;
mod status;
mod tasks;

pub use api::crd_documents;
pub use status::{ReportKind, StatusReport};
