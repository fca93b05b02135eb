//! Requests, and what becomes of them.

use std::num::NonZeroU32;

use super::Micros;

/// A request that waits or runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u64);

impl Id {
    pub(super) const fn new(number: u64) -> Self {
        Self(number)
    }
}

/// How much runs and waits at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The seats: how much runs at a time.
    pub seats: NonZeroU32,
    /// The most requests of one flow that wait; with 0 each runs at once or is refused.
    pub per_flow: usize,
    /// The most requests of all flows that wait.
    pub total: usize,
}

/// A request that wants to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask<F> {
    /// Whose it is.
    pub flow: F,
    /// The flow's weight from now on.
    pub weight: NonZeroU32,
    /// How many seats it takes; more than there are count as all of them.
    pub width: NonZeroU32,
    /// How long it is guessed to run.
    pub estimate: Micros,
    /// When it must have ended.
    pub deadline: Micros,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It waits: [`Queue::next`](super::Queue::next) says when it may run.
    Queued {
        /// The request.
        id: Id,
        /// The request of the longest queue that had to give way; it ends here.
        pushed_out: Option<Id>,
    },
    /// It ends here.
    Refused {
        /// Why.
        reason: Refusal,
        /// When it is likely to be let in.
        retry_after: Micros,
    },
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Too many of its flow wait.
    FlowFull,
    /// Too many wait, and of no other flow more for its weight.
    Full,
    /// It could not end in time, even if its flow had all seats.
    TooLate,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The request runs from now on, until [`Queue::finish`](super::Queue::finish).
    Run(Id),
    /// The request cannot end in time any more; it ends here.
    Late(Id),
}

/// How one flow stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How many of its requests wait.
    pub waiting: usize,
    /// How many run.
    pub running: usize,
    /// The seats that those take.
    pub seats: u32,
    /// How many seats are its part by weight, of all flows that have requests now; at least one.
    pub part: u32,
}
