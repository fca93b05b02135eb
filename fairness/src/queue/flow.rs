//! One flow: its tag, and how costs change it.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use super::Id;

/// A moment or a length of time, in millionths of a second. The clock must not go back.
pub type Micros = u64;

/// A moment of virtual time: seat-microseconds by weight, in parts of 2^20.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Tag(u128);

impl Tag {
    fn plus(self, by: u128) -> Self {
        Self(self.0.saturating_add(by))
    }

    pub(super) fn minus(self, by: u128) -> Self {
        Self(self.0.saturating_sub(by))
    }

    /// How much later it is.
    fn since(self, other: Self) -> u128 {
        self.0.saturating_sub(other.0)
    }
}

/// How much work a request is: seats x time. No work is none: it counts as one microsecond.
pub(super) fn work(time: Micros, width: u32) -> u64 {
    time.max(1).saturating_mul(u64::from(width))
}

/// What was charged for a running request.
#[derive(Debug)]
pub(super) struct Charge {
    /// By the weight at that time.
    weight: NonZeroU32,
    charged: u128,
    /// The flow's when it began.
    epoch: u64,
    lifted: u128,
}

/// Work by weight, rounded down.
pub(super) fn by_weight(work: u128, weights: u64) -> u128 {
    work.saturating_mul(1 << 20).checked_div(u128::from(weights)).unwrap_or_default()
}

/// The cost by weight, rounded up.
fn cost(time: Micros, width: u32, weight: NonZeroU32) -> u128 {
    (u128::from(work(time, width)) << 20).div_ceil(u128::from(weight.get()))
}

/// A flow.
#[derive(Debug)]
pub(super) struct Flow<F> {
    pub(super) key: F,
    pub(super) weight: NonZeroU32,
    /// When its next request starts.
    pub(super) tag: Tag,
    /// Its waiting requests, in order.
    pub(super) waiting: VecDeque<Id>,
    /// How many run.
    pub(super) running: usize,
    /// The seats that those take.
    pub(super) seats: u32,
    /// The work of the waiting ones, as guessed.
    pub(super) work: u64,
    /// The longest guess since it last began to wait.
    longest: Micros,
    /// Virtual time when it last began to wait, and what was charged since: nothing that is given back leads below.
    floor: Tag,
    /// How often it began to wait.
    epoch: u64,
    /// By how much in all its tag was raised when it began to wait: time it left unused. What was charged too little
    /// for before is paid with it.
    lifted: u128,
}

impl<F> Flow<F> {
    pub(super) fn new(key: F, weight: NonZeroU32, virtual_time: Tag) -> Self {
        Self {
            key,
            weight,
            tag: virtual_time,
            waiting: VecDeque::new(),
            running: 0,
            seats: 0,
            work: 0,
            longest: 0,
            floor: virtual_time,
            epoch: 0,
            lifted: 0,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running == 0
    }

    /// Adds a request.
    pub(super) fn push(&mut self, id: Id, estimate: Micros, width: u32, virtual_time: Tag) {
        if self.waiting.is_empty() {
            self.lifted = self.lifted.saturating_add(virtual_time.since(self.tag));
            self.tag = self.tag.max(virtual_time);
            self.floor = virtual_time;
            self.epoch = self.epoch.saturating_add(1);
            self.longest = 0;
        }
        self.longest = self.longest.max(estimate);
        self.work = self.work.saturating_add(work(estimate, width));
        self.waiting.push_back(id);
    }

    /// Takes a request out that does not run.
    pub(super) fn take_out(&mut self, id: Id, estimate: Micros, width: u32) {
        // They are in the order of their numbers.
        if let Ok(at) = self.waiting.binary_search(&id) {
            self.waiting.remove(at);
            self.work = self.work.saturating_sub(work(estimate, width));
        }
    }

    /// How long its waiting requests keep another one from beginning at the least: as if it had all seats, of which
    /// all but one can still be taken when the other begins.
    pub(super) fn ahead(&self, seats: NonZeroU32) -> Micros {
        let under_way = work(self.longest, seats.get().saturating_sub(1));
        self.work.saturating_sub(under_way).checked_div(u64::from(seats.get())).unwrap_or_default()
    }

    /// Begins a request that was taken out, and charges what it is guessed to cost.
    pub(super) fn dispatch(&mut self, estimate: Micros, width: u32) -> Charge {
        self.running = self.running.saturating_add(1);
        self.seats = self.seats.saturating_add(width);
        let charged = cost(estimate, width, self.weight);
        self.tag = self.tag.plus(charged);
        self.floor = self.floor.plus(charged);
        Charge { weight: self.weight, charged, epoch: self.epoch, lifted: self.lifted }
    }

    /// Ends a request, and charges what it did cost.
    pub(super) fn finish(&mut self, charge: &Charge, measured: Micros, width: u32) {
        self.running = self.running.saturating_sub(1);
        self.seats = self.seats.saturating_sub(width);
        let cost = cost(measured, width, charge.weight);
        let (more, less) = (cost.saturating_sub(charge.charged), charge.charged.saturating_sub(cost));
        if charge.epoch == self.epoch {
            self.floor = self.floor.plus(more).minus(less);
        }
        // Had it been charged at once, its tag would have been raised by less since.
        let paid = self.lifted.saturating_sub(charge.lifted).min(more);
        self.lifted = self.lifted.saturating_sub(paid);
        self.tag = self.tag.plus(more.saturating_sub(paid)).minus(less).max(self.floor);
    }
}
