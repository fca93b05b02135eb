//! Plans against a store of a few lines.

#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a model")]

mod cases;
mod desk;
mod races;

use super::*;
use crate::ledger::ONE;

/// The only resource of the tests.
const PODS: &str = "pods";

fn hard(amount: i128) -> Hard {
    Hard::from([(PODS.into(), amount * ONE)])
}

fn name(number: u8) -> Arc<str> {
    format!("ns-{number}").into()
}

fn of(hard: &Hard) -> i128 {
    hard.get(PODS).copied().unwrap_or_default() / ONE
}
