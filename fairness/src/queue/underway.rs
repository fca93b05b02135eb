//! How much of what runs is still to be done, as far as was guessed.

use std::collections::BTreeMap;

use super::Id;
use super::flow::{Micros, work};

/// The running requests that are guessed to run on.
#[derive(Debug, Default)]
pub(super) struct Underway {
    /// The width by the guessed end.
    ends: BTreeMap<(Micros, Id), u32>,
    /// Sum of width x end, and of widths.
    ends_sum: u128,
    widths: u64,
    last: Option<(Micros, Id)>,
}

impl Underway {
    /// Takes in that a request begins, and when it should end.
    pub(super) fn begin(&mut self, end: Micros, id: Id, width: u32) {
        self.ends.insert((end, id), width);
        self.ends_sum = self.ends_sum.saturating_add(product(end, width));
        self.widths = self.widths.saturating_add(u64::from(width));
        self.last = Some((end, id));
    }

    /// Takes in that a request has ended that should have ended then.
    pub(super) fn end(&mut self, guessed: Micros, id: Id) {
        if let Some(width) = self.ends.remove(&(guessed, id)) {
            self.ends_sum = self.ends_sum.saturating_sub(product(guessed, width));
            self.widths = self.widths.saturating_sub(u64::from(width));
        }
    }

    /// The work that is left of all but the request that began last, as far as was guessed.
    pub(super) fn left(&mut self, now: Micros) -> u128 {
        while let Some((&(end, id), _)) = self.ends.first_key_value().filter(|((end, _), _)| *end <= now) {
            self.end(end, id);
        }
        let done = u128::from(now).saturating_mul(u128::from(self.widths));
        let last = self.last.and_then(|last| Some((last.0, *self.ends.get(&last)?)));
        let of_last = last.map_or(0, |(end, width)| work(end.saturating_sub(now), width));
        self.ends_sum.saturating_sub(done).saturating_sub(u128::from(of_last))
    }
}

fn product(time: Micros, width: u32) -> u128 {
    u128::from(time).saturating_mul(u128::from(width))
}
