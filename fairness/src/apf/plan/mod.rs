//! The configuration that Bailey writes for tenants.
//!
//! **Guarantee.** However many users, groups, service accounts and namespaces a tenant has, all its requests are one
//! flow in its class's level, and its lists and watches one in the class's level for lists. Exceptions, each with a
//! [`Warning`] or a bound:
//! - A *shared* tenant (below) has a second flow in either level, for requests outside of its namespace; it shares
//!   that flow with the others of its shard.
//! - A tenant whose subjects take more than [`MAX_SUBJECT_BYTES`] is split, and has a flow for each part:
//!   [`Warning::Split`]. A group instead of its users helps.
//! - Somebody who is a subject of several tenants acts for one of them: the first by name, of dedicated tenants before
//!   shared ones before pooled ones; a shared tenant's namespace tells it apart from other shared ones.
//!   [`Warning::SharedSubject`] says so. Nobody gains: the flow that pays is an existing tenant's.
//!
//! A server tries FlowSchemas one after the other, so their number is bounded. The first [`Bounds::dedicated`] tenants,
//! those of several namespaces first and then by name, have two of their own. The others of one namespace are *shared*:
//! their shard has FlowSchemas with a rule for each of them, told apart by namespace. The rest is *pooled*: all of a
//! shard are one flow ([`Warning::Pooled`]). With `d` dedicated tenants, `c` classes and `s` shards there are at most
//! `2 d + 4 c s + 1` FlowSchemas, and one more for each further [`MAX_SUBJECT_BYTES`] of subjects; with the defaults
//! and four classes 2,257, for any number of tenants.
//!
//! The plan depends on nothing but its inputs, whatever their order, and a tenant that comes or goes changes only its
//! own objects, its shard's, and those of at most one tenant that takes or leaves a dedicated place.
//!
//! Cost: O(n log n) in the number of subjects.

mod diff;
mod inputs;
mod names;
mod report;
mod schemas;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::objects::{FlowSchema, PriorityLevelConfiguration};

pub use diff::{Change, Diff, Object, diff};
pub use inputs::{Account, Bounds, Class, Inputs, PlanFault, Tenant};
pub use report::{LevelSeats, SeatsReport};
pub use schemas::{MAX_SUBJECT_BYTES, plan};

/// What Bailey wants there to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The priority levels, by name.
    pub levels: Vec<PriorityLevelConfiguration>,
    /// The FlowSchemas, by name.
    pub schemas: Vec<FlowSchema>,
    /// Where each tenant's requests go, by tenant.
    pub places: BTreeMap<String, Place>,
    /// What somebody should look at.
    pub warnings: Vec<Warning>,
}

/// Where a tenant's requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// How it is told from others.
    pub kind: PlaceKind,
    /// The class.
    pub class: String,
    /// The shard; 0 for a dedicated one.
    pub shard: u32,
}

/// How a tenant is told from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlaceKind {
    /// By FlowSchemas of its own.
    Dedicated,
    /// By its one namespace, in FlowSchemas with others.
    Shared,
    /// Not at all from those of its shard.
    Pooled,
}

/// What somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A tenant has no subject: its requests are not told from anybody's.
    NoSubject {
        /// The tenant.
        tenant: String,
    },
    /// A tenant names a class that is not there, and is in the default one.
    UnknownClass {
        /// The tenant.
        tenant: String,
        /// The class.
        class: String,
    },
    /// A tenant names a subject that stands for the cluster's own or for everybody; it is left out.
    ReservedSubject {
        /// The tenant.
        tenant: String,
        /// The subject's name.
        subject: String,
    },
    /// A subject of several tenants acts for one of them.
    SharedSubject {
        /// The subject's name.
        subject: String,
        /// The tenants, the one that pays first.
        tenants: Vec<String>,
    },
    /// A tenant has more subjects than one FlowSchema holds, so it has several flows.
    Split {
        /// The tenant.
        tenant: String,
        /// How many parts.
        parts: usize,
    },
    /// A tenant is one flow with others, since there are too many of several namespaces.
    Pooled {
        /// The tenant.
        tenant: String,
    },
    /// Nobody is named as Bailey itself: its requests wait among the tenants'.
    NoOwnSubject,
    /// One flow of widest requests can hold every seat of a level (kubernetes#115409).
    Narrow {
        /// The level.
        level: String,
        /// Its nominal seats.
        nominal: u32,
        /// The hand times the seats of the widest list.
        held: u32,
    },
    /// The tenants' levels leave another one less than half of what it had.
    Starved {
        /// The level.
        level: String,
        /// Its nominal seats without the tenants' levels.
        before: u32,
        /// With them.
        after: u32,
    },
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSubject { tenant } => {
                write!(
                    f,
                    "tenant `{tenant}` has no user, group or service account: its requests are not told apart"
                )
            }
            Self::UnknownClass { tenant, class } => {
                write!(
                    f,
                    "tenant `{tenant}` names class `{class}`, which is not there: it is in the default one"
                )
            }
            Self::ReservedSubject { tenant, subject } => {
                write!(f, "tenant `{tenant}` names `{subject}`, which is not a tenant's: it is left out")
            }
            Self::SharedSubject { subject, tenants } => {
                write!(f, "`{subject}` is in the tenants {}: the first one pays", tenants.join(", "))
            }
            Self::Split { tenant, parts } => {
                write!(
                    f,
                    "tenant `{tenant}` has so many subjects that it is {parts} flows: name a group instead"
                )
            }
            Self::Pooled { tenant } => {
                write!(
                    f,
                    "tenant `{tenant}` is one flow with others: there are too many tenants of several namespaces"
                )
            }
            Self::NoOwnSubject => {
                f.write_str("nobody is named as Bailey: its requests wait among the tenants'")
            }
            Self::Narrow { level, nominal, held } => write!(
                f,
                "wide lists of one flow can hold {held} seats, all {nominal} of level `{level}`: give it more shares"
            ),
            Self::Starved { level, before, after } => {
                write!(f, "level `{level}` has {after} seats instead of {before}: give tenants fewer shares")
            }
        }
    }
}
