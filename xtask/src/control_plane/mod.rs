//! A real Kubernetes control plane on loopback: etcd, kube-apiserver and kube-controller-manager.
//!
//! [`build::binary`] makes one Go binary that is all of them (and kubectl), once per machine.
//! [`ControlPlane::start`] starts it in a folder of its own with free ports, its own certificates and
//! test users; it is ready, or an error that shows the failing component's log, within seconds. With
//! [`Lifetime::Owner`] everything stops and the folder goes away when the owning process ends, also by
//! a panic or a kill; with [`Lifetime::Detached`] it stays until [`stop`](crate::process::stop).
//! [`Access`] is how a running one is used.

mod access;
pub mod build;
mod certificates;
mod configuration;
mod start;
mod users;

pub use access::Access;
pub use certificates::{Authority, Issued};
pub use configuration::NODE_CLIENT;
pub use start::{ControlPlane, Lifetime, prepare_standalone};
pub use users::{ADMIN, ALICE, BOB, CAROL, User};
