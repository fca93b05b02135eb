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
//! What a server compares a request with is every subject in front of the FlowSchema that matches; a shared tenant's are
//! in four. [`Warning::LongWalk`] says where they are many: groups instead of users make them few.
//!
//! The plan depends on nothing but its inputs, whatever their order, and a tenant that comes or goes changes only its
//! own objects, its shard's, and those of at most one tenant that takes or leaves a dedicated place.
//!
//! Cost: O(n log n) in the number of subjects.
//!
//! ```
//! use fairness::apf::plan::{Class, Inputs, Tenant, diff, plan};
//!
//! let shop = Tenant { name: "shop".into(), class: "gold".into(), groups: vec!["shop-staff".into()], ..Tenant::default() };
//! let inputs = Inputs { tenants: vec![shop], ..Inputs::new(vec![Class::new("gold", 60)]) };
//! let wanted = plan(&inputs)?;
//! // Two levels, and two FlowSchemas.
//! assert_eq!(diff(&wanted, &[], &[], 100).changes.len(), 4);
//! # Ok::<(), fairness::apf::plan::PlanFault>(())
//! ```

mod diff;
mod inputs;
mod members;
mod names;
mod report;
mod schemas;
#[cfg(test)]
mod tests;
mod warning;

use std::collections::BTreeMap;

use super::objects::{FlowSchema, PriorityLevelConfiguration};

pub use diff::{Change, Diff, Object, diff};
pub use inputs::{Account, Bounds, Class, Inputs, PlanFault, Tenant};
pub use members::MAX_SUBJECT_BYTES;
pub use report::{LevelSeats, SeatsReport};
pub use schemas::plan;
pub use warning::Warning;

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
