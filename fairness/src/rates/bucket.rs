//! One bucket, as the time at which it is full again.

use super::{Limit, Nanos};

/// The generic cell rate algorithm: the theoretical arrival time of the next request, had all come evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bucket(Nanos);

impl Bucket {
    /// One that is full.
    pub(super) const fn full() -> Self {
        Self(0)
    }

    /// One that is empty.
    pub(super) fn empty(now: Nanos, limit: Limit) -> Self {
        Self(now.saturating_add(limit.capacity()))
    }

    /// The same where the clock went back so far that it would take longer to fill than when it is empty: empty.
    pub(super) fn settled(self, now: Nanos, limit: Limit) -> Self {
        self.min(Self::empty(now, limit))
    }

    /// How long it takes to fill up.
    fn owed(self, now: Nanos, limit: Limit) -> u64 {
        self.settled(now, limit).0.saturating_sub(now)
    }

    /// Whether it is as good as new.
    pub(super) fn is_full(self, now: Nanos) -> bool {
        self.0 <= now
    }

    /// The bucket after requests of such a cost.
    ///
    /// # Errors
    /// How long until they would pass, where they do not now; `None` where they never do.
    pub(super) fn after(self, now: Nanos, limit: Limit, cost: u32) -> Result<Self, Option<Nanos>> {
        let Some(interval) = limit.interval().filter(|_| cost <= limit.burst) else { return Err(None) };
        let (owed, capacity) = (self.owed(now, limit), limit.capacity());
        let more = owed.saturating_add(interval.saturating_mul(u64::from(cost)));
        match more.checked_sub(capacity) {
            Some(late) if late > 0 => Err(Some(late).filter(|late| *late <= owed)),
            Some(_) | None => Ok(Self(now.saturating_add(more))),
        }
    }

    /// The same requests' worth under another limit: a higher burst is filled from then on, a lower one spills.
    pub(super) fn under(self, now: Nanos, old: Limit, new: Limit) -> Self {
        let Some((old_interval, new_interval)) = old.interval().zip(new.interval()) else {
            return Self::empty(now, new);
        };
        let held = u128::from(old.capacity().saturating_sub(self.owed(now, old)));
        let held = held.saturating_mul(u128::from(new_interval)).checked_div(u128::from(old_interval));
        let held = u64::try_from(held.unwrap_or_default()).unwrap_or(u64::MAX);
        Self(now.saturating_add(new.capacity().saturating_sub(held)))
    }

    /// How many requests would pass at once.
    pub(super) fn left(self, now: Nanos, limit: Limit) -> u32 {
        let held = limit.capacity().saturating_sub(self.owed(now, limit));
        let left = limit.interval().and_then(|interval| held.checked_div(interval)).unwrap_or_default();
        u32::try_from(left).unwrap_or(u32::MAX)
    }
}
