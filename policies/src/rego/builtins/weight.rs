//! How large a value is when it is written out: shared parts count each time they occur.

use std::cell::RefCell;

use regorus::{Rc, Value};

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

/// The largest value, in scalars and collections: comparing two of them takes a few milliseconds.
const MAX_NODES: u64 = 500_000;
/// How many weights a thread remembers.
const REMEMBERED: usize = 256;
/// Smaller values are weighed faster than looked up.
const WORTH_REMEMBERING: u64 = 8;

thread_local! {
    /// Values that were weighed. Each is held, so that its address is not given to another.
    static WEIGHTS: RefCell<Vec<Option<(Value, Weight)>>> = RefCell::new(vec![None; REMEMBERED]);
}

/// Lets go of the values whose weights this thread remembers.
pub(in crate::rego) fn forget() {
    WEIGHTS.with_borrow_mut(|weights| weights.iter_mut().for_each(|slot| *slot = None));
}

/// Weighs a value, without recursion, and spends the work of it.
pub(super) fn weigh(value: &Value) -> Result<Weight, Refusal> {
    let mut weight = Weight::default();
    if scalar(value, &mut weight) {
        return budget::work(weight.bytes / 16).map(|()| weight);
    }
    WEIGHTS.with_borrow_mut(|weights| {
        if let Some(known) = remembered(weights, value) {
            return budget::work(1).map(|()| known);
        }
        let left = budget::work_left();
        let Some((weight, visited)) = visit(value, left.min(MAX_NODES), weights) else {
            return Err(if left < MAX_NODES { Refusal::work() } else { Refusal::nodes(MAX_NODES) });
        };
        budget::work(visited)?;
        if visited >= WORTH_REMEMBERING
            && let Some(slot) = slot_of(value).and_then(|index| weights.get_mut(index))
        {
            *slot = Some((value.clone(), weight));
        }
        Ok(weight)
    })
}

/// Weighs a value of at most so many nodes.
pub(in crate::rego) fn weigh_up_to(value: &Value, nodes: u64) -> Option<Weight> {
    let mut weight = Weight::default();
    if scalar(value, &mut weight) { Some(weight) } else { visit(value, nodes, &[]).map(|(weight, _)| weight) }
}

/// Weighs a collection; what is remembered of its parts is not looked at again.
fn visit(value: &Value, nodes: u64, weights: &[Option<(Value, Weight)>]) -> Option<(Weight, u64)> {
    let mut weight = Weight { nodes: 1, ..Weight::default() };
    let mut visited = 1_u64;
    let mut pending = vec![(value, 1_u64)];
    while let Some((value, depth)) = pending.pop() {
        weight.depth = weight.depth.max(depth);
        let children = length(value);
        visited = visited.saturating_add(children);
        weight.bytes = weight.bytes.saturating_add(2).saturating_add(children);
        if weight.nodes.max(visited).saturating_add(children) > nodes {
            return None;
        }
        let mut each = |child| {
            if scalar(child, &mut weight) {
                return;
            }
            match remembered(weights, child) {
                Some(known) => {
                    weight.nodes = weight.nodes.saturating_add(known.nodes).saturating_sub(1);
                    weight.bytes = weight.bytes.saturating_add(known.bytes);
                    weight.depth = weight.depth.max(depth.saturating_add(known.depth));
                }
                None => pending.push((child, depth.saturating_add(1))),
            }
        };
        match value {
            Value::Array(items) => items.iter().for_each(each),
            Value::Set(items) => items.iter().for_each(each),
            Value::Object(fields) => fields.iter().for_each(|(key, value)| {
                each(key);
                each(value);
            }),
            _ => {}
        }
    }
    (weight.nodes <= nodes).then_some((weight, visited))
}

fn remembered(weights: &[Option<(Value, Weight)>], value: &Value) -> Option<Weight> {
    let (known, weight) = weights.get(slot_of(value)?)?.as_ref()?;
    (address(known) == address(value)).then_some(*weight)
}

fn slot_of(value: &Value) -> Option<usize> {
    // Addresses are multiples of 16 as a rule.
    address(value).map(|address| (address >> 4) % REMEMBERED)
}

fn address(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) => Some(Rc::as_ptr(items).addr()),
        Value::Set(items) => Some(Rc::as_ptr(items).addr()),
        Value::Object(fields) => Some(Rc::as_ptr(fields).addr()),
        _ => None,
    }
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
