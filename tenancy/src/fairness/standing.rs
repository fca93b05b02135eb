//! How the controller stands, for metrics.

use fairness::apf::plan::PlaceKind;

use super::proposal::Proposal;
use super::write::Outcome;

/// How what tenants get of the API server stands. Counts are since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Priority levels of Bailey's that there are.
    pub levels: usize,
    /// FlowSchemas of Bailey's that there are.
    pub schemas: usize,
    /// Changes that are due.
    pub pending: usize,
    /// Names of wanted objects that are somebody else's.
    pub conflicts: usize,
    /// FlowSchemas of Bailey's that have no effect.
    pub dangling: usize,
    /// What somebody should look at.
    pub warnings: usize,
    /// Tenants by how they are told apart: dedicated, shared, pooled, open.
    pub places: [usize; 4],
    /// Writes, by what came of them: created, updated, deleted, raced, failed.
    pub writes: [u64; 5],
    /// Of those that were made, the ones that put right what somebody else changed.
    pub repaired: u64,
}

impl Standing {
    /// The names of [`Standing::places`].
    pub const PLACES: [&str; 4] = ["dedicated", "shared", "pooled", "open"];
    /// The names of [`Standing::writes`].
    pub const WRITES: [&str; 5] = ["created", "updated", "deleted", "raced", "failed"];

    /// Counts a write.
    pub(super) fn count(&mut self, outcome: &Outcome) {
        let [created, updated, deleted, raced, failed] = &mut self.writes;
        let count = match outcome {
            Outcome::Created => created,
            Outcome::Updated => updated,
            Outcome::Deleted => deleted,
            Outcome::Raced => raced,
            Outcome::Failed(_) => failed,
        };
        *count = count.saturating_add(1);
    }

    /// Notes what is wanted.
    pub(super) fn note(&mut self, proposal: &Proposal) {
        self.conflicts = proposal.diff.conflicts.len();
        self.warnings = proposal.plan.warnings.len().saturating_add(proposal.narrow.len());
        self.places = [PlaceKind::Dedicated, PlaceKind::Shared, PlaceKind::Pooled, PlaceKind::Open]
            .map(|kind| proposal.plan.places.values().filter(|place| place.kind == kind).count());
    }
}
