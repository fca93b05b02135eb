//! The time since a start, also while the machine sleeps.
//!
//! A lease is valid for a while of everybody's time. [`std::time::Instant`] stands still on Linux while a machine or its
//! virtual host is suspended, and a replica that wakes up would take its lease for fresh when others have its share.
//! Where the host keeps even this clock from the guest, as when a virtual machine is paused without its knowing, nothing
//! in the guest can tell.

use std::time::Duration;

/// A clock that begins at zero, never goes back, and does not know what the calendar says.
#[derive(Debug)]
pub struct Clock {
    start: Duration,
}

impl Clock {
    /// One that begins now.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "no two are the same")]
    pub fn new() -> Self {
        Self { start: since_boot() }
    }

    /// Milliseconds since the start.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(since_boot().saturating_sub(self.start).as_millis()).unwrap_or(u64::MAX)
    }

    /// Billionths of a second since the start.
    pub fn nanos(&self) -> u64 {
        u64::try_from(since_boot().saturating_sub(self.start).as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(not(target_os = "linux"))]
fn since_boot() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_the_time_and_never_back() {
        let start = std::time::Instant::now();
        let clock = Clock::new();
        let mut last = clock.now();
        while last < 5 {
            assert!(start.elapsed() < Duration::from_secs(60), "it stands still");
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
        assert!(start.elapsed() >= Duration::from_millis(last - 1), "it goes ahead");
    }
}
