//! Built-ins that replace an unguarded instruction or a built-in that panics.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;
use regorus::unstable::{Expr, Ref, Span};

use super::budget::{self, Refusal};
use super::costs::magnitude;
use super::weight::weigh;
use super::{Failure, Outcome};

/// The most bits of an integer.
pub(super) const MAX_BITS: u64 = 1_088;

/// `left * right`, put in place of the machine's own instruction: repeated squaring doubles a number's length.
pub(super) fn multiply(_: &Span, _: &[Ref<Expr>], arguments: &[Value], _: bool) -> Outcome {
    let [left @ Value::Number(one), right @ Value::Number(other)] = arguments else {
        return Err(budget::refuse("*", Refusal::of("was given something that is not a number")).into());
    };
    if magnitude(left).saturating_add(magnitude(right)) > MAX_BITS {
        return Err(budget::refuse("*", Refusal::of("would make a number of more than 300 digits")).into());
    }
    one.mul(other).map(Value::from)
}

thread_local! {
    /// What a rule gave last, and for which arguments, in the evaluation that runs on this thread.
    ///
    /// Rules do not recurse: between the definitions of one call there is no other call of the same rule.
    static RESULTS: RefCell<BTreeMap<Value, Vec<Value>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Forgets the results of the evaluation before.
pub(super) fn forget_results() {
    RESULTS.with_borrow_mut(BTreeMap::clear);
}

/// Weighs a value that goes into another and gives it back.
pub(super) fn bound(_: &Span, _: &[Ref<Expr>], arguments: &[Value], _: bool) -> Outcome {
    let Some(value) = arguments.first() else { return Ok(Value::Undefined) };
    if matches!(value, Value::Array(_) | Value::Set(_) | Value::Object(_)) {
        weigh(value).map_err(|refusal| budget::refuse("the policy", refusal))?;
    }
    Ok(value.clone())
}

/// Remembers what a definition came to: rule, result, arguments.
pub(super) fn result(_: &Span, _: &[Ref<Expr>], arguments: &[Value], _: bool) -> Outcome {
    let [rule, rest @ ..] = arguments else { return Ok(Value::Undefined) };
    let disagrees = RESULTS.with_borrow_mut(|results| match results.get_mut(rule) {
        Some(last) if last.get(1..) == rest.get(1..) => last.first() != rest.first(),
        Some(last) => {
            rest.clone_into(last);
            false
        }
        None => {
            results.insert(rule.clone(), rest.to_vec());
            false
        }
    });
    if disagrees { Err(conflict(rule)) } else { Ok(Value::Bool(true)) }
}

/// Looks whether a partial object already has another value for a key: object, key, value.
pub(super) fn field(_: &Span, _: &[Ref<Expr>], arguments: &[Value], _: bool) -> Outcome {
    let [object, key, value] = arguments else { return Ok(Value::Undefined) };
    match object {
        Value::Object(fields) if fields.get(key).is_some_and(|found| found != value) => Err(conflict(key)),
        _ => Ok(value.clone()),
    }
}

fn conflict(name: &Value) -> Failure {
    let name = match name {
        Value::String(name) => name.trim_start_matches("data.").chars().take(100).collect(),
        _ => "a rule".to_owned(),
    };
    budget::refuse(&name, Refusal::of("comes to two different values, its definitions disagree")).into()
}

/// `object.subset`, which panics on an empty array.
pub(super) fn subset(_: &Span, _: &[Ref<Expr>], arguments: &[Value], _: bool) -> Outcome {
    let [whole, part] = arguments else {
        return Err(budget::refuse("object.subset", Refusal::of("takes two arguments")).into());
    };
    for argument in arguments {
        weigh(argument).map_err(|refusal| budget::refuse("object.subset", refusal))?;
    }
    if let (Value::Array(whole), Value::Array(part)) = (whole, part) {
        let steps = whole.len().saturating_mul(part.len());
        budget::work(super::weight::count(steps))
            .map_err(|refusal| budget::refuse("object.subset", refusal))?;
    }
    Ok(Value::Bool(is_subset(whole, part)))
}

fn is_subset(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|found| is_subset(found, value)))
        }
        (Value::Set(whole), Value::Set(part)) => part.is_subset(whole),
        (Value::Array(whole), Value::Array(part)) => {
            let part = part.as_slice();
            part.is_empty() || whole.as_slice().windows(part.len()).any(|window| window == part)
        }
        (Value::Array(whole), Value::Set(part)) => {
            let whole: BTreeSet<&Value> = whole.iter().collect();
            part.iter().all(|item| whole.contains(item))
        }
        (whole, part) => whole == part,
    }
}
