//! How levels lend each other seats: the adjustment a server makes every ten seconds.
//!
//! **Guarantee.** Seats of limited levels lie between their floor and their most, and sum to what exempt levels leave
//! of the total, up to rounding by half a seat a level. Where exempt levels leave less than all floors, each level
//! gets between its least and its floor, in the same proportion; where they leave less than the least, each gets its
//! least and the sum is more than the server has, as it is in the server.
//!
//! Source: KEP-1040 and `apf_controller.go`. The server finds the proportion by bisection, this model exactly, from
//! the sorted points where a level reaches a bound: O(n log n).

use super::Seats;

/// How often a server adjusts.
pub const ADJUSTMENT_SECONDS: u32 = 10;
/// How much of the smoothed demand stays a period: its half-life is five minutes.
const KEPT: f64 = 0.977;
/// The least target, so that proportions are defined.
const LEAST_TARGET: f64 = 0.001;
/// How far sums may differ and still count as equal.
const EPSILON: f64 = 1e-7;

/// How many seats were asked for in one period, over time: executing and waiting ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub deviation: f64,
    /// The most at any moment.
    pub high: f64,
}

/// What a level's demand is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Demand {
    /// The envelope, which rises at once and falls slowly.
    pub smoothed: f64,
    /// The most in the last period.
    pub high: f64,
}

impl Demand {
    /// The demand after one more period: `envelope = mean + deviation`,
    /// `smoothed = max(envelope, 0.977 smoothed + 0.023 envelope)`.
    #[must_use]
    pub fn after(self, period: Observation) -> Self {
        let envelope = period.mean + period.deviation;
        let smoothed = envelope.max(KEPT.mul_add(self.smoothed, (1.0 - KEPT) * envelope));
        Self { smoothed, high: period.high }
    }
}

/// One level at an adjustment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Period {
    /// What the configuration gives it.
    pub seats: Seats,
    /// What it asks for.
    pub demand: Demand,
    /// Whether it is exempt.
    pub exempt: bool,
}

impl Period {
    /// The least it has until the next adjustment: `max(min, min(nominal, high))`, exempt `max(min, high)`.
    pub fn floor(&self) -> u32 {
        // What was asked for at once is far below 2^32, and negative never.
        let high = self.demand.high.ceil() as u32;
        let most = if self.exempt { high } else { high.min(self.seats.nominal) };
        most.max(self.seats.min)
    }

    fn item(&self) -> Item {
        let floor = f64::from(self.floor());
        Item {
            target: floor.max(self.demand.smoothed),
            low: floor,
            high: f64::from(self.seats.max).max(floor),
        }
    }
}

/// The seats of every level until the next adjustment, in the same order.
pub fn adjust(levels: &[Period]) -> Vec<u32> {
    // The server divides the sum of the nominal seats, which were rounded up.
    let total: f64 = levels.iter().map(|level| f64::from(level.seats.nominal)).sum();
    let sum = |exempt: bool, part: fn(&Period) -> u32| -> f64 {
        levels.iter().filter(|level| level.exempt == exempt).map(|level| f64::from(part(level))).sum()
    };
    let remaining = total - sum(true, Period::floor);
    let (least, floors) = (sum(false, |level| level.seats.min), sum(false, Period::floor));
    let limited: Vec<f64> = if remaining <= least {
        limited_levels(levels).map(|level| f64::from(level.seats.min)).collect()
    } else if remaining <= floors {
        let part = (remaining - least) / (floors - least);
        let between = |level: &Period| {
            let min = f64::from(level.seats.min);
            (f64::from(level.floor()) - min).mul_add(part, min)
        };
        limited_levels(levels).map(between).collect()
    } else {
        let items: Vec<Item> = limited_levels(levels).map(Period::item).collect();
        // More seats than all may have: each gets its most. Fewer than the floors: the branch above.
        allocate(remaining, &items)
            .map_or_else(|_| items.iter().map(|item| item.high).collect(), |(seats, _)| seats)
    };
    let mut limited = limited.into_iter();
    levels
        .iter()
        .map(
            |level| {
                if level.exempt { level.floor() } else { limited.next().unwrap_or_default().round() as u32 }
            },
        )
        .collect()
}

