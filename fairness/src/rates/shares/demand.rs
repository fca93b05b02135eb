//! What a replica is asked for.

use std::collections::BTreeMap;

use super::{Key, Limit, Nanos, Rate};
use crate::rates::Use;

/// Of how many parts of its limit a demand is so many: smaller changes are not written.
const PARTS: u64 = 16;

/// What a replica is asked for, in sixteenths of each limit. It rises at once and falls slowly, so that a pause in what a
/// client sends moves nothing.
#[derive(Debug, Clone, Default)]
pub struct Demands(BTreeMap<Key, u64>);

impl Demands {
    /// Takes in what was asked for in so much time, under these limits, and says what is asked for now. Who had to be
    /// refused for the tenant's sake asks for all: how much clients hold back is not known.
    pub fn update<'a>(
        &mut self,
        time: Nanos,
        uses: impl IntoIterator<Item = (&'a Key, Use)>,
        limit: impl Fn(&Key) -> Option<Limit>,
    ) -> BTreeMap<Key, Rate> {
        for parts in self.0.values_mut() {
            *parts = parts.saturating_mul(3) / 4;
        }
        for (key, used) in uses {
            let Some(limit) = limit(key) else { continue };
            let parts = if used.short { PARTS } else { parts(used.asked, time, limit.rate) };
            let known = self.0.entry(key.clone()).or_default();
            *known = parts.max(*known);
        }
        self.0.retain(|_, parts| *parts > 0);
        let rate = |(key, parts): (&Key, &u64)| {
            let rate = limit(key)?.rate.as_thousandths();
            Some((key.clone(), Rate::thousandths(rate.saturating_mul(*parts).div_ceil(PARTS))))
        };
        self.0.iter().filter_map(rate).collect()
    }
}

/// How many sixteenths of a rate so many requests are, rounded down: what little is asked for needs no more than an even
/// part.
fn parts(requests: u64, time: Nanos, rate: Rate) -> u64 {
    let asked = u128::from(requests).saturating_mul(u128::from(PARTS)).saturating_mul(1_000_000_000_000);
    let whole = u128::from(time).saturating_mul(u128::from(rate.as_thousandths()));
    let parts = asked.checked_div(whole).map(u64::try_from);
    parts.map_or(PARTS, |parts| parts.unwrap_or(PARTS).min(PARTS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rates::Class;

    #[test]
    fn demands_rise_at_once_and_fall_slowly() {
        let key: Key = ("shop".into(), Class::Write);
        let limit = |found: &Key| (*found == key).then_some(Limit::per_second(160, 10));
        let mut demands = Demands::default();
        let mut ask = |asked, refused| {
            let used = [(&key, Use { asked, refused: 0, short: refused > 0 })];
            let of = demands.update(2_000_000_000, used, limit);
            of.get(&key).map_or(0, |rate| rate.as_thousandths() / 1_000)
        };
        assert_eq!((ask(0, 0), ask(19, 0), ask(105, 0)), (0, 0, 50));
        assert_eq!([0; 5].map(|_| ask(0, 0)), [30, 20, 10, 0, 0]);
        assert_eq!((ask(2, 1), ask(100_000, 0), ask(0, 0)), (160, 160, 120));
        let other: Key = ("other".into(), Class::Write);
        let unknown = demands.update(1, [(&other, Use { asked: 9, refused: 9, short: true })], limit);
        assert!(!unknown.contains_key(&other));
    }
}
