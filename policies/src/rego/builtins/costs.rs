//! What a built-in will cost, told from its arguments.
//!
//! Every function here spends the budget of what the built-in is about to do, or refuses it. An argument
//! that is not of the type a built-in takes is weighed all the same: regorus writes it into its message.

use regorus::Value;

use super::budget::{self, Refusal};
use super::own::MAX_BITS;
use super::weight::{Weight, count, length, weigh};
use crate::rego::check::numeral_is_huge;

/// Bytes of one element of a collection, with a short text in it.
pub(super) const ELEMENT: u64 = 48;
/// The greatest width or precision of a format verb, and shift of a number.
const MAX_WIDTH: u32 = 1_024;
/// The longest path in a filter of JSON.
const MAX_PATH: usize = 128;

pub(super) type Cost = Result<(), Refusal>;

fn weight_of(arguments: &[Value]) -> Result<Weight, Refusal> {
    arguments.iter().try_fold(Weight::default(), |sum, argument| {
        let one = weigh(argument)?;
        Ok(Weight {
            bytes: sum.bytes.saturating_add(one.bytes),
            nodes: sum.nodes.saturating_add(one.nodes),
            depth: sum.depth.max(one.depth),
        })
    })
}

pub(super) fn text(arguments: &[Value], index: usize) -> &str {
    match arguments.get(index) {
        Some(Value::String(text)) => text,
        _ => "",
    }
}

pub(super) fn size(arguments: &[Value], index: usize) -> u64 {
    count(text(arguments, index).len())
}

fn elements(arguments: &[Value], index: usize) -> u64 {
    arguments.get(index).map_or(0, length)
}

/// Looks at the type of its argument only.
pub(super) fn free(_: &[Value]) -> Cost {
    Ok(())
}

/// Looks at all of its arguments and makes nothing larger than a number.
pub(super) fn scan(arguments: &[Value]) -> Cost {
    weight_of(arguments).map(|_| ())
}

/// `count`: only a text is looked at.
pub(super) fn counting(arguments: &[Value]) -> Cost {
    budget::work(size(arguments, 0) / 16)
}

/// Makes a text up to three times as long as its arguments.
pub(super) fn rewrite(arguments: &[Value]) -> Cost {
    let weight = weight_of(arguments)?;
    budget::text(weight.bytes.saturating_mul(3))
}

/// Cuts the first text and never makes it longer.
pub(super) fn cut(arguments: &[Value]) -> Cost {
    scan(arguments)?;
    budget::text(size(arguments, 0))
}

/// Trims by a set of characters, each looked for at every place.
pub(super) fn trim(arguments: &[Value]) -> Cost {
    search(arguments)?;
    budget::text(size(arguments, 0))
}

/// Looks for the second text at every place of the first.
pub(super) fn search(arguments: &[Value]) -> Cost {
    scan(arguments)?;
    budget::work(size(arguments, 0).saturating_mul(size(arguments, 1)) / 8)
}

/// `indexof_n`: a number for every place.
pub(super) fn search_all(arguments: &[Value]) -> Cost {
    search(arguments)?;
    budget::collection(size(arguments, 0).saturating_mul(ELEMENT))
}

/// `strings.count`, which panics on an empty text.
pub(super) fn occurrences(arguments: &[Value]) -> Cost {
    if text(arguments, 1).is_empty() {
        return Err(Refusal::of("cannot count an empty text"));
    }
    search(arguments)
}

/// `strings.any_prefix_match` and `any_suffix_match`: each of the first with each of the second.
pub(super) fn each_with_each(arguments: &[Value]) -> Cost {
    scan(arguments)?;
    budget::work(elements(arguments, 0).saturating_mul(elements(arguments, 1)))
}

/// `concat`.
pub(super) fn join(arguments: &[Value]) -> Cost {
    let weight = weight_of(arguments)?;
    budget::text(weight.bytes.saturating_add(size(arguments, 0).saturating_mul(elements(arguments, 1))))
}

/// `replace`.
pub(super) fn replace(arguments: &[Value]) -> Cost {
    scan(arguments)?;
    let places = occurrences_of(text(arguments, 0), text(arguments, 1));
    let added = places.saturating_mul(size(arguments, 2));
    budget::text(size(arguments, 0).saturating_add(added))
}

fn occurrences_of(text: &str, part: &str) -> u64 {
    if part.is_empty() { count(text.len()).saturating_add(1) } else { count(text.matches(part).count()) }
}

/// `strings.replace_n`: each replacement may make the text longer for the next.
pub(super) fn replace_all(arguments: &[Value]) -> Cost {
    scan(arguments)?;
    let mut longest = size(arguments, 1);
    if let Some(Value::Object(pairs)) = arguments.first() {
        for (old, new) in pairs.iter() {
            let (Value::String(old), Value::String(new)) = (old, new) else { continue };
            let places = if old.is_empty() {
                longest.saturating_add(1)
            } else {
                longest.checked_div(count(old.len())).unwrap_or_default()
            };
            longest =
                longest.saturating_add(places.saturating_mul(count(new.len().saturating_sub(old.len()))));
        }
    }
    budget::text(longest)?;
    budget::work(longest.saturating_mul(elements(arguments, 0)) / 8)
}

