//! What each priority level gets of a server's seats.

/// The seats of an API server that is started without flags: 400 in flight for reads and 200 for writes.
pub const DEFAULT_SERVER_SEATS: u32 = 600;

/// A priority level, as far as its seats are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// Its name.
    pub name: String,
    /// Its weight among all levels (`nominalConcurrencyShares`).
    pub shares: u32,
    /// How much of its nominal seats others may use, in percent, at most 100.
    pub lendable_percent: u32,
    /// What becomes of requests that find no seat.
    pub kind: Kind,
}

/// What becomes of the requests of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every one is served at once; its seats are taken from the others.
    Exempt,
    /// They wait in queues, or are refused where there are none.
    Limited {
        /// How much it may borrow, in percent of its nominal seats; `None` without a limit.
        borrowing_limit_percent: Option<u32>,
        /// The queues.
        queuing: Option<Queuing>,
    },
}

/// The queues of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queuing {
    /// How many there are, at least one.
    pub queues: u32,
    /// Among how many of them a flow's requests are spread, at least one.
    pub hand: u32,
    /// How many requests wait in one at most.
    pub length: u32,
}

/// What a level gets, in seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seats {
    /// Its part of the server.
    pub nominal: u32,
    /// What it keeps when others borrow as much as they may.
    pub min: u32,
    /// What it has at most when it borrows.
    pub max: u32,
}

impl Level {
    /// The queues, where it has some.
    pub const fn queuing(&self) -> Option<Queuing> {
        match self.kind {
            Kind::Exempt => None,
            Kind::Limited { queuing, .. } => queuing,
        }
    }

    const fn borrowing_limit(&self) -> Option<u32> {
        match self.kind {
            Kind::Exempt => None,
            Kind::Limited { borrowing_limit_percent, .. } => borrowing_limit_percent,
        }
    }
}

/// What each of all levels of a server gets of its seats, in the same order.
///
/// Nominal seats are rounded up, so they can sum to more than the server has, by less than one a level. A level
/// without a borrowing limit may have all seats of the server beside its own.
pub fn seats(server: u32, levels: &[Level]) -> Vec<Seats> {
    let sum: u64 = levels.iter().map(|level| u64::from(level.shares)).sum();
    levels
        .iter()
        .map(|level| {
            let whole = u64::from(server).saturating_mul(u64::from(level.shares));
            // Without any shares every level gets nothing.
            let nominal = if sum == 0 { 0 } else { whole.div_ceil(sum) };
            let nominal = u32::try_from(nominal).unwrap_or(u32::MAX);
            let lendable = percent(nominal, level.lendable_percent);
            let borrowable = level.borrowing_limit().map_or(server, |limit| percent(nominal, limit));
            Seats { nominal, min: nominal.saturating_sub(lendable), max: nominal.saturating_add(borrowable) }
        })
        .collect()
}

/// A part of a number in percent, rounded to the nearest, halves up.
fn percent(of: u32, percent: u32) -> u32 {
    let hundredths = u64::from(of).saturating_mul(u64::from(percent));
    u32::try_from(hundredths.saturating_add(50) / 100).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::apf::default_levels;

    fn limited(shares: u32, lendable_percent: u32, borrowing_limit_percent: Option<u32>) -> Level {
        let kind = Kind::Limited { borrowing_limit_percent, queuing: None };
        Level { name: "level".into(), shares, lendable_percent, kind }
    }

    #[test]
    fn a_default_server_is_divided_as_documented() {
        let levels = default_levels();
        let nominal: Vec<(&str, u32)> = levels
            .iter()
            .zip(seats(DEFAULT_SERVER_SEATS, &levels))
            .map(|(level, seats)| (level.name.as_str(), seats.nominal))
            .collect();
        let expected = [
            ("exempt", 0),
            ("system", 74),
            ("node-high", 98),
            ("leader-election", 25),
            ("workload-high", 98),
            ("workload-low", 245),
            ("global-default", 49),
            ("catch-all", 13),
        ];
        assert_eq!(nominal, expected);
    }

    #[test]
    fn what_is_lent_and_borrowed_is_rounded() {
        let levels = [limited(1, 33, Some(50)), limited(1, 90, None)];
        let expected = [Seats { nominal: 5, min: 3, max: 8 }, Seats { nominal: 5, min: 0, max: 15 }];
        assert_eq!(seats(10, &levels), expected);
        assert_eq!(seats(10, &[limited(0, 0, None)]), [Seats { nominal: 0, min: 0, max: 10 }]);
    }

    proptest! {
        #[test]
        fn nominal_seats_are_the_server_and_less_than_one_a_level(
            server in 1_u32..100_000, shares in prop::collection::vec((0_u32..1_000, 0_u32..=100), 1..20),
        ) {
            let levels: Vec<_> =
                shares.iter().map(|(shares, lendable)| limited(*shares, *lendable, Some(100))).collect();
            let got = seats(server, &levels);
            let sum: u32 = got.iter().map(|seats| seats.nominal).sum();
            if shares.iter().any(|(shares, _)| *shares > 0) {
                prop_assert!(sum >= server && (sum as usize) < server as usize + levels.len());
            }
            for seats in got {
                prop_assert!(seats.min <= seats.nominal && seats.nominal <= seats.max);
            }
        }
    }
}
