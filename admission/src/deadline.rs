//! How long a review may take: what the API server says it waits, less a margin for the way back.

use std::time::{Duration, Instant};

use thiserror::Error;

/// What the API server waits when it does not say: its own default.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest time the API server accepts in a webhook configuration.
const MAX_TIMEOUT: Duration = Duration::from_secs(30);

/// The `timeout` parameter is not a Go duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`timeout` is `{0}`, it must be a duration such as `5s` or `500ms`")]
pub struct TimeoutError(String);

/// The moment by which the answer must be on its way.
///
/// The margin is a tenth of the timeout, at most half a second.
///
/// # Errors
/// When the query has a `timeout` that is not a duration.
pub fn deadline(start: Instant, query: Option<&str>) -> Result<Instant, TimeoutError> {
    let text = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("timeout=")));
    let timeout = match text {
        None => DEFAULT_TIMEOUT,
        Some(text) => {
            parse(text).ok_or_else(|| TimeoutError(text.chars().take(40).collect()))?.min(MAX_TIMEOUT)
        }
    };
    let margin = timeout.checked_div(10).unwrap_or_default().min(Duration::from_millis(500));
    Ok(start.checked_add(timeout.saturating_sub(margin)).unwrap_or(start))
}

/// Reads a Go duration: decimal numbers with units, as in `1m30s` or `1.5s`.
fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(end)?;
        let seconds = number.parse::<f64>().ok()? * unit_seconds(unit)?;
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "h" => 3600.0,
        "m" => 60.0,
        "s" => 1.0,
        "ms" => 1e-3,
        "us" | "µs" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read() {
        let cases = [
            ("5s", Some(5_000)),
            ("500ms", Some(500)),
            ("1m30s", Some(90_000)),
            ("1.5s", Some(1_500)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("s", None),
            ("-5s", None),
            ("5 s", None),
            ("1e400s", None),
            ("99999999999999999999h", None),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn the_answer_is_due_before_the_api_server_stops_waiting() {
        let start = Instant::now();
        let after = |query| deadline(start, query).unwrap() - start;
        assert_eq!(after(Some("timeout=5s")), Duration::from_millis(4_500));
        assert_eq!(after(Some("a=b&timeout=100ms")), Duration::from_millis(90));
        assert_eq!(after(None), Duration::from_millis(9_500));
        assert_eq!(after(Some("timeout=10h")), Duration::from_millis(29_500));
        assert!(deadline(start, Some("timeout=soon")).is_err());
    }
}
