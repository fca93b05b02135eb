//! Limits with the clock that goes with them.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::{Nanos, Rates};

/// The limits of all tenants, with the one clock that all who look at them read.
#[derive(Clone)]
pub struct Timed {
    rates: Arc<Rates>,
    clock: Arc<dyn Fn() -> Nanos + Send + Sync>,
}

impl Timed {
    /// These limits, on a clock that never goes back and does not stand still while the machine sleeps.
    pub fn new(rates: Rates, clock: impl Fn() -> Nanos + Send + Sync + 'static) -> Self {
        Self { rates: Arc::new(rates), clock: Arc::new(clock) }
    }

    /// The time on its clock.
    pub fn now(&self) -> Nanos {
        (self.clock)()
    }
}

impl Deref for Timed {
    type Target = Rates;

    fn deref(&self) -> &Rates {
        &self.rates
    }
}

impl fmt::Debug for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timed").field("now", &self.now()).finish_non_exhaustive()
    }
}
