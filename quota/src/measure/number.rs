//! Quantities as they are counted: never negative, and saturating.

use std::fmt;

/// One of something, in billionths.
pub(super) const ONE: i128 = 1_000_000_000;

/// What Kubernetes cuts quantities with a binary suffix to.
const MOST_BINARY: i128 = 9_223_372_036_854_775_807_000_000_000;
/// How many digits of a fraction are read.
const FRACTION: usize = 18;
const SHOWN: usize = 40;

/// Text that cannot be counted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    None(String),
    Negative(String),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None(text) => write!(f, "`{text}` is no quantity"),
            Self::Negative(text) => write!(f, "`{text}` is negative"),
        }
    }
}

/// The billionths that a quantity says. What is too much for a number counts as the most there is.
pub(super) fn read(text: &str) -> Result<i128, Unread> {
    let text = text.trim();
    let amount = match model::quantity(text) {
        Some(amount) => amount,
        None => out_of_range(text).ok_or_else(|| Unread::None(shown(text)))?,
    };
    if amount < 0 {
        return Err(Unread::Negative(shown(text)));
    }
    Ok(if text.ends_with('i') { amount.min(MOST_BINARY) } else { amount })
}

/// A whole number in billionths.
pub(super) fn whole(number: u64) -> i128 {
    i128::from(number).saturating_mul(ONE)
}

/// An amount rounded up to a whole number.
pub(super) fn rounded_up(amount: i128) -> i128 {
    match amount.checked_rem(ONE) {
        Some(rest) if rest > 0 => amount.saturating_sub(rest).saturating_add(ONE),
        _ => amount,
    }
}

/// The most or the least there is, for a quantity that is well written and too large; zero however it is written.
fn out_of_range(text: &str) -> Option<i128> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut digits = whole.bytes().chain(fraction.bytes()).peekable();
    digits.peek()?;
    let grows = match suffix {
        "" | "k" | "M" | "G" | "T" | "P" | "E" | "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei" => true,
        "n" | "u" | "m" => true,
        exponent => exponent.strip_prefix(['e', 'E'])?.parse::<i32>().ok()? >= 0,
    };
    if !digits.all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    if number.bytes().all(|digit| matches!(digit, b'0' | b'.')) {
        return Some(0);
    }
    let most = if negative { i128::MIN } else { i128::MAX };
    // A long fraction is no large number: reading it as one would be wrong.
    (grows && fraction.len() <= FRACTION).then_some(most)
}

/// So much of a text as a message has room for.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_counts_as_the_most() {
        for (text, amount) in [
            ("1500m", 1_500_000_000),
            (" 1 ", ONE),
            ("9Ei", MOST_BINARY),
            ("9223372036854775807Ki", MOST_BINARY),
            ("12E", 12_000_000_000_000_000_000_000_000_000),
            ("1e300", i128::MAX),
            ("99999999999999999999999999999999999", i128::MAX),
            ("99999999999999999999999999999999999Ei", MOST_BINARY),
            ("0e300", 0),
            ("-0", 0),
            ("1e-300", 1),
        ] {
            assert_eq!(read(text), Ok(amount), "{text}");
        }
    }

    #[test]
    fn what_is_none_or_negative_is_an_error() {
        for text in ["", ".", "e", "-", "1e", "1 Gi", "0x1", "1.2.3", "1e9999999999", "NaN", "1ki", "٣"] {
            assert!(matches!(read(text), Err(Unread::None(_))), "{text}");
        }
        let tiny = format!("0.{}1", "0".repeat(40));
        assert!(matches!(read(&tiny), Err(Unread::None(_))));
        for text in ["-1", "-1n", "-1e300"] {
            assert_eq!(read(text), Err(Unread::Negative(text.to_owned())), "{text}");
        }
        assert!(read(&"x".repeat(1_000_000)).unwrap_err().to_string().len() < 100);
    }

    #[test]
    fn rounding_is_up() {
        assert_eq!(rounded_up(1), ONE);
        assert_eq!(rounded_up(ONE), ONE);
        assert_eq!(rounded_up(0), 0);
        assert_eq!(rounded_up(i128::MAX), i128::MAX);
    }
}
