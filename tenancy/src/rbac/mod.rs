//! Who may do what, computed from Roles, ClusterRoles and their bindings as the API server's RBAC authorizer does.
//!
//! [`Rbac`] is all of them at one moment, and pure: it answers [`Rbac::allows`], [`Rbac::who_can`] and
//! [`Rbac::what_can`]. It comes from the cluster, or from a dump ([`read_dump`]). What other authorizers allow
//! (nodes, webhooks) is not known to it; the group `system:masters` is, which the API server asks nobody about.

mod dump;
mod evaluate;
mod grant;
mod identity;
mod objects;
mod question;
mod resources;

pub use crate::manifests::DumpFault;
pub use dump::{Dump, read as read_dump};
pub use grant::{Grant, Power, Source};
pub use identity::Identity;
pub use objects::{Binding, Rbac, RoleKind, RoleRef, Rule};
pub use question::{Question, QuestionFault};
