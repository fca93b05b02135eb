//! What a replica says of the tenants that ask most, with each write of its part.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fairness::rates::shares::Key;
use fairness::rates::{Nanos, Use};

use crate::api::rate_ledger::{Busy, ClassUse, Others};

/// Of how many tenants each is told; of the others only their sum.
pub(crate) const MOST: usize = 50;

/// What a tenant does beside its rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// How many requests are under way.
    pub under_way: u32,
    /// How many wait for a turn at what all tenants share here.
    pub waiting: u32,
    /// How many seats it has there.
    pub seats: u32,
    /// How many watches and streams are open.
    pub streams: u32,
    /// How many bytes of answers went to it until now.
    pub bytes: u64,
}

/// What every tenant does beside its rates, by name.
pub type Loads = Arc<dyn Fn() -> Vec<(String, Load)> + Send + Sync>;

/// What tenants asked for since a moment.
#[derive(Debug, Default)]
pub(super) struct Since {
    start: Nanos,
    uses: BTreeMap<Key, Use>,
    /// The bytes of each until that moment.
    bytes: HashMap<String, u64>,
}

impl Since {
    pub(super) fn add(&mut self, key: &Key, used: Use) {
        let sum = self.uses.entry(key.clone()).or_default();
        sum.asked = sum.asked.saturating_add(used.asked);
        sum.refused = sum.refused.saturating_add(used.refused);
    }

    /// Begins anew: what was until now is told.
    pub(super) fn restart(&mut self, now: Nanos, loads: &[(String, Load)]) {
        let bytes = loads.iter().map(|(tenant, load)| (tenant.clone(), load.bytes)).collect();
        *self = Self { start: now, uses: BTreeMap::new(), bytes };
    }

    /// The tenants that asked most often, or have most under way, and the sum of the others.
    pub(super) fn told(&self, now: Nanos, loads: &[(String, Load)]) -> (Vec<Busy>, Option<Others>) {
        let per_second = |count: u64| per_second(count, now.saturating_sub(self.start));
        let mut all: BTreeMap<&str, Busy> = BTreeMap::new();
        let named = |tenant: &str| Busy { tenant: tenant.to_owned(), ..Busy::default() };
        for ((tenant, class), used) in &self.uses {
            let busy = all.entry(tenant).or_insert_with(|| named(tenant));
            let (asked, refused) = (per_second(used.asked), per_second(used.refused));
            busy.classes.push(ClassUse { class: *class, asked, refused });
        }
        for (tenant, load) in loads {
            let bytes = load.bytes.saturating_sub(self.bytes.get(tenant).copied().unwrap_or_default());
            let now = [load.under_way, load.streams, load.waiting, load.seats];
            if bytes > 0 || now.iter().any(|count| *count > 0) {
                let busy = all.entry(tenant).or_insert_with(|| named(tenant));
                (busy.under_way, busy.streams) = (load.under_way, load.streams);
                (busy.waiting, busy.seats) = (load.waiting, load.seats);
                busy.bytes = per_second(bytes) / 1_000;
            }
        }
        let mut all: Vec<Busy> = all.into_values().collect();
        all.sort_by_cached_key(|busy| {
            std::cmp::Reverse((busy.asked(), busy.under_way, busy.waiting, busy.streams))
        });
        let rest = all.split_off(all.len().min(MOST));
        let sum = |of: fn(&Busy) -> u64| rest.iter().fold(0_u64, |sum, busy| sum.saturating_add(of(busy)));
        let others = Others {
            tenants: u32::try_from(rest.len()).unwrap_or(u32::MAX),
            asked: sum(Busy::asked),
            refused: sum(Busy::refused),
        };
        (all, Some(others).filter(|others| others.tenants > 0))
    }
}

/// So many in this time, as thousandths a second.
fn per_second(count: u64, time: Nanos) -> u64 {
    let thousandths = u128::from(count).saturating_mul(1_000_000_000_000);
    u64::try_from(thousandths.checked_div(time.into()).unwrap_or_default()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use fairness::rates::Class;

    use super::*;

    #[test]
    fn the_busiest_are_named_and_the_others_are_summed() {
        let mut since = Since::default();
        since.restart(0, &[("t00".to_owned(), Load { bytes: 1_000, ..Load::default() })]);
        for number in 0..60_u64 {
            let key = (Arc::from(format!("t{number:02}")), Class::List);
            since.add(&key, Use { asked: number, refused: 1, short: false });
            since.add(&key, Use { asked: number, refused: 0, short: false });
        }
        let loads = [
            ("t00", Load { under_way: 2, streams: 1, bytes: 5_000, waiting: 9, seats: 4 }),
            ("quiet", Load::default()),
            ("open", Load { streams: 4, ..Load::default() }),
        ];
        let loads = loads.map(|(name, load)| (name.to_owned(), load));
        let (busiest, others) = since.told(2_000_000_000, &loads);
        assert_eq!((busiest.len(), busiest[0].tenant.as_str(), busiest[0].asked()), (MOST, "t59", 59_000));
        assert_eq!(busiest[0].refused(), 500);
        let others = others.unwrap();
        // t00 to t09, and the one that has only streams open.
        assert_eq!((others.tenants, others.asked, others.refused), (11, 45_000, 5_000));
        since.restart(2_000_000_000, &loads);
        let (busiest, others) = since.told(3_000_000_000, &loads);
        let told: Vec<_> = busiest
            .iter()
            .map(|busy| (busy.tenant.as_str(), busy.under_way, busy.streams, busy.bytes))
            .collect();
        assert_eq!((told, others), (vec![("t00", 2, 1, 0), ("open", 0, 4, 0)], None));
        assert_eq!((busiest[0].waiting, busiest[0].seats), (9, 4));
        let more = [("t00".to_owned(), Load { bytes: 9_000, ..Load::default() })];
        assert_eq!(since.told(4_000_000_000, &more).0[0].bytes, 2_000);
    }
}
