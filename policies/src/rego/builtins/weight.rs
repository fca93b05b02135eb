//! How large a value is when it is written out: shared parts count each time they occur.

use regorus::Value;

use super::budget::{self, Refusal};

/// The size of a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::rego) struct Weight {
    /// About the length as JSON, in bytes.
    pub(in crate::rego) bytes: u64,
    /// Scalars and collections.
    pub(in crate::rego) nodes: u64,
    /// Levels of nesting; 0 for a scalar.
    pub(in crate::rego) depth: u64,
}

/// Weighs a value, without recursion, and spends the work of it.
pub(super) fn weigh(value: &Value) -> Result<Weight, Refusal> {
    match weigh_up_to(value, budget::work_left()) {
        Some(weight) => budget::work(weight.nodes.saturating_add(weight.bytes / 16)).map(|()| weight),
        None => Err(Refusal::of("was given a value that is too large to look at in the policy's time")),
    }
}

/// Weighs a value of at most so many nodes.
pub(in crate::rego) fn weigh_up_to(value: &Value, nodes: u64) -> Option<Weight> {
    let mut weight = Weight::default();
    if !scalar(value, &mut weight) {
        let mut pending = vec![(value, 1_u64)];
        while let Some((value, depth)) = pending.pop() {
            weight.depth = weight.depth.max(depth);
            let children = length(value);
            if weight.nodes.saturating_add(children) > nodes {
                return None;
            }
            let deeper = depth.saturating_add(1);
            let mut visit = |child| {
                if !scalar(child, &mut weight) {
                    pending.push((child, deeper));
                }
            };
            match value {
                Value::Array(items) => items.iter().for_each(visit),
                Value::Set(items) => items.iter().for_each(visit),
                Value::Object(fields) => fields.iter().for_each(|(key, value)| {
                    visit(key);
                    visit(value);
                }),
                _ => {}
            }
            weight.bytes = weight.bytes.saturating_add(2).saturating_add(children);
        }
    }
    Some(weight)
}

/// Adds a value; true when it has no children.
fn scalar(value: &Value, weight: &mut Weight) -> bool {
    weight.nodes = weight.nodes.saturating_add(1);
    let bytes = match value {
        Value::String(text) => count(text.len()).saturating_add(2),
        // An integer beyond 64 bits is bounded by the guards of arithmetic.
        Value::Number(number) if number.as_i64().is_none() && number.as_u64().is_none() => 320,
        Value::Array(_) | Value::Set(_) | Value::Object(_) => return false,
        _ => 8,
    };
    weight.bytes = weight.bytes.saturating_add(bytes);
    true
}

/// The number of elements of a collection; an object's keys count as well.
pub(super) fn length(value: &Value) -> u64 {
    match value {
        Value::Array(items) => count(items.len()),
        Value::Set(items) => count(items.len()),
        Value::Object(fields) => count(fields.len()).saturating_mul(2),
        _ => 0,
    }
}

/// A count as the budget's unit.
pub(super) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