fn limited_levels(levels: &[Period]) -> impl Iterator<Item = &Period> {
    levels.iter().filter(|level| !level.exempt)
}

/// One part of an allocation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Item {
    /// What it gets in proportion to.
    pub target: f64,
    /// The least it gets, not negative.
    pub low: f64,
    /// The most it gets, at least `low`.
    pub high: f64,
}

/// Why a sum cannot be divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllocationFault {
    /// A bound or target is negative or no number, or the most is below the least.
    Bounds,
    /// The least of all is more than the sum.
    TooLittle,
    /// The most of all is less than the sum.
    TooMuch,
}

impl std::fmt::Display for AllocationFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bounds => "the bounds of a part contradict each other",
            Self::TooLittle => "the parts need more than there is",
            Self::TooMuch => "there is more than the parts may have",
        })
    }
}

impl std::error::Error for AllocationFault {}

/// Divides a sum: each part gets `clamp(proportion x target, low, high)`, with the one proportion by which the parts
/// sum to it. Returns the parts and the proportion.
///
/// # Errors
/// Where the bounds leave no such proportion.
pub fn allocate(sum: f64, items: &[Item]) -> Result<(Vec<f64>, f64), AllocationFault> {
    let sound = |item: &Item| item.target >= 0.0 && item.low >= 0.0 && item.high >= item.low;
    if !items.iter().all(sound) {
        return Err(AllocationFault::Bounds);
    }
    let target = |item: &Item| item.target.max(LEAST_TARGET);
    let part = |item: &Item, proportion: f64| (proportion * target(item)).clamp(item.low, item.high);
    let total = |proportion: f64| -> f64 { items.iter().map(|item| part(item, proportion)).sum() };
    if total(0.0) > sum + EPSILON {
        return Err(AllocationFault::TooLittle);
    }
    if total(f64::INFINITY) < sum - EPSILON {
        return Err(AllocationFault::TooMuch);
    }
    let mut points: Vec<f64> =
        items.iter().flat_map(|item| [item.low / target(item), item.high / target(item)]).collect();
    points.sort_by(f64::total_cmp);
    // `total` rises with the proportion, and is a line between neighbouring points.
    let above = points.partition_point(|point| total(*point) < sum);
    let to = points.get(above).or(points.last()).copied().unwrap_or(0.0);
    let from = above.checked_sub(1).and_then(|below| points.get(below)).copied().unwrap_or(0.0);
    let (start, end) = (total(from), total(to));
    let proportion = if end > start { (sum - start).mul_add((to - from) / (end - start), from) } else { to };
    Ok((items.iter().map(|item| part(item, proportion)).collect(), proportion))
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn level(nominal: u32, min: u32, max: u32, demand: f64) -> Period {
        let demand = Demand { smoothed: demand, high: demand };
        Period { seats: Seats { nominal, min, max }, demand, exempt: false }
    }

    #[test]
    fn demand_rises_at_once_and_halves_in_five_minutes() {
        let busy = Observation { mean: 8.0, deviation: 2.0, high: 15.0 };
        let mut demand = Demand::default().after(busy);
        assert_eq!(demand, Demand { smoothed: 10.0, high: 15.0 });
        for _ in 0..300 / ADJUSTMENT_SECONDS {
            demand = demand.after(Observation { mean: 0.0, deviation: 0.0, high: 0.0 });
        }
        assert!((demand.smoothed - 5.0).abs() < 0.1 && demand.high == 0.0, "{demand:?}");
    }

    #[test]
    fn the_borrower_gets_what_the_lender_may_lend() {
        // The server's own test: 24 seats, of which one level asks for many and the other for few.
        let seats = adjust(&[level(12, 6, 24, 24.0), level(12, 6, 24, 6.0)]);
        assert_eq!(seats, [18, 6]);
        let both = adjust(&[level(12, 6, 16, 24.0), level(12, 6, 24, 24.0)]);
        assert_eq!(both, [12, 12]);
        assert_eq!(adjust(&[level(12, 6, 16, 24.0), level(12, 6, 24, 6.0)]), [16, 8]);
    }

    #[test]
    fn what_exempt_levels_take_is_missed_by_all() {
        let exempt = |high: f64| Period {
            exempt: true,
            demand: Demand { smoothed: 0.0, high },
            ..level(0, 0, 600, 0.0)
        };
        let others = [level(10, 4, 20, 10.0), level(10, 8, 20, 10.0)];
        let with = |high| adjust(&[exempt(high), others[0], others[1]]);
        assert_eq!(with(0.0), [0, 10, 10]);
        // 16 remain: 4 + 6/8 x 4 and 8 + 2/8 x 4.
        assert_eq!(with(4.0), [4, 7, 9]);
        assert_eq!(with(8.0), [8, 4, 8]);
        assert_eq!(with(19.0), [19, 4, 8]);
    }

    #[test]
    fn what_cannot_be_divided_is_said() {
        let item = Item { target: 1.0, low: 2.0, high: 4.0 };
        assert_eq!(allocate(1.0, &[item]), Err(AllocationFault::TooLittle));
        assert_eq!(allocate(5.0, &[item]), Err(AllocationFault::TooMuch));
        assert_eq!(allocate(3.0, &[Item { high: 1.0, ..item }]), Err(AllocationFault::Bounds));
        assert_eq!(allocate(3.0, &[Item { low: f64::NAN, ..item }]), Err(AllocationFault::Bounds));
        assert_eq!(allocate(0.0, &[]), Ok((Vec::new(), 0.0)));
    }

    fn items() -> impl Strategy<Value = Vec<Item>> {
        let item = (0.0..500.0_f64, 0.0..100.0_f64, 0.0..300.0_f64).prop_map(|(target, low, more)| Item {
            target,
            low,
            high: low + more,
        });
        prop::collection::vec(item, 1..12)
    }

    proptest! {
        #[test]
        fn an_allocation_keeps_its_bounds_its_sum_and_one_proportion(items in items(), at in 0.0..=1.0_f64) {
            let low: f64 = items.iter().map(|item| item.low).sum();
            let high: f64 = items.iter().map(|item| item.high).sum();
            let sum = (high - low).mul_add(at, low);
            let (parts, proportion) = allocate(sum, &items).unwrap();
            let got: f64 = parts.iter().sum();
            prop_assert!((got - sum).abs() < 1e-6 * sum.max(1.0), "{} is not {}", got, sum);
            for (item, part) in items.iter().zip(&parts) {
                prop_assert!(item.low <= *part && *part <= item.high);
                let fair = proportion * item.target.max(LEAST_TARGET);
                prop_assert_eq!(*part, fair.clamp(item.low, item.high));
            }
        }

        #[test]
        fn an_adjustment_keeps_the_levels_bounds_and_the_servers_seats(
            levels in prop::collection::vec((0_u32..100, 0_u32..100, 0_u32..200, 0.0..300.0_f64, 0.0..300.0_f64), 1..10),
            exempt in 0.0..50.0_f64,
        ) {
            let mut all: Vec<Period> = levels
                .iter()
                .map(|(nominal, lent, borrowed, smoothed, high)| Period {
                    seats: Seats {
                        nominal: *nominal,
                        min: nominal.saturating_sub(*lent),
                        max: nominal + borrowed,
                    },
                    demand: Demand { smoothed: *smoothed, high: *high },
                    exempt: false,
                })
                .collect();
            let total: u32 = all.iter().map(|level| level.seats.nominal).sum();
            all.push(Period { exempt: true, demand: Demand { smoothed: 0.0, high: exempt }, ..level(0, 0, 0, 0.0) });
            let got = adjust(&all);
            for (level, seats) in all.iter().zip(&got).filter(|(level, _)| !level.exempt) {
                prop_assert!(level.seats.min <= *seats && *seats <= level.seats.max);
            }
            let (least, most) = all.iter().fold((0, 0), |(least, most), level| {
                (least + level.seats.min, most + level.seats.max)
            });
            let taken = got.last().copied().unwrap_or_default();
            if taken + least <= total && total - taken <= most {
                let sum: u32 = got.iter().sum();
                prop_assert!(sum.abs_diff(total) as usize <= all.len(), "{} of {}", sum, total);
            }
        }
    }
}
