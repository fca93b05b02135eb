//! Kubernetes quantities that are added up.

use std::fmt;

use crate::quantity;

const WHOLE: i128 = 1_000_000_000;
const BINARY: [(&str, u32); 6] = [("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];

/// An amount such as `500m` or `2Gi`, which is written the way it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Amount {
    billionths: i128,
    binary: bool,
}

impl Amount {
    /// The amount that a quantity says; `None` for text that is none.
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self { billionths: quantity(text)?, binary: text.ends_with('i') })
    }

    /// An amount of this many billionths, written with binary suffixes or with decimal ones.
    pub const fn of(billionths: i128, binary: bool) -> Self {
        Self { billionths, binary }
    }

    /// Its billionths.
    pub const fn billionths(self) -> i128 {
        self.billionths
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        let billionths = self.billionths.saturating_add(other.billionths);
        Self { billionths, binary: self.binary || other.binary }
    }

    /// How much of a hundred it is of another; `None` of nothing.
    pub fn percent_of(self, whole: Self) -> Option<u32> {
        let percent = self.billionths.checked_mul(100)?.checked_div(whole.billionths)?;
        u32::try_from(percent).ok()
    }
}

/// Whether a resource is counted in bytes, which are written in binary units.
pub fn is_bytes(resource: &str) -> bool {
    ["memory", "storage"].iter().any(|unit| resource.ends_with(unit)) || resource.contains("hugepages-")
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = |unit: i128| {
            let rest = self.billionths.checked_rem(unit)?;
            self.billionths.checked_div(unit).filter(|_| rest == 0)
        };
        if self.binary && self.billionths != 0 {
            for (suffix, bits) in BINARY {
                if let Some(count) = WHOLE.checked_shl(bits).and_then(units) {
                    return write!(f, "{count}{suffix}");
                }
            }
        }
        for (suffix, unit) in [("", WHOLE), ("m", 1_000_000), ("u", 1_000)] {
            if let Some(count) = units(unit) {
                return write!(f, "{count}{suffix}");
            }
        }
        write!(f, "{}n", self.billionths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_added_and_written_as_they_were_read() {
        let sum = |all: &[&str]| {
            let parsed = all.iter().map(|text| Amount::parse(text).unwrap());
            parsed.fold(Amount::default(), Amount::plus).to_string()
        };
        for (all, expected) in [
            (&["500m", "1500m"][..], "2"),
            (&["250m", "1"], "1250m"),
            (&["512Mi", "512Mi"], "1Gi"),
            (&["1Gi", "1Mi"], "1025Mi"),
            (&["1Gi", "1"], "1073741825"),
            (&["1G"], "1000000000"),
            (&["0", "0Ki"], "0"),
            (&["1n", "1u"], "1001n"),
        ] {
            assert_eq!(sum(all), expected, "{all:?}");
        }
        assert_eq!(Amount::parse("much"), None);
    }

    #[test]
    fn percentages_are_rounded_down() {
        let percent = |part, whole| Amount::parse(part).unwrap().percent_of(Amount::parse(whole).unwrap());
        assert_eq!((percent("1", "3"), percent("3", "2"), percent("1", "0")), (Some(33), Some(150), None));
        assert_eq!(percent("512Mi", "1Gi"), Some(50));
    }
}
