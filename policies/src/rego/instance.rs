//! A policy on one evaluation thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use model::Code;
use regorus::Value;

use super::builtins::Scope;
use super::check::Entry;
use super::output;
use super::runner::{Runner, Time, timeout};
use crate::{Answer, EvaluationError, Limits, Mutation};

/// A compiled policy for one thread at a time. It shares no memory with other instances.
///
/// Regorus recurses over nested values: evaluate on a thread with a stack of [`super::STACK_BYTES`].
#[derive(Debug)]
pub struct RegoInstance {
    runner: Runner,
    entries: Vec<Entry>,
    declares_lookups: bool,
}

impl RegoInstance {
    pub(super) fn new(runner: Runner, entries: Vec<Entry>, declares_lookups: bool) -> Self {
        Self { runner, entries, declares_lookups }
    }

    /// Asks `deny`, `violation` and `warn`, those that the policy has.
    ///
    /// `input` is [`super::input::envelope`]; `data` is [`super::RegoInventory::data`], not read by a policy
    /// that declares no lookups. `budget` is the time that may be used: the policy's limit or what is left of
    /// the request's.
    ///
    /// # Errors
    /// [`Code::PolicyTimeout`], [`Code::PolicyMemory`], [`Code::PolicyError`], [`Code::PolicyOutputInvalid`],
    /// [`Code::PolicyOutputTooLarge`]. The instance can be used again after any of them.
    pub fn validate(
        &mut self,
        input: Value,
        data: Value,
        limits: &Limits,
        budget: Duration,
    ) -> Result<Answer, EvaluationError> {
        let mut observations = Vec::new();
        self.evaluate(
            input,
            data,
            limits,
            budget,
            |entry| entry != Entry::Patch,
            |entry, value| output::observations(entry, value, limits, &mut observations),
        )?;
        Ok(Answer { observations, mutation: None })
    }

    /// Asks `patch`.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn mutate(
        &mut self,
        input: Value,
        data: Value,
        limits: &Limits,
        budget: Duration,
    ) -> Result<Answer, EvaluationError> {
        let mut operations = Vec::new();
        self.evaluate(
            input,
            data,
            limits,
            budget,
            |entry| entry == Entry::Patch,
            |_, value| {
                operations = output::operations(value, limits)?;
                Ok(())
            },
        )?;
        let mutation = (!operations.is_empty()).then_some(Mutation::Patch(operations));
        Ok(Answer { observations: Vec::new(), mutation })
    }

    fn evaluate(
        &mut self,
        input: Value,
        data: Value,
        limits: &Limits,
        budget: Duration,
        wanted: impl Fn(Entry) -> bool,
        mut take: impl FnMut(Entry, &Value) -> Result<(), EvaluationError>,
    ) -> Result<(), EvaluationError> {
        let start = Instant::now();
        let data = self.declares_lookups.then_some(data);
        let scope = Scope::open(limits, budget, start);
        let all = AssertUnwindSafe(|| self.evaluate_all(input, data, start, budget, wanted, &mut take));
        let result = catch_unwind(all).unwrap_or_else(|_| {
            Err(EvaluationError::new(Code::PolicyError, "the policy made its evaluator fail"))
        });
        // A refused built-in is the cause of whatever came after it, even of a result.
        let result = scope.refusal().map_or(result, Err);
        match result {
            Ok(()) if start.elapsed() > budget => {
                self.reset();
                Err(timeout(budget))
            }
            Ok(()) => {
                self.runner.end(self.declares_lookups);
                Ok(())
            }
            Err(error) => {
                self.reset();
                Err(error)
            }
        }
    }

    fn evaluate_all(
        &mut self,
        input: Value,
        data: Option<Value>,
        start: Instant,
        budget: Duration,
        wanted: impl Fn(Entry) -> bool,
        take: &mut impl FnMut(Entry, &Value) -> Result<(), EvaluationError>,
    ) -> Result<(), EvaluationError> {
        self.runner.begin(input, data)?;
        for (index, entry) in self.entries.iter().enumerate().filter(|(_, entry)| wanted(**entry)) {
            let left = budget.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(timeout(budget));
            }
            let value = self.runner.evaluate(index, Time { budget, left })?;
            take(*entry, &value)?;
        }
        Ok(())
    }

    /// Starts from new, also where dropping the old state fails.
    fn reset(&mut self) {
        // A panic here leaves the old state in place; the next evaluation resets it before it starts.
        let _ = catch_unwind(AssertUnwindSafe(|| self.runner.reset()));
    }
}