/// `split`.
pub(super) fn split(arguments: &[Value]) -> Cost {
    scan(arguments)?;
    let parts = occurrences_of(text(arguments, 0), text(arguments, 1)).saturating_add(1);
    budget::collection(parts.saturating_mul(ELEMENT).saturating_add(size(arguments, 0)))
}

/// `sprintf`.
pub(super) fn format(arguments: &[Value]) -> Cost {
    let weight = weight_of(arguments)?;
    let mut padding = 0_u64;
    for verb in text(arguments, 0).split('%').skip(1) {
        let width: String = verb.trim_start_matches('.').chars().take_while(|c| c.is_numeric()).collect();
        if width.is_empty() {
            continue;
        }
        match width.parse::<u32>() {
            Ok(width) if width <= MAX_WIDTH => padding = padding.saturating_add(width.into()),
            _ => return Err(Refusal::of(format!("takes widths of plain digits up to {MAX_WIDTH}"))),
        }
    }
    budget::text(weight.bytes.saturating_mul(2).saturating_add(padding))
}

/// `json.marshal`.
pub(super) fn marshal(arguments: &[Value]) -> Cost {
    let weight = weight_of(arguments)?;
    budget::text(weight.bytes.saturating_mul(2))
}

/// `json.marshal_with_options` and `yaml.marshal`: indented, a line for every value.
pub(super) fn marshal_lines(arguments: &[Value]) -> Cost {
    let weight = weight_of(arguments)?;
    let mut line = weight.depth.saturating_mul(4);
    if let Some(Value::Object(options)) = arguments.get(1) {
        for (name, value) in options.iter() {
            let (Value::String(name), Value::String(value)) = (name, value) else { continue };
            let times = if name.as_ref() == "indent" { weight.depth } else { 1 };
            line = line.saturating_add(count(value.len()).saturating_mul(times));
        }
    }
    budget::text(weight.bytes.saturating_mul(2).saturating_add(weight.nodes.saturating_mul(line)))
}

/// `json.unmarshal`: two bytes of text can be one value.
pub(super) fn unmarshal(arguments: &[Value]) -> Cost {
    scan(arguments)?;
    budget::work(size(arguments, 0).saturating_mul(4))?;
    budget::collection(size(arguments, 0).saturating_mul(14))
}

/// `yaml.unmarshal`: with anchors, a short text can be a hundred times as long.
pub(super) fn unmarshal_yaml(arguments: &[Value]) -> Cost {
    scan(arguments)?;
    let text = text(arguments, 0);
    let bytes = count(text.len());
    let copies = if text.contains('&') && text.contains('*') { 100 } else { 1 };
    budget::collection(bytes.saturating_mul(14).saturating_mul(copies))?;
    budget::work(bytes.saturating_mul(copies).saturating_mul(16))
}

/// `urlquery.*`.
pub(super) fn url(arguments: &[Value]) -> Cost {
    let weight = weight_of(arguments)?;
    budget::work(weight.bytes.saturating_mul(8))?;
    budget::collection(weight.bytes.saturating_mul(3).saturating_add(weight.nodes.saturating_mul(ELEMENT)))?;
    budget::collection(size(arguments, 0).saturating_mul(ELEMENT) / 2)
}

/// Reads one numeral.
pub(super) fn numeral(arguments: &[Value]) -> Cost {
    scan(arguments)?;
    match arguments.first() {
        Some(Value::String(text)) if numeral_is_huge(text) => {
            Err(Refusal::of("was given a number that is too long"))
        }
        _ => Ok(()),
    }
}

/// A range of numbers, with a step or without.
pub(super) fn range(arguments: &[Value]) -> Cost {
    scan(arguments)?;
    let [Value::Number(from), Value::Number(to), rest @ ..] = arguments else { return Ok(()) };
    let step = match rest.first() {
        Some(Value::Number(step)) => match step.as_i64() {
            Some(step) if step > 0 => step.unsigned_abs(),
            _ => return Err(Refusal::of("takes a step of 1 or more")),
        },
        _ => 1,
    };
    let (Some(from), Some(to)) = (from.as_i64(), to.as_i64()) else {
        return Err(Refusal::of("takes integers of 64 bits"));
    };
    let steps = from.abs_diff(to).checked_div(step).unwrap_or(u64::MAX);
    budget::collection(steps.saturating_add(1).saturating_mul(24))
}

