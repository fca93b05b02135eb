//! The harness of the whole-system tests: a real control plane with the real `bailey` process as its webhook.
//!
//! A test file shares one [`World`] ([`World::shared`]); its tests are apart by [`Namespace`], and each
//! acts as an ordinary user. A world that a test wants to break is its own ([`World::start`]). Waiting is
//! always for a condition ([`until`]). Everything stops with the test process, however it ends.

mod apply;
pub mod command;
pub mod gate;
pub mod gateway;
pub mod issuer;
mod kinds;
mod metrics;
mod namespace;
pub mod node;
mod outcome;
mod passage;
mod policies;
pub mod provider;
pub mod race;
mod replicas;
mod standalone;
mod tenant;
mod wait;
mod world;

pub use apply::{Objects, documents};
pub use kinds::{is_forbidden, kinds, let_in, may, may_with};
pub use metrics::metric;
pub use namespace::Namespace;
pub use outcome::{Refusal, refusal};
pub use passage::Passage;
pub use policies::{conditions, required_label};
pub use replicas::Replicas;
pub use standalone::{Standalone, https_client};
pub use tenant::{Tenant, create_namespace, give_namespace, namespaces, until_may_create};
pub use wait::{SOON, until, until_some};
pub use world::{Bailey, World};
pub use xtask::control_plane::{ADMIN, ALICE, BOB, CAROL, User};
