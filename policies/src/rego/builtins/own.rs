//! Built-ins that replace an unguarded instruction or a built-in that panics.

use std::collections::BTreeSet;

use regorus::Value;
use regorus::unstable::{Expr, Ref, Span};

use super::budget::{self, Refusal};
use super::costs::magnitude;
use super::weight::weigh;
use super::Outcome;

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
        budget::work(super::weight::count(steps)).map_err(|refusal| budget::refuse("object.subset", refusal))?;
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
