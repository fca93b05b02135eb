//! Why a request does not pass, and what the person is told who sent it.

use std::fmt::Write as _;

use super::{Class, Limit, Nanos};

/// Whose limit refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The tenant's.
    Tenant,
    /// The user's within it.
    User,
}

/// Why a request does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Whose limit it is, of two the one that lasts longer.
    pub whose: Whose,
    /// The limit.
    pub limit: Limit,
    /// What this replica has of it.
    pub part: Limit,
    /// How long it lasts, if nothing else passes and the part stays; `None` where it lasts until the limit changes.
    pub retry_after: Option<Nanos>,
}

/// The longest wait that a client is told to keep by itself: a person waits no longer without being told why.
pub const LONGEST_WAIT: Nanos = 30 * SECOND;

const SECOND: Nanos = 1_000_000_000;

impl Refusal {
    /// When a client should try again by itself; `None` where it would wait for longer than [`LONGEST_WAIT`], and whoever
    /// asked should decide.
    pub fn retry(&self) -> Option<Nanos> {
        self.retry_after.filter(|wait| *wait <= LONGEST_WAIT)
    }

    /// The limit, for the person who is refused, and when the next request passes.
    pub fn told(&self, tenant: &str, user: &str, class: Class) -> String {
        let whose = match self.whose {
            Whose::Tenant => format!("tenant {tenant}"),
            Whose::User => format!("user {user} of tenant {tenant}"),
        };
        let (limit, class) = (self.limit, class.as_str());
        let mut told = format!(
            "{whose} may send {} requests of class `{class}` per second, and {} at once",
            limit.rate, limit.burst
        );
        let _never = match self.part {
            part if part == limit => Ok(()),
            Limit::NONE => write!(told, ", of which this replica has nothing yet"),
            part => {
                write!(
                    told,
                    ", of which this replica has {} per second and {} at once",
                    part.rate, part.burst
                )
            }
        };
        let _never = match self.retry_after {
            Some(wait) => write!(told, "; the next one passes in {}", spoken(wait)),
            None => write!(told, "; more need another class of fairness, from an administrator"),
        };
        told
    }
}

/// A length of time, rounded up to seconds.
fn spoken(time: Nanos) -> String {
    let seconds = time.div_ceil(SECOND).max(1);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (hours, minutes, seconds) = (rest / 3_600, rest % 3_600 / 60, rest % 60);
    let parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    parts.take(2).map(|(count, unit)| format!("{count} {unit}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_is_told_the_limit_and_the_wait() {
        let limit = Limit::per_second(10, 20);
        let mut refusal =
            Refusal { whose: Whose::Tenant, limit, part: limit, retry_after: Some(1_000 * SECOND + 1) };
        assert_eq!(
            refusal.told("shop", "eve", Class::Write),
            "tenant shop may send 10 requests of class `write` per second, and 20 at once; the next one passes in 16 min 41 s"
        );
        assert_eq!(refusal.retry(), None);
        refusal =
            Refusal { whose: Whose::User, part: Limit::per_second(5, 10), retry_after: Some(1), ..refusal };
        assert_eq!(
            refusal.told("shop", "eve", Class::List),
            "user eve of tenant shop may send 10 requests of class `list` per second, and 20 at once, of which this \
             replica has 5 per second and 10 at once; the next one passes in 1 s"
        );
        assert_eq!((refusal.retry(), spoken(LONGEST_WAIT)), (Some(1), "30 s".to_owned()));
        refusal = Refusal { part: Limit::NONE, retry_after: None, ..refusal };
        let told = refusal.told("shop", "eve", Class::List);
        assert!(told.contains("nothing yet; more need another class"), "{told}");
        assert_eq!(
            [3_600, 90_061, 60].map(|seconds| spoken(seconds * SECOND)),
            ["1 h", "1 d 1 h", "1 min"].map(str::to_owned)
        );
    }
}
