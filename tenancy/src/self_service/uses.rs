//! What a tenant does now, as its members are told it through the API server.

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::rates::RateLine;
use super::session::Session;
use crate::rates::TenantUse;

/// Where it is served.
const PATH: &str = "/apis/decisions.bailey.dev/v1alpha1/uses";

/// What a tenant does at all replicas that share rates, up to seven seconds ago.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Uses {
    /// Where: `webhook`, or the gateways of this ledger.
    pub ledger: String,
    /// How many replicas tell.
    pub replicas: usize,
    /// Whether some may be missing: a replica tells of the tenants that do most, and of this one it does not.
    pub partial: bool,
    /// What it asks for, by class.
    pub classes: Vec<ClassUse>,
    /// Requests under way at gateways.
    pub under_way: u64,
    /// Requests that wait for a turn.
    pub waiting: u64,
    /// The seats that it has.
    pub seats: u64,
    /// Open watches and streams at gateways.
    pub streams: u64,
    /// Bytes of answers a second from gateways.
    pub bytes_per_second: u64,
}

/// What it asks for of a class.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassUse {
    /// The class of requests, such as `write`.
    pub class: String,
    /// Requests a second.
    pub asked: f64,
    /// How many of them are refused.
    pub refused: f64,
    /// How much of the tenant's rate is asked for, in percent; `None` where its class gives none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<TenantUse>,
}

impl Session {
    /// What a tenant does now; `None` where the cluster does not tell, or the user may not know.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub(super) async fn uses(&self, tenant: &str, rates: &[RateLine]) -> Result<Option<Vec<Uses>>, Fault> {
        let request = http::Request::get(format!("{PATH}/{tenant}")).body(Vec::new());
        let request =
            request.map_err(|error| Fault::Usage(format!("`{tenant}` names no tenant: {error}")))?;
        match self.client.request::<Answer>(request).await {
            Ok(answer) => Ok(Some(answer.items.into_iter().map(|told| Uses::of(told, rates)).collect())),
            Err(kube::Error::Api(status)) if [403, 404, 503].contains(&status.code) => Ok(None),
            Err(error) => Err(self.fault(&error)),
        }
    }
}

impl Uses {
    fn of(told: TenantUse, rates: &[RateLine]) -> Self {
        let TenantUse { ledger, replicas, partial, load } = told;
        let class = |(class, asked): (String, f64)| {
            let rate = rates.iter().find(|line| line.class == class).map(|line| line.thousandths);
            let percent = rate.filter(|rate| *rate > 0).map(|rate| percent(asked, rate));
            let refused = load.refused_by_class.get(&class).copied().unwrap_or_default();
            ClassUse { class, asked, refused, percent }
        };
        Self {
            ledger,
            replicas,
            partial,
            classes: load.classes.clone().into_iter().map(class).collect(),
            under_way: load.under_way,
            waiting: load.waiting,
            seats: load.seats,
            streams: load.streams,
            bytes_per_second: load.bytes_per_second,
        }
    }
}

/// Of a hundred, rounded; at most a million.
fn percent(asked: f64, thousandths: u64) -> u32 {
    let rate = f64::from(u32::try_from(thousandths).unwrap_or(u32::MAX)) / 1e3;
    let percent = (asked / rate * 100.0).round().clamp(0.0, 1e6);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within these bounds")]
    let percent = percent as u32;
    percent
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn use_is_held_against_the_rates_of_the_tenant() {
        let answer = json!({"kind": "Uses", "items": [{
            "ledger": "gateway", "replicas": 2, "newer": 1, "tenant": "shop", "asked": 13.5, "waiting": 4, "seats": 2,
            "classes": {"list": 1.0, "write": 12.5}, "refusedByClass": {"write": 2.5},
        }]});
        let answer: Answer = serde_json::from_value(answer).unwrap();
        let rate = RateLine {
            class: "write".to_owned(),
            tenant: "10 a second".to_owned(),
            burst: 20,
            user: None,
            user_burst: None,
            thousandths: 10_000,
        };
        let uses = Uses::of(answer.items.into_iter().next().unwrap(), &[rate]);
        assert_eq!((uses.ledger.as_str(), uses.replicas, uses.waiting, uses.seats), ("gateway", 2, 4, 2));
        let class = |class: &str, asked, refused, percent| ClassUse {
            class: class.to_owned(),
            asked,
            refused,
            percent,
        };
        assert_eq!(uses.classes, [class("list", 1.0, 0.0, None), class("write", 12.5, 2.5, Some(125))]);
    }
}
