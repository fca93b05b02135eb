//! The rates of a tenant as its members see them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How often a tenant may do something, over all its namespaces and whatever its users and accounts are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLine {
    /// The class of requests, such as `write`.
    pub class: String,
    /// How often all of it together.
    pub tenant: String,
    /// How many requests may come at once.
    pub burst: u32,
    /// How often each of its users; `None` without a limit of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// How many requests of a user may come at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_burst: Option<u32>,
    /// How often all of it together, in thousandths of a request a second.
    #[serde(skip)]
    pub thousandths: u64,
}

/// What a tenant's status says of its class. Unknown fields are a newer Bailey's, and no reason to fail.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fairness {
    class: String,
    rates: BTreeMap<String, StoredRates>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct StoredRates {
    tenant: StoredRate,
    user: Option<StoredRate>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default)]
struct StoredRate {
    requests: u32,
    seconds: u32,
    burst: u32,
}

impl Default for StoredRate {
    fn default() -> Self {
        Self { requests: 0, seconds: 1, burst: 0 }
    }
}

impl StoredRate {
    /// Such as `1 in 2 s`, and how many at once.
    fn shown(self) -> (String, u32) {
        let often = match self.seconds {
            1 => format!("{} a second", self.requests),
            seconds => format!("{} in {seconds} s", self.requests),
        };
        (often, self.burst)
    }
}

impl Fairness {
    /// The class, and its rates as lines.
    pub(super) fn shown(self) -> (String, Vec<RateLine>) {
        let line = |(class, rates): (String, StoredRates)| {
            let (tenant, burst) = rates.tenant.shown();
            let (user, user_burst) = rates.user.map(StoredRate::shown).unzip();
            let thousandths = u64::from(rates.tenant.requests).saturating_mul(1_000);
            let thousandths = thousandths.checked_div(rates.tenant.seconds.into()).unwrap_or_default();
            RateLine { class, tenant, burst, user, user_burst, thousandths }
        };
        (self.class, self.rates.into_iter().map(line).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rates_are_lines_also_those_of_a_newer_bailey() {
        let stored = json!({"class": "gold", "newer": 1, "rates": {
            "write": {"tenant": {"requests": 50, "burst": 200}, "user": {"requests": 1, "seconds": 2, "burst": 20, "newer": 1}},
            "newer": {"tenant": {"requests": 3, "seconds": 1, "burst": 4}},
        }});
        let (class, lines) = serde_json::from_value::<Fairness>(stored).unwrap().shown();
        assert_eq!(class, "gold");
        let newer = RateLine {
            class: "newer".to_owned(),
            tenant: "3 a second".to_owned(),
            burst: 4,
            user: None,
            user_burst: None,
            thousandths: 3_000,
        };
        let write = RateLine {
            class: "write".to_owned(),
            tenant: "50 a second".to_owned(),
            burst: 200,
            user: Some("1 in 2 s".to_owned()),
            user_burst: Some(20),
            thousandths: 50_000,
        };
        assert_eq!(lines, [newer, write]);
    }
}
