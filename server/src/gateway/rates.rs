//! The limits of tenants: those of the flags, but for the rates that their classes give them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fairness::rates::ByTenant;
use gateway::{Gateway, LimitsOf, TenantLimits, TenantLoad};
use model::TenantIndex;
use tenancy::rates::{LimitOf, Load};
use tokio::sync::watch;

/// What was made of the rates as they are: the same value as long as they are the same.
struct Made {
    of: Arc<ByTenant>,
    limits: HashMap<String, Arc<TenantLimits>>,
}

/// The limits of each tenant.
pub(super) fn limits_of(flags: TenantLimits, rates: watch::Receiver<Arc<ByTenant>>) -> LimitsOf {
    let flags = Arc::new(flags);
    let made = Mutex::new(Made { of: Arc::default(), limits: HashMap::new() });
    Arc::new(move |tenant| {
        let now = Arc::clone(&rates.borrow());
        let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&made.of, &now) {
            made.renew(&flags, now);
        }
        made.limits.get(tenant).map_or_else(|| Arc::clone(&flags), Arc::clone)
    })
}

/// The rate of each tenant, as ledgers ask for it.
pub(super) fn limit_of(limits_of: LimitsOf, tenants: watch::Receiver<Arc<TenantIndex>>) -> LimitOf {
    Arc::new(move |tenant, class| {
        tenants.borrow().tenant(tenant)?;
        Some((*limits_of(tenant).rates.get(class as usize)?)?.tenant)
    })
}

/// What each tenant does here, as ledgers tell it.
pub(super) fn loads(gateway: &Gateway) -> Vec<(String, Load)> {
    let load = |(tenant, load): (String, TenantLoad)| {
        let TenantLoad { under_way, streams, bytes, waiting, seats } = load;
        (tenant, Load { under_way, waiting, seats, streams, bytes })
    };
    gateway.loads().into_iter().map(load).collect()
}

impl Made {
    fn renew(&mut self, flags: &TenantLimits, rates: Arc<ByTenant>) {
        let mut limits = HashMap::with_capacity(rates.len());
        for (tenant, rates) in rates.iter() {
            let mut new = flags.clone();
            for (class, limit) in rates.iter() {
                if let Some(place) = new.rates.get_mut(*class as usize) {
                    *place = Some(*limit);
                }
            }
            let known = self.limits.remove(tenant).filter(|known| **known == new);
            limits.insert(tenant.clone(), known.unwrap_or_else(|| Arc::new(new)));
        }
        (self.limits, self.of) = (limits, rates);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fairness::rates::{Class, Limit, Limits};

    use super::*;

    fn rates(all: &[(&str, u32)]) -> Arc<ByTenant> {
        let limits = |burst| Limits { tenant: Limit::per_second(1, burst), user: None };
        let of = |burst: u32| Arc::new(BTreeMap::from([(Class::List, limits(burst))]));
        Arc::new(all.iter().map(|(tenant, burst)| ((*tenant).to_owned(), of(*burst))).collect())
    }

    #[test]
    fn a_class_has_the_last_word_and_what_did_not_change_stays_the_same() {
        let flag = Limits { tenant: Limit::per_second(9, 9), user: None };
        let flags = TenantLimits {
            rates: [Some(flag); Class::ALL.len()],
            requests: 1,
            streams: 1,
            bytes_per_second: None,
            page: None,
        };
        let sender = watch::Sender::new(rates(&[("one", 2), ("two", 3)]));
        let limits_of = limits_of(flags, sender.subscribe());
        let list = |tenant: &str| limits_of(tenant).rates[Class::List as usize].unwrap().tenant.burst;
        assert_eq!((list("one"), list("two"), list("other")), (2, 3, 9));
        assert_eq!(limits_of("one").rates[Class::Write as usize], Some(flag), "of the flags");
        let (one, two, other) = (limits_of("one"), limits_of("two"), limits_of("other"));
        sender.send_replace(rates(&[("one", 5), ("two", 3)]));
        assert_eq!((list("one"), list("two")), (5, 3));
        assert!(!Arc::ptr_eq(&one, &limits_of("one")) && Arc::ptr_eq(&two, &limits_of("two")));
        sender.send_replace(rates(&[]));
        assert!(list("one") == 9 && Arc::ptr_eq(&other, &limits_of("one")));
    }
}
