//! Reading Prometheus' text.

use std::fmt::Debug;
use std::str::FromStr;

/// The value of a metric in this text, by all of its line before it; `None` where it is not there.
///
/// # Panics
/// When it is no such number.
#[must_use]
pub fn metric<T: FromStr<Err: Debug>>(metrics: &str, name: &str) -> Option<T> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}
