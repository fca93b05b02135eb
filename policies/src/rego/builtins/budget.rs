//! What one evaluation may still spend in built-ins: time, work and output.
//!
//! Built-ins are plain functions without state, so the budget of the evaluation that runs on a thread is kept
//! with the thread. Outside of an evaluation there is none, and every guarded built-in is refused.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use model::Code;
use regorus::LimitError;

use super::own::forget_results;
use crate::{EvaluationError, Limits};

/// Units of work per millisecond: about one byte looked at, or one small value visited, per 5 ns.
const WORK_PER_MS: u64 = 200_000;
/// How much output one evaluation may make in all, as a multiple of the longest text.
const TOTAL_OUTPUT: u64 = 64;
/// How much memory one collection may take, as a multiple of the longest text.
const COLLECTION: u64 = 16;
/// The clock is read once per this much work.
const CLOCK_INTERVAL: u64 = 2_048;

thread_local! {
    static CURRENT: Budget = const { Budget::none() };
}

struct Budget {
    deadline: Cell<Option<Instant>>,
    work: Cell<u64>,
    output: Cell<u64>,
    text: Cell<u64>,
    unclocked: Cell<u64>,
    refusal: RefCell<Option<EvaluationError>>,
}

impl Budget {
    const fn none() -> Self {
        Self {
            deadline: Cell::new(None),
            work: Cell::new(0),
            output: Cell::new(0),
            text: Cell::new(0),
            unclocked: Cell::new(0),
            refusal: RefCell::new(None),
        }
    }

    fn set(&self, deadline: Option<Instant>, work: u64, text: u64) {
        self.deadline.set(deadline);
        self.work.set(work);
        self.text.set(text);
        self.output.set(text.saturating_mul(TOTAL_OUTPUT));
        self.unclocked.set(0);
        self.refusal.replace(None);
    }
}

/// Why a built-in does not run.
#[derive(Debug)]
pub(super) struct Refusal {
    code: Code,
    message: String,
}

impl Refusal {
    /// The policy asks for something that is never served.
    pub(super) fn of(message: impl Into<String>) -> Self {
        Self { code: Code::PolicyError, message: message.into() }
    }

    /// A value is larger than any may be.
    pub(super) fn nodes(limit: u64) -> Self {
        Self {
            code: Code::PolicyMemory,
            message: format!("was given or made a value of more than {limit} parts"),
        }
    }

    /// There is more to do than the time allows.
    pub(super) fn work() -> Self {
        Self::time("has more to look at than the policy's time allows")
    }

    fn memory(found: u64, limit: u64) -> Self {
        let message = format!("would make about {found} bytes, at most {limit} are allowed");
        Self { code: Code::PolicyMemory, message }
    }

    fn time(message: &str) -> Self {
        Self { code: Code::PolicyTimeout, message: message.to_owned() }
    }
}

/// The budget of one evaluation, on this thread, until it is dropped.
#[derive(Debug)]
pub(in crate::rego) struct Scope(());

impl Scope {
    /// Opens the budget.
    pub(in crate::rego) fn open(limits: &Limits, budget: Duration, now: Instant) -> Self {
        let millis = u64::try_from(budget.as_millis()).unwrap_or(u64::MAX).max(1);
        let text = u64::try_from(limits.output_bytes).unwrap_or(u64::MAX);
        CURRENT
            .with(|current| current.set(now.checked_add(budget), millis.saturating_mul(WORK_PER_MS), text));
        forget_results();
        Self(())
    }

    /// Why a built-in was refused, if one was.
    pub(in crate::rego) fn refusal(&self) -> Option<EvaluationError> {
        CURRENT.with(|current| current.refusal.take())
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(None, 0, 0));
    }
}

/// Keeps why a built-in was refused and returns the error that no `not` and no `default` swallows.
pub(super) fn refuse(name: &str, refusal: Refusal) -> LimitError {
    CURRENT.with(|current| {
        let message = format!("`{name}` {}", refusal.message);
        current.refusal.borrow_mut().get_or_insert(EvaluationError::new(refusal.code, message));
        LimitError::MemoryLimitExceeded { usage: 0, limit: 0 }
    })
}

/// How much work is left.
pub(super) fn work_left() -> u64 {
    CURRENT.with(|current| current.work.get())
}

/// Spends work.
pub(super) fn work(units: u64) -> Result<(), Refusal> {
    CURRENT.with(|current| {
        let units = units.saturating_add(1);
        let Some(left) = current.work.get().checked_sub(units) else {
            return Err(Refusal::work());
        };
        current.work.set(left);
        let unclocked = current.unclocked.get().saturating_add(units);
        if unclocked < CLOCK_INTERVAL {
            current.unclocked.set(unclocked);
            return Ok(());
        }
        current.unclocked.set(0);
        match current.deadline.get() {
            Some(deadline) if Instant::now() < deadline => Ok(()),
            _ => Err(Refusal::time("was called after the policy's time was up")),
        }
    })
}

/// Spends the bytes of a text that is about to be made.
pub(super) fn text(bytes: u64) -> Result<(), Refusal> {
    output(bytes, CURRENT.with(|current| current.text.get()))
}

/// Spends the bytes of a collection that is about to be made.
pub(super) fn collection(bytes: u64) -> Result<(), Refusal> {
    output(bytes, CURRENT.with(|current| current.text.get()).saturating_mul(COLLECTION))
}

fn output(bytes: u64, limit: u64) -> Result<(), Refusal> {
    if bytes > limit {
        return Err(Refusal::memory(bytes, limit));
    }
    work(bytes / 8)?;
    CURRENT.with(|current| match current.output.get().checked_sub(bytes) {
        Some(left) => {
            current.output.set(left);
            Ok(())
        }
        None => Err(Refusal {
            code: Code::PolicyMemory,
            message: "would make more than the policy may make in all".to_owned(),
        }),
    })
}
