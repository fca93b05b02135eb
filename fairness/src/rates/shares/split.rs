//! How a limit is split.

use crate::rates::{Limit, Rate};

/// The part of a limit that is spread evenly whatever is asked for: one of so many.
const EVEN: u64 = 8;

/// Splits a limit by demands, in their order. The parts sum to the limit, or to less by the rounding; who is who by
/// name decides who gets what is left of a division, so the order of the demands plays no part.
pub fn split(limit: Limit, demands: &[(&str, Rate)]) -> Vec<Limit> {
    let rates = rates(limit.rate.as_thousandths(), demands);
    let bursts = bursts(limit, &rates, demands);
    let part = |(rate, burst)| Limit { rate: Rate::thousandths(rate), burst };
    rates.into_iter().zip(bursts).map(part).collect()
}

fn rates(all: u64, demands: &[(&str, Rate)]) -> Vec<u64> {
    let count = u64::try_from(demands.len()).unwrap_or(u64::MAX);
    let even = (all / EVEN).checked_div(count).unwrap_or_default();
    let mut left = all.saturating_sub(even.saturating_mul(count));
    let mut order: Vec<(usize, &(&str, Rate))> = demands.iter().enumerate().collect();
    order.sort_by_key(|(_, (name, demand))| (*demand, *name));
    let mut parts = vec![even; demands.len()];
    let mut rest = count;
    for (at, (_, demand)) in &order {
        let fair = left.checked_div(rest).unwrap_or_default();
        let more = demand.as_thousandths().saturating_sub(even).min(fair);
        if let Some(part) = parts.get_mut(*at) {
            *part = part.saturating_add(more);
        }
        left = left.saturating_sub(more);
        rest = rest.saturating_sub(1);
    }
    let each = left.checked_div(count).unwrap_or_default();
    for part in &mut parts {
        *part = part.saturating_add(each);
    }
    parts
}

/// Whole requests in proportion to the rates; what is left of the divisions goes to the largest fractions.
fn bursts(limit: Limit, rates: &[u64], demands: &[(&str, Rate)]) -> Vec<u32> {
    let sum = rates.iter().fold(0_u128, |sum, rate| sum.saturating_add(u128::from(*rate)));
    let exact = |rate: &u64| u128::from(*rate).saturating_mul(u128::from(limit.burst));
    let whole =
        |rate: &u64| u32::try_from(exact(rate).checked_div(sum).unwrap_or_default()).unwrap_or(u32::MAX);
    let mut parts: Vec<u32> = rates.iter().map(whole).collect();
    let given = parts.iter().fold(0_u32, |sum, part| sum.saturating_add(*part));
    let mut left = limit.burst.saturating_sub(given);
    let mut order: Vec<(u128, &str, usize)> = rates
        .iter()
        .zip(demands)
        .enumerate()
        .map(|(at, (rate, (name, _)))| (exact(rate).checked_rem(sum).unwrap_or_default(), *name, at))
        .collect();
    order.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));
    for (fraction, _, at) in order {
        // Where the rate is nothing, so is the burst.
        if left == 0 || fraction == 0 {
            break;
        }
        if let Some(part) = parts.get_mut(at) {
            *part = part.saturating_add(1);
        }
        left = left.saturating_sub(1);
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(limit: Limit, demands: &[u64]) -> Vec<(u64, u32)> {
        let names: Vec<String> = (0..demands.len()).map(|at| format!("r{at}")).collect();
        let demands: Vec<(&str, Rate)> = names
            .iter()
            .zip(demands)
            .map(|(name, demand)| (name.as_str(), Rate::per_second(*demand)))
            .collect();
        split(limit, &demands).iter().map(|part| (part.rate.as_thousandths(), part.burst)).collect()
    }

    #[test]
    fn parts_follow_the_demands() {
        let limit = Limit::per_second(80, 40);
        assert_eq!(parts(limit, &[]), []);
        assert_eq!(parts(limit, &[5]), [(80_000, 40)]);
        assert_eq!(parts(limit, &[0, 0]), [(40_000, 20), (40_000, 20)]);
        // An eighth evenly: 5 each. Of the other 70 the first asks for 10 more, the second for all.
        assert_eq!(parts(limit, &[15, 1_000]), [(15_000, 8), (65_000, 32)]);
        assert_eq!(parts(limit, &[0, 1_000]), [(5_000, 3), (75_000, 37)]);
        assert_eq!(parts(limit, &[1_000, 1_000]), [(40_000, 20), (40_000, 20)]);
        // Everyone has enough: the rest is spread.
        assert_eq!(parts(limit, &[15, 25]), [(35_000, 18), (45_000, 22)]);
        assert_eq!(parts(Limit::per_second(1, 1), &[0, 0, 0]), [(333, 1), (333, 0), (333, 0)]);
        assert_eq!(parts(Limit::NONE, &[1, 2]), [(0, 0), (0, 0)]);
    }

    proptest! {
        #[test]
        fn parts_sum_to_the_limit_and_nobody_gains_by_order(
            rate in 0_u64..10_000_000,
            burst in 0_u32..10_000,
            demands in prop::collection::vec(0_u64..20_000_000, 1..10),
        ) {
            let limit = Limit { rate: Rate::thousandths(rate), burst };
            let names: Vec<String> = (0..demands.len()).map(|at| format!("r{at}")).collect();
            let mut demands: Vec<(&str, Rate)> =
                names.iter().zip(&demands).map(|(name, demand)| (name.as_str(), Rate::thousandths(*demand))).collect();
            let parts = split(limit, &demands);
            let rates: u64 = parts.iter().map(|part| part.rate.as_thousandths()).sum();
            let bursts: u32 = parts.iter().map(|part| part.burst).sum();
            prop_assert!(rates <= rate && rate <= rates.saturating_add(demands.len() as u64));
            prop_assert!(bursts == burst || rates == 0);
            demands.reverse();
            let mut reversed = split(limit, &demands);
            reversed.reverse();
            prop_assert_eq!(reversed, parts);
        }
    }
}
