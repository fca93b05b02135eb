//! How often something may happen.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A moment or a length of time, in billionths of a second, on a clock that starts before the first use.
pub type Nanos = u64;

/// What a request is, for its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Reads one object.
    Read,
    /// Reads many.
    List,
    /// Begins a watch.
    Watch,
    /// Changes something.
    Write,
    /// Writes an Event.
    Event,
    /// Asks for a token or a review.
    Token,
    /// Opens a stream: exec, attach, port-forward, log.
    Exec,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Read, Self::List, Self::Watch, Self::Write, Self::Event, Self::Token, Self::Exec];

    /// The class of what is no read and no stream: of a group's resource, or of a subresource of it.
    pub fn of_change(group: &str, resource: &str, subresource: Option<&str>) -> Self {
        let asks = matches!(group, "authentication.k8s.io" | "authorization.k8s.io")
            || (resource, subresource) == ("serviceaccounts", Some("token"));
        match resource {
            "events" => Self::Event,
            _ if asks => Self::Token,
            _ => Self::Write,
        }
    }

    /// The class as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Write => "write",
            Self::Event => "event",
            Self::Token => "token",
            Self::Exec => "exec",
        }
    }
}

/// Thousandths of a request per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rate(u64);

impl fmt::Display for Rate {
    /// In requests per second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1_000, self.0 % 1_000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Rate {
    /// So many requests per second.
    pub const fn per_second(requests: u64) -> Self {
        Self(requests.saturating_mul(1_000))
    }

    /// So many thousandths of a request per second.
    pub const fn thousandths(thousandths: u64) -> Self {
        Self(thousandths)
    }

    /// In thousandths of a request per second.
    pub const fn as_thousandths(self) -> u64 {
        self.0
    }
}

/// A rate, and how many requests may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Limit {
    /// The rate; nothing passes at 0.
    pub rate: Rate,
    /// How many may come at once after a pause; nothing passes at 0.
    pub burst: u32,
}

/// The longest time to fill up that is kept: a century. A larger burst counts as what fills in it.
const LONGEST: u64 = 100 * 365 * 24 * 3_600 * 1_000_000_000;

impl Limit {
    /// Nothing passes.
    pub const NONE: Self = Self { rate: Rate(0), burst: 0 };

    /// So many per second, and so many at once.
    pub const fn per_second(requests: u64, burst: u32) -> Self {
        Self { rate: Rate::per_second(requests), burst }
    }

    /// The lower rate and the lower burst of two.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        Self { rate: self.rate.min(other.rate), burst: self.burst.min(other.burst) }
    }

    /// The time for which one request counts, rounded up; `None` where nothing passes.
    pub(super) fn interval(self) -> Option<u64> {
        // 10^9 nanoseconds by thousandths.
        1_000_000_000_000_u64.checked_div(self.rate.0).filter(|_| self.burst > 0)?;
        Some(1_000_000_000_000_u64.div_ceil(self.rate.0).max(1))
    }

    /// The time in which an empty bucket fills up.
    pub(super) fn capacity(self) -> u64 {
        self.interval().unwrap_or_default().saturating_mul(u64::from(self.burst)).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_rounded_up() {
        let interval = |thousandths, burst| Limit { rate: Rate::thousandths(thousandths), burst }.interval();
        assert_eq!(interval(1_000, 1), Some(1_000_000_000));
        assert_eq!(interval(3_000, 1), Some(333_333_334));
        assert_eq!(interval(u64::MAX, 1), Some(1));
        assert_eq!((interval(0, 1), interval(1, 0)), (None, None));
        assert_eq!(Limit::per_second(100, 50).capacity(), 500_000_000);
        assert_eq!(Limit { rate: Rate::thousandths(1), burst: u32::MAX }.capacity(), LONGEST);
        assert_eq!(Limit::NONE.capacity(), 0);
    }
}
