//! What the ledgers of rates say that tenants do: what all replicas tell, summed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::rate_ledger::{Busy, Replica};

/// What tenants do at the replicas of one ledger.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Top {
    /// The ledger: `webhook`, or that of gateways.
    pub ledger: String,
    /// How many replicas tell.
    pub replicas: usize,
    /// The tenants that ask most often, over all replicas.
    pub tenants: Vec<Busiest>,
    /// What others ask that a replica does not tell of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others: Option<Rest>,
}

/// What a tenant does.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Busiest {
    /// The tenant.
    pub tenant: String,
    /// How often it asks, in requests a second.
    pub asked: f64,
    /// How many of them are refused, a second.
    pub refused: f64,
    /// How often it asks, by class.
    pub classes: BTreeMap<String, f64>,
    /// How many of those are refused, by class; only where some are.
    pub refused_by_class: BTreeMap<String, f64>,
    /// How many requests are under way at gateways.
    pub under_way: u64,
    /// How many wait for a turn: at a gateway's seats, or at the evaluation threads.
    pub waiting: u64,
    /// How many seats it has there.
    pub seats: u64,
    /// How many watches and streams are open at gateways.
    pub streams: u64,
    /// How many bytes of answers go out there in a second.
    pub bytes_per_second: u64,
}

/// What others ask.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Rest {
    /// Requests a second.
    pub asked: f64,
    /// How many of them are refused.
    pub refused: f64,
}

/// What one tenant does at the replicas of one ledger.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TenantUse {
    /// The ledger: `webhook`, or that of gateways.
    pub ledger: String,
    /// How many replicas tell.
    pub replicas: usize,
    /// Whether a replica tells of so many others that do more that this tenant may not be among them.
    pub partial: bool,
    /// What it does.
    #[serde(flatten)]
    pub load: Busiest,
}

impl Top {
    pub(crate) fn of(ledger: String, replicas: &[Replica]) -> Self {
        let mut all: BTreeMap<&str, Vec<&Busy>> = BTreeMap::new();
        for busy in replicas.iter().flat_map(|replica| &replica.busiest) {
            all.entry(&busy.tenant).or_default().push(busy);
        }
        let mut tenants: Vec<Busiest> =
            all.into_iter().map(|(tenant, told)| Busiest::of(tenant, &told)).collect();
        tenants.sort_by(|one, other| other.asked.total_cmp(&one.asked));
        let others = replicas.iter().filter_map(|replica| replica.others.as_ref());
        let sums = others.fold((0_u64, 0_u64), |sums, others| {
            (sums.0.saturating_add(others.asked), sums.1.saturating_add(others.refused))
        });
        let others = Some(Rest { asked: per_second(sums.0), refused: per_second(sums.1) });
        Self { ledger, replicas: replicas.len(), tenants, others: others.filter(|others| others.asked > 0.0) }
    }
}

impl Busiest {
    /// The sum of what replicas tell of a tenant.
    fn of(tenant: &str, told: &[&Busy]) -> Self {
        let sum =
            |of: &dyn Fn(&Busy) -> u64| told.iter().fold(0_u64, |sum, busy| sum.saturating_add(of(busy)));
        let (mut classes, mut refused): (BTreeMap<String, u64>, BTreeMap<String, u64>) = Default::default();
        for class in told.iter().flat_map(|busy| &busy.classes) {
            for (sums, count) in [(&mut classes, class.asked), (&mut refused, class.refused)] {
                let sum = sums.entry(class.class.as_str().to_owned()).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        refused.retain(|_, count| *count > 0);
        let seconds = |sums: BTreeMap<String, u64>| {
            sums.into_iter().map(|(class, count)| (class, per_second(count))).collect()
        };
        Self {
            tenant: tenant.to_owned(),
            asked: per_second(sum(&Busy::asked)),
            refused: per_second(sum(&Busy::refused)),
            classes: seconds(classes),
            refused_by_class: seconds(refused),
            under_way: sum(&|busy| busy.under_way.into()),
            waiting: sum(&|busy| busy.waiting.into()),
            seats: sum(&|busy| busy.seats.into()),
            streams: sum(&|busy| busy.streams.into()),
            bytes_per_second: sum(&|busy| busy.bytes),
        }
    }
}

impl TenantUse {
    pub(super) fn of(tenant: &str, ledger: &str, replicas: &[Replica]) -> Self {
        let of = |replica: &'_ Replica| replica.busiest.iter().position(|busy| busy.tenant == tenant);
        let told: Vec<&Busy> =
            replicas.iter().filter_map(|replica| replica.busiest.get(of(replica)?)).collect();
        let partial = replicas.iter().any(|replica| replica.others.is_some() && of(replica).is_none());
        Self {
            ledger: ledger.to_owned(),
            replicas: replicas.len(),
            partial,
            load: Busiest::of(tenant, &told),
        }
    }
}

/// Thousandths as what they are of.
fn per_second(thousandths: u64) -> f64 {
    f64::from(u32::try_from(thousandths).unwrap_or(u32::MAX)) / 1e3
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::rate_ledger::RateLedgerSpec;

    fn replicas() -> Vec<Replica> {
        let spec: RateLedgerSpec = serde_json::from_value(json!({"replicas": [
            {"name": "a", "renewals": 1, "base": 1, "others": {"tenants": 3, "asked": 500},
             "busiest": [
                {"tenant": "bank", "classes": [{"class": "list", "asked": 1_500}], "underWay": 1},
                {"tenant": "shop", "classes": [{"class": "write", "asked": 1_000, "refused": 250}], "streams": 2, "bytes": 10},
             ]},
            {"name": "b", "renewals": 1, "base": 1, "of a newer Bailey": true,
             "busiest": [{"tenant": "shop", "classes": [{"class": "write", "asked": 500}, {"class": "read", "asked": 250}],
                          "bytes": 5, "waiting": 7, "seats": 3}]},
        ]}))
        .unwrap();
        spec.replicas
    }

    #[test]
    fn replicas_are_summed_and_the_busiest_comes_first() {
        let top = Top::of("gateway".to_owned(), &replicas());
        let shop = &top.tenants[0];
        assert_eq!((shop.tenant.as_str(), shop.asked, shop.refused), ("shop", 1.75, 0.25));
        assert_eq!((shop.streams, shop.bytes_per_second, shop.classes["write"]), (2, 15, 1.5));
        assert_eq!(shop.refused_by_class, BTreeMap::from([("write".to_owned(), 0.25)]));
        assert_eq!((shop.waiting, shop.seats), (7, 3));
        assert_eq!((top.tenants[1].tenant.as_str(), top.tenants[1].under_way), ("bank", 1));
        assert_eq!((top.replicas, top.others.unwrap().asked), (2, 0.5));
    }

    #[test]
    fn what_is_told_to_a_tenant_is_its_own_and_says_where_some_may_be_missing() {
        let of = |tenant: &str| TenantUse::of(tenant, "gateway", &replicas());
        assert_eq!((of("shop").load.asked, of("shop").partial, of("shop").replicas), (1.75, false, 2));
        assert_eq!((of("bank").load.asked, of("bank").partial), (1.5, false));
        let quiet = of("quiet");
        assert_eq!((quiet.load.asked, quiet.partial), (0.0, true));
        let text = serde_json::to_string(&of("shop")).unwrap();
        assert!(!text.contains("bank"), "{text}");
        assert_eq!(serde_json::from_str::<TenantUse>(&text).unwrap(), of("shop"));
    }
}
