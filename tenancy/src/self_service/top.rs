//! What tenants do now, as the replicas tell it in the ledgers of rates.

use std::collections::BTreeMap;

use kube::ResourceExt;
use serde::Serialize;

use super::fault::{Fault, chain};
use super::session::Session;
use crate::api::rate_ledger::{Busy, RateLedgerSpec, Replica};

/// Who may read what this reads.
const HINT: &str =
    "only administrators see what all tenants do; users see theirs with `kubectl tenant limits`";

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
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Busiest {
    /// The tenant.
    pub tenant: String,
    /// How often it asks, in requests a second.
    pub asked: f64,
    /// How many of them are refused, a second.
    pub refused: f64,
    /// How often it asks, by class.
    pub classes: BTreeMap<String, f64>,
    /// How many requests are under way at gateways.
    pub under_way: u64,
    /// How many watches and streams are open there.
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

impl Session {
    /// What tenants do now, a few seconds behind, by ledger; of one ledger or of all.
    ///
    /// # Errors
    /// When the user may not list ledgers, or there is none of the name.
    pub async fn top(&self, ledger: Option<&str>) -> Result<Vec<Top>, Fault> {
        let all = self.list(self.own("RateLedger"), "").await.map_err(|fault| fault.or(HINT))?;
        let mut found = Vec::new();
        for object in all.iter().filter(|object| ledger.is_none_or(|name| name == object.name_any())) {
            let spec = object.data.get("spec").cloned().unwrap_or_default();
            let spec: RateLedgerSpec =
                serde_json::from_value(spec).map_err(|error| Fault::Failed(chain(&error)))?;
            found.push(top(object.name_any(), &spec.replicas));
        }
        if let Some(name) = ledger.filter(|_| found.is_empty()) {
            let known: Vec<String> = all.iter().map(|object| format!("`{}`", object.name_any())).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Fault::NotFound(format!("there is no RateLedger `{name}`; there are {known}")));
        }
        Ok(found)
    }
}

fn top(ledger: String, replicas: &[Replica]) -> Top {
    let mut all: BTreeMap<&str, (Vec<&Busy>, Busiest)> = BTreeMap::new();
    for busy in replicas.iter().flat_map(|replica| &replica.busiest) {
        let (told, sum) = all.entry(&busy.tenant).or_default();
        told.push(busy);
        sum.under_way = sum.under_way.saturating_add(busy.under_way.into());
        sum.streams = sum.streams.saturating_add(busy.streams.into());
        sum.bytes_per_second = sum.bytes_per_second.saturating_add(busy.bytes);
    }
    let sum_of = |told: &[&Busy], of: &dyn Fn(&Busy) -> u64| {
        per_second(told.iter().fold(0, |sum: u64, busy| sum.saturating_add(of(busy))))
    };
    let mut tenants: Vec<Busiest> = all
        .into_iter()
        .map(|(tenant, (told, sum))| {
            let mut classes: BTreeMap<String, u64> = BTreeMap::new();
            for class in told.iter().flat_map(|busy| &busy.classes) {
                let asked = classes.entry(class.class.as_str().to_owned()).or_default();
                *asked = asked.saturating_add(class.asked);
            }
            Busiest {
                tenant: tenant.to_owned(),
                asked: sum_of(&told, &Busy::asked),
                refused: sum_of(&told, &Busy::refused),
                classes: classes.into_iter().map(|(name, asked)| (name, per_second(asked))).collect(),
                ..sum
            }
        })
        .collect();
    tenants.sort_by(|one, other| other.asked.total_cmp(&one.asked));
    let others = replicas.iter().filter_map(|replica| replica.others.as_ref());
    let sums = others.fold((0_u64, 0_u64), |sums, others| {
        (sums.0.saturating_add(others.asked), sums.1.saturating_add(others.refused))
    });
    let others = Some(Rest { asked: per_second(sums.0), refused: per_second(sums.1) });
    Top { ledger, replicas: replicas.len(), tenants, others: others.filter(|others| others.asked > 0.0) }
}

/// Thousandths as what they are of.
fn per_second(thousandths: u64) -> f64 {
    f64::from(u32::try_from(thousandths).unwrap_or(u32::MAX)) / 1e3
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn replicas_are_summed_and_the_busiest_comes_first() {
        let spec: RateLedgerSpec = serde_json::from_value(json!({"replicas": [
            {"name": "a", "renewals": 1, "base": 1, "others": {"tenants": 3, "asked": 500},
             "busiest": [
                {"tenant": "bank", "classes": [{"class": "list", "asked": 1_500}], "underWay": 1},
                {"tenant": "shop", "classes": [{"class": "write", "asked": 1_000, "refused": 250}], "streams": 2, "bytes": 10},
             ]},
            {"name": "b", "renewals": 1, "base": 1, "of a newer Bailey": true,
             "busiest": [{"tenant": "shop", "classes": [{"class": "write", "asked": 500}, {"class": "read", "asked": 250}], "bytes": 5}]},
        ]}))
        .unwrap();
        let top = top("gateway".to_owned(), &spec.replicas);
        let shop = &top.tenants[0];
        assert_eq!((shop.tenant.as_str(), shop.asked, shop.refused), ("shop", 1.75, 0.25));
        assert_eq!((shop.streams, shop.bytes_per_second, shop.classes["write"]), (2, 15, 1.5));
        assert_eq!((top.tenants[1].tenant.as_str(), top.tenants[1].under_way), ("bank", 1));
        assert_eq!((top.replicas, top.others.unwrap().asked), (2, 0.5));
    }
}
