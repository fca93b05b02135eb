//! What matching a regular expression or a glob will cost.
//!
//! Regorus' engine matches in time proportional to states × text; it compiles at most 100 KiB of states.

use regorus::Value;

use super::budget::{self, Refusal};
use super::costs::{Cost, ELEMENT, scan, size, text};
use super::weight::count;

/// The longest pattern.
const MAX_PATTERN: u64 = 4_096;

/// `regex.match` and the like: the pattern is the argument `AT`, the text the next or the one before.
pub(super) fn pattern<const AT: usize, const TEXT: usize>(arguments: &[Value]) -> Cost {
    scan(arguments)?;
    let states = states_of(text(arguments, AT))?;
    budget::work(states.saturating_mul(8).saturating_add(200))?;
    budget::work(states.saturating_mul(size(arguments, TEXT)) / 8)
}

/// `regex.find_n`, `regex.split` and `regex.find_all_string_submatch_n`.
pub(super) fn pattern_all(arguments: &[Value]) -> Cost {
    pattern::<0, 1>(arguments)?;
    let groups = count(text(arguments, 0).matches('(').count()).saturating_add(1);
    let matches = size(arguments, 1).saturating_add(1);
    budget::collection(matches.saturating_mul(groups).saturating_mul(ELEMENT))
}

/// `regex.replace`: text, pattern, replacement.
pub(super) fn pattern_replace(arguments: &[Value]) -> Cost {
    pattern::<1, 0>(arguments)?;
    let places = size(arguments, 0).saturating_add(1);
    let copies = count(text(arguments, 2).matches('$').count()).saturating_add(1);
    let plain = places.saturating_mul(size(arguments, 2));
    budget::text(plain.saturating_add(places.saturating_mul(copies)))
}

/// `glob.match`: pattern, delimiters, text.
pub(super) fn glob(arguments: &[Value]) -> Cost {
    pattern::<0, 2>(arguments)?;
    budget::text(size(arguments, 0).max(size(arguments, 2)).saturating_mul(3))
}

/// About how many states a pattern has; regorus accepts at most 100 KiB of them.
fn states_of(pattern: &str) -> Result<u64, Refusal> {
    const MOST: u64 = 6_000;
    if count(pattern.len()) > MAX_PATTERN {
        return Err(Refusal::of(format!("takes patterns of at most {MAX_PATTERN} bytes")));
    }
    let repeats = pattern.split('{').skip(1).filter_map(|rest| {
        let counts = rest.split('}').next()?;
        counts.split(',').filter_map(|number| number.trim().parse::<u64>().ok()).max()
    });
    let repeated = repeats.fold(1, |product: u64, times| product.saturating_mul(times.max(1)).min(MOST));
    let classes = count(pattern.matches('\\').count()).saturating_mul(16);
    Ok(count(pattern.len()).saturating_add(classes).saturating_mul(repeated).clamp(1, MOST))
}
