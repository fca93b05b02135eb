/// The amount that a Kubernetes quantity such as `1500m`, `2Gi` or `1e3` says, in billionths.
///
/// `None` for text that is none, and for amounts that do not fit: no real node has those. What is below a
/// billionth is rounded up, as Kubernetes does.
pub fn quantity(text: &str) -> Option<i128> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-' || c == '+'));
    let (number, suffix) = end.map_or((text, ""), |end| text.split_at(end));
    let (negative, number) = match number.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: String = [whole, fraction].concat();
    if digits.is_empty() || digits.len() > 30 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let mantissa: i128 = digits.parse().ok()?;
    let places = i32::try_from(fraction.len()).ok()?;
    let (binary, exponent) = scale(suffix)?;
    let scaled = mantissa.checked_mul(1_i128.checked_shl(binary)?)?;
    let amount = shift(scaled, exponent.checked_add(9)?.checked_sub(places)?)?;
    if negative { amount.checked_neg() } else { Some(amount) }
}

/// A suffix as powers of two and of ten.
fn scale(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        exponent => (0, exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

/// An amount times a power of ten, rounded up.
fn shift(amount: i128, exponent: i32) -> Option<i128> {
    let power = 10_i128.checked_pow(exponent.unsigned_abs());
    if exponent >= 0 {
        return amount.checked_mul(power?);
    }
    // So small that only the rounding is left of it.
    let Some(power) = power else { return Some(i128::from(amount > 0)) };
    let down = amount.checked_div(power)?;
    let left = amount.checked_rem(power)?;
    down.checked_add(i128::from(left > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_that_are_the_same_are_equal() {
        let same = [
            ("1", "1000m"),
            ("1Gi", "1024Mi"),
            ("0.5", "500m"),
            ("1e3", "1k"),
            ("1E3", "1k"),
            ("-1.5", "-1500m"),
            ("2E", "2000000000000000000"),
            (".5", "0.5"),
            ("0.0000000001", "1n"),
        ];
        for (one, other) in same {
            assert!(quantity(one).is_some() && quantity(one) == quantity(other), "{one} {other}");
        }
        assert_eq!(quantity("1m"), Some(1_000_000));
        assert!(quantity("999m") < quantity("1"));
    }

    #[test]
    fn what_is_no_quantity_or_too_large_is_none() {
        for text in [
            "",
            ".",
            "x",
            "1x",
            "1 Gi",
            "--1",
            "1.2.3",
            "1e",
            "1e99999999999",
            "9999999999999999999999999999999Ei",
        ] {
            assert_eq!(quantity(text), None, "{text}");
        }
        assert_eq!(quantity("1e-400"), Some(1));
    }
}
