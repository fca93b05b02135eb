//! The configuration that Bailey writes for tenants.
//!
//! **Guarantee.** What tenants name changes nothing for others. Whoever a tenant names as a user, a group, or a service
//! account that is no tenant's, is in its flow with requests about *its namespaces*, and nowhere else: all their other
//! requests have the flow that they have without. Service accounts of its namespaces are the tenant's whatever they ask
//! for. All this is one flow in its class's level, and its lists and watches one in the class's level for lists, however
//! many users, groups, service accounts and namespaces it has. Requests of users outside of their tenants' namespaces are
//! left to the server's own FlowSchemas, by user. Exceptions, each with a [`Warning`] or a bound:
//! - A *shared* tenant (below) has a second flow in either level, for what its service accounts ask outside of its
//!   namespace; it shares that flow with the others of its shard.
//! - A tenant whose subjects and namespaces take more than [`MAX_SUBJECT_BYTES`] is split, and has a flow for each part:
//!   [`Warning::Split`]. A group instead of its users helps.
//! - *Open* tenants (below) are told apart by namespace alone: whoever asks about its namespace waits in its flow, and
//!   what they ask elsewhere is left to the server's own FlowSchemas, by user. [`Warning::Open`] says how many.
//!
//! No namespace is two tenants', so no request of a user is in question between two. A tenant without a namespace needs
//! nothing.
//!
//! A server tries FlowSchemas one after the other, and each subject in them, so both are bounded. The first
//! [`Bounds::dedicated`] tenants, those of several namespaces first and then by name, have two FlowSchemas of their own.
//! The others of one namespace are *shared*: their shard has FlowSchemas with a rule for each of them, told apart by
//! namespace. The rest is *pooled*: all of a shard are one flow ([`Warning::Pooled`]). Who has no
//! room within [`Bounds::subjects`] is *open*: those without a place of their own and with the most subjects first. Groups
//! instead of users make room.
//!
//! With `d` dedicated tenants, `c` classes and `s` shards there are at most `2 d + 4 c s + 2 c + 1` FlowSchemas, and one
//! more for each further [`MAX_SUBJECT_BYTES`] of subjects or namespaces; with the defaults and four classes 2,265, for
//! any number of tenants.
//!
//! The plan depends on nothing but its inputs, whatever their order, and a tenant that comes or goes changes only its
//! own objects, its shard's, and those of the few tenants that give way to it or follow it.
//!
//! Cost: O(n log n) in the number of subjects.
//!
//! ```
//! use fairness::apf::plan::{Class, Inputs, Tenant, diff, plan};
//!
//! let shop = Tenant {
//!     name: "shop".into(),
//!     class: "gold".into(),
//!     groups: vec!["shop-staff".into()],
//!     namespaces: vec!["shop-web".into()],
//!     ..Tenant::default()
//! };
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
    /// The shard; 0 where there are none.
    pub shard: u32,
    /// How many subjects its FlowSchemas have for it, of [`Bounds::subjects`] in all.
    pub subjects: usize,
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
    /// By namespace, whoever asks.
    Open,
}
