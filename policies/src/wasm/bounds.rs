use std::time::{Duration, Instant};

use model::Code;
use wasmtime::{Engine, ResourceLimiter, Store, UpdateDeadline};

use crate::{EvaluationError, Limits};

/// Elements of all tables of a guest together; large guests (JavaScript engines) have about 20,000.
pub(super) const TABLE_ELEMENTS: usize = 100_000;

/// Core instances of one guest: a component has one per core module, also for glue.
pub(super) const INSTANCES: usize = 16;

/// Tables and memories of one guest.
pub(super) const TABLES: usize = 16;
pub(super) const MEMORIES: usize = 4;

/// Room in an answer's length for the lists and records around its strings.
const ENVELOPE: usize = 4 << 10;

/// What a guest's store holds: its bounds, and what is to be known if it fails.
pub(super) struct Bounds {
    memory_limit: usize,
    memory: usize,
    tables: usize,
    /// Whether the guest was refused memory or table space: why it probably failed afterwards.
    pub(super) refused: bool,
    /// The first host call that could not be served: why the guest probably failed afterwards.
    pub(super) host_fault: Option<EvaluationError>,
    /// What the guest wrote last as an error: often why it panicked.
    pub(super) last_words: Option<String>,
    host_calls: u32,
    host_call_limit: u32,
    /// The longest answer, in bytes.
    pub(super) output_limit: usize,
    pub(super) deadline: Instant,
    pub(super) budget: Duration,
}

/// A store's data: the bounds and what the calling convention adds.
pub(super) trait Guest: 'static {
    fn bounds(&mut self) -> &mut Bounds;
}

impl Bounds {
    pub(super) fn new(limits: &Limits, budget: Duration) -> Self {
        let budget = budget.min(limits.timeout);
        let now = Instant::now();
        Self {
            memory_limit: limits.memory_bytes,
            memory: 0,
            tables: 0,
            refused: false,
            host_fault: None,
            last_words: None,
            host_calls: 0,
            host_call_limit: limits.host_calls,
            output_limit: limits.output_bytes,
            deadline: now.checked_add(budget).unwrap_or(now),
            budget,
        }
    }

    /// Counts one host call.
    pub(super) fn count_host_call(&mut self) -> Result<(), EvaluationError> {
        self.host_calls = self.host_calls.saturating_add(1);
        if self.host_calls <= self.host_call_limit {
            return Ok(());
        }
        let message = format!("the policy made more than {} host calls", self.host_call_limit);
        Err(EvaluationError::new(Code::PolicyError, message))
    }

    /// Remembers the first host call that failed, and hands its text on for the guest.
    pub(super) fn note(&mut self, fault: EvaluationError) -> String {
        let text = fault.message.clone();
        self.host_fault.get_or_insert(fault);
        text
    }

    pub(super) fn memory_limit(&self) -> usize {
        self.memory_limit
    }

    pub(super) fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }
}

impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        let fits = total <= self.memory_limit;
        if fits {
            self.memory = total;
        } else {
            self.refused = true;
        }
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.tables.saturating_add(desired.saturating_sub(current));
        let fits = total <= TABLE_ELEMENTS;
        if fits {
            self.tables = total;
        } else {
            self.refused = true;
        }
        Ok(fits)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused = true;
        Ok(())
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused = true;
        Ok(())
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

/// A store for one call: bounded from its first instruction.
pub(super) fn store<G: Guest>(engine: &Engine, mut guest: G) -> Store<G> {
    let output_limit = guest.bounds().output_limit;
    let mut store = Store::new(engine, guest);
    store.limiter(|guest| guest.bounds());
    store.set_hostcall_fuel(output_limit.saturating_add(ENVELOPE));
    // The epoch only asks to look at the clock, so a late tick cannot make the deadline earlier.
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut context| {
        let late = context.data_mut().bounds().is_late();
        Ok(if late { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) })
    });
    store
}
