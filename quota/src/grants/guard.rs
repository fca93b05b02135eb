//! How long a count that seems too low is refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest that writes of one quota's count are refused in a row: what is known here may be wrong too.
pub const LONGEST: Duration = Duration::from_secs(60);

/// What is to become of a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is no less than what is known.
    Right,
    /// It is less, and written again later.
    Refused,
    /// It is less, and was for so long that it is believed.
    Believed,
}

/// Which quotas' counts are being refused, and since when.
///
/// **Guarantee.** A count that is not below what is known always passes, and one that is passes at the latest
/// [`LONGEST`] after the first that was refused since one passed.
#[derive(Debug, Default)]
pub struct CountGuard {
    since: BTreeMap<(Arc<str>, Arc<str>), Instant>,
}

impl CountGuard {
    /// Judges a count of a pool's quota in a namespace.
    pub fn judge(&mut self, pool: &str, namespace: &str, is_below: bool, now: Instant) -> Verdict {
        // Nobody goes on with what nobody wrote for so long.
        let forgotten = LONGEST.saturating_mul(20);
        self.since.retain(|_, since| now.saturating_duration_since(*since) < forgotten);
        let key = (Arc::from(pool), Arc::from(namespace));
        if !is_below {
            self.since.remove(&key);
            return Verdict::Right;
        }
        let since = *self.since.entry(key.clone()).or_insert(now);
        if now.saturating_duration_since(since) < LONGEST {
            return Verdict::Refused;
        }
        self.since.remove(&key);
        Verdict::Believed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_seems_too_low_is_refused_for_a_minute_and_no_longer() {
        let (mut guard, start) = (CountGuard::default(), Instant::now());
        let mut judge = |below, seconds| guard.judge("t", "n", below, start + Duration::from_secs(seconds));
        assert_eq!((judge(true, 0), judge(true, 59)), (Verdict::Refused, Verdict::Refused));
        assert_eq!((judge(false, 59), judge(true, 61)), (Verdict::Right, Verdict::Refused), "it begins anew");
        assert_eq!((judge(true, 120), judge(true, 121)), (Verdict::Refused, Verdict::Believed));
        assert_eq!(judge(true, 122), Verdict::Refused);
    }
}