/// The bits of an integer; a float has a length of its own and does not grow.
pub(super) fn magnitude(number: &Value) -> u64 {
    let Value::Number(number) = number else { return 0 };
    if number.as_i64().is_some() || number.as_u64().is_some() {
        return 64;
    }
    number.as_big().map_or(0, |integer| integer.bits())
}

/// `product`.
pub(super) fn product(arguments: &[Value]) -> Cost {
    scan(arguments)?;
    // Small factors are what a policy multiplies; only what they come to is bounded.
    let log = |number: &Value| match number.as_f64() {
        Ok(value) => value.abs().max(1.0).log2().ceil(),
        Err(_) => 1_023.0_f64.min(f64::from(u32::try_from(magnitude(number)).unwrap_or(u32::MAX))),
    };
    let bits: f64 = match arguments.first() {
        Some(Value::Array(items)) => items.iter().map(log).sum(),
        Some(Value::Set(items)) => items.iter().map(log).sum(),
        _ => 0.0,
    };
    let bits = if bits > 1_023.0 { u64::MAX } else { 0 };
    if bits > MAX_BITS {
        return Err(Refusal::of("would make a number of more than 300 digits"));
    }
    Ok(())
}

/// `bits.lsh`.
pub(super) fn shift(arguments: &[Value]) -> Cost {
    scan(arguments)?;
    let [number, by] = arguments else { return Ok(()) };
    let bits = by.as_u64().unwrap_or(u64::MAX).saturating_add(magnitude(number));
    if bits > MAX_BITS {
        return Err(Refusal::of(format!("shifts by at most {MAX_WIDTH} bits")));
    }
    Ok(())
}

/// Orders or compares all elements.
pub(super) fn order(arguments: &[Value]) -> Cost {
    let weight = weight_of(arguments)?;
    let rounds = u64::from(elements(arguments, 0).max(2).ilog2());
    budget::work(weight.nodes.saturating_mul(rounds))?;
    budget::collection(elements(arguments, 0).saturating_mul(24))
}

/// Copies the elements of its collections, not what is in them.
pub(super) fn copy(arguments: &[Value]) -> Cost {
    let all = arguments.iter().map(length).fold(0, u64::saturating_add);
    weight_of(arguments)?;
    budget::collection(all.saturating_mul(ELEMENT))
}

/// Compares keys and merges collections.
pub(super) fn merge(arguments: &[Value]) -> Cost {
    let weight = weight_of(arguments)?;
    budget::collection(weight.nodes.saturating_mul(ELEMENT))
}

/// Merges the elements of a collection one after another, each time copying what is there.
pub(super) fn merge_all(arguments: &[Value]) -> Cost {
    let weight = weight_of(arguments)?;
    budget::work(elements(arguments, 0).saturating_mul(weight.nodes))?;
    budget::collection(weight.nodes.saturating_mul(ELEMENT))
}

/// `object.get`: the object is not looked at, the key and the default are small as a rule.
pub(super) fn lookup(arguments: &[Value]) -> Cost {
    match arguments {
        [Value::Object(_), key, _] => weigh(key).map(|_| ()),
        _ => scan(arguments),
    }
}

/// `json.filter` and `json.remove`, which recurse along the paths.
pub(super) fn filter(arguments: &[Value]) -> Cost {
    let long = |path: &Value| match path {
        Value::String(text) => text.matches('/').count() >= MAX_PATH,
        Value::Array(parts) => parts.len() > MAX_PATH,
        _ => false,
    };
    let too_long = match arguments.get(1) {
        Some(Value::Array(paths)) => paths.iter().any(long),
        Some(Value::Set(paths)) => paths.iter().any(long),
        _ => false,
    };
    if too_long {
        return Err(Refusal::of(format!("takes paths of at most {MAX_PATH} parts")));
    }
    merge(arguments)
}

/// `graph.reachable`.
pub(super) fn reachable(arguments: &[Value]) -> Cost {
    let weight = weight_of(arguments)?;
    budget::work(weight.nodes.saturating_mul(8))?;
    budget::collection(weight.nodes.saturating_mul(ELEMENT))
}

/// `walk`: every value with the path to it.
pub(super) fn walk(arguments: &[Value]) -> Cost {
    let weight = weight_of(arguments)?;
    let path = weight.depth.saturating_add(4).saturating_mul(32);
    budget::collection(weight.nodes.saturating_mul(path))
}

/// `net.cidr_expand`.
pub(super) fn addresses(arguments: &[Value]) -> Cost {
    scan(arguments)?;
    let text = text(arguments, 0);
    let Some((address, prefix)) = text.rsplit_once('/') else { return Ok(()) };
    let bits: u32 = if address.contains(':') { 128 } else { 32 };
    let free = bits.saturating_sub(prefix.trim().parse().unwrap_or(bits));
    budget::collection(1_u64.checked_shl(free).map_or(u64::MAX, |hosts| hosts.saturating_mul(64)))
}
