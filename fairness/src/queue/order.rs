//! The flows that wait: by who is next, and by whose queue is longest.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use super::Id;
use super::flow::{Flow, Tag};

/// Flows with waiting requests. A flow is taken out before it changes, and put back after.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// By tag, and of equal ones by whose first request came first.
    next: BTreeSet<(Tag, Id, usize)>,
    /// By the length of their queue by weight.
    lengths: BTreeSet<(u64, usize)>,
    waiting: usize,
    weights: u64,
}

/// The length of a queue by weight, in parts of 2^32, rounded down.
pub(super) fn length(waiting: usize, weight: NonZeroU32) -> u64 {
    let waiting = u64::try_from(waiting).unwrap_or(u64::MAX).min(u64::from(u32::MAX));
    (waiting << 32).checked_div(u64::from(weight.get())).unwrap_or_default()
}

impl Order {
    /// How many requests wait.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// The weights of all flows that wait.
    pub(super) const fn weights(&self) -> u64 {
        self.weights
    }

    /// Who is next: the tag, the request, the flow.
    pub(super) fn first(&self) -> Option<(Tag, Id, usize)> {
        self.next.first().copied()
    }

    /// The longest queue by weight, and whose it is.
    pub(super) fn longest(&self) -> Option<(u64, usize)> {
        self.lengths.last().copied()
    }

    /// Puts a flow in, if it waits.
    pub(super) fn insert<F>(&mut self, slot: usize, flow: &Flow<F>) {
        if let Some(first) = flow.waiting.front() {
            self.next.insert((flow.tag, *first, slot));
            self.lengths.insert((length(flow.waiting.len(), flow.weight), slot));
            self.waiting = self.waiting.saturating_add(flow.waiting.len());
            self.weights = self.weights.saturating_add(u64::from(flow.weight.get()));
        }
    }

    /// Takes a flow out, if it waits.
    pub(super) fn remove<F>(&mut self, slot: usize, flow: &Flow<F>) {
        if let Some(first) = flow.waiting.front() {
            self.next.remove(&(flow.tag, *first, slot));
            self.lengths.remove(&(length(flow.waiting.len(), flow.weight), slot));
            self.waiting = self.waiting.saturating_sub(flow.waiting.len());
            self.weights = self.weights.saturating_sub(u64::from(flow.weight.get()));
        }
    }
}
