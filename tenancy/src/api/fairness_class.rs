//! The custom resource `FairnessClass`: what tenants of one kind get of what all tenants share.

#![expect(unreachable_pub, reason = "the derive repeats each type inside a function")]

use std::collections::BTreeMap;

use fairness::apf::{MAX_ENTROPY_BITS, entropy_bits, plan};
use fairness::rates::{Class, Limit, Limits, Rate};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use model::{Code, LoadFault};
use serde::{Deserialize, Serialize};

use super::schema;

/// What tenants of one kind get of what all tenants share: the API server, and Bailey itself.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "bailey.dev",
    version = "v1alpha1",
    kind = "FairnessClass",
    plural = "fairnessclasses",
    category = "bailey",
    derive = "PartialEq",
    doc = "What tenants of one kind get of what all tenants share: the API server, and Bailey itself.",
    status = "FairnessClassStatus",
    // Priority levels are called after it.
    validation = Rule::new(
        "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')"
    )
    .message("the name is no DNS label of at most 40 characters"),
    printcolumn(name = "Default", type_ = "boolean", json_path = ".spec.default"),
    printcolumn(name = "Shares", type_ = "integer", json_path = ".spec.priorityLevel.shares"),
    printcolumn(name = "Weight", type_ = "integer", json_path = ".spec.weight"),
    printcolumn(name = "Tenants", type_ = "integer", json_path = ".status.tenants"),
    printcolumn(name = "Seats", type_ = "integer", json_path = ".status.seats"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FairnessClassSpec {
    /// Whether tenants that name no class are in this one; of several such classes the first by name.
    #[serde(default)]
    pub default: bool,
    /// How many turns each tenant has at Bailey's evaluation threads for one of a tenant of weight 1; what belongs to no
    /// tenant has 16.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 16))]
    pub weight: u32,
    /// What its tenants get together of each API server.
    #[serde(default)]
    pub priority_level: PriorityLevel,
    /// How often each tenant may do what; without a limit where not given.
    #[serde(default)]
    pub rates: Rates,
}

/// What the tenants of a class get together of each API server.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.handSize <= self.queues")
    .message("handSize is more than queues: a tenant is spread among so many of the queues"))]
pub struct PriorityLevel {
    /// The weight of its priority level; those that every cluster has are 245 together.
    #[serde(default = "shares")]
    #[schemars(range(min = 1, max = 10_000))]
    pub shares: u32,
    /// The weight of its priority level for lists and watches; a quarter of `shares` where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub list_shares: Option<u32>,
    /// How much of its seats other levels may use while it does not, in percent.
    #[serde(default = "half")]
    #[schemars(range(max = 100))]
    pub lendable_percent: u32,
    /// How much it may borrow from other levels, in percent of its own seats. Lists and watches borrow nothing.
    #[serde(default = "whole")]
    #[schemars(range(max = 1_000))]
    pub borrowing_limit_percent: u32,
    /// The queues of each of its levels.
    #[serde(default = "queues")]
    #[schemars(range(min = 1, max = 10_000))]
    pub queues: u32,
    /// Among how many of them a tenant is spread.
    #[serde(default = "hand_size")]
    #[schemars(range(min = 1, max = 60))]
    pub hand_size: u32,
    /// How many requests wait in one queue; further ones are refused with 429.
    #[serde(default = "queue_length_limit")]
    #[schemars(range(min = 1, max = 10_000))]
    pub queue_length_limit: u32,
}

impl Default for PriorityLevel {
    fn default() -> Self {
        Self {
            shares: shares(),
            list_shares: None,
            lendable_percent: half(),
            borrowing_limit_percent: whole(),
            queues: queues(),
            hand_size: hand_size(),
            queue_length_limit: queue_length_limit(),
        }
    }
}

const fn one() -> u32 {
    1
}

const fn shares() -> u32 {
    40
}

const fn half() -> u32 {
    50
}

const fn whole() -> u32 {
    100
}

const fn queues() -> u32 {
    512
}

const fn hand_size() -> u32 {
    6
}

const fn queue_length_limit() -> u32 {
    50
}

/// How often each tenant of a class may do what.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rates {
    /// Reads of one object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<RateLimits>,
    /// Reads of many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<RateLimits>,
    /// Beginnings of watches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<RateLimits>,
    /// Changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<RateLimits>,
    /// Writes of Events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<RateLimits>,
    /// Questions for tokens and reviews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<RateLimits>,
    /// Streams: exec, attach, port-forward and log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<RateLimits>,
}

/// How often a tenant may do something.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimits {
    /// All of the tenant together.
    pub tenant: RateLimit,
    /// Each of its users; no limit of their own where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<RateLimit>,
}

/// A rate, and how many requests may come at once.
#[derive(KubeSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    /// So many requests…
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests: u32,
    /// …in so many seconds, rounded down to thousandths of a request a second.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1_000))]
    pub seconds: u32,
    /// How many may come at once after a pause.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: u32,
}

/// How a FairnessClass stands.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FairnessClassStatus {
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The number of its tenants.
    #[serde(default)]
    pub tenants: u32,
    /// The seats of its priority level on an API server that was started without flags of its own: of 600.
    #[serde(default)]
    pub seats: u32,
    /// The same of its priority level for lists and watches.
    #[serde(default)]
    pub list_seats: u32,
    /// Ready: the API server has what it says. Warning: something should be looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

impl FairnessClassSpec {
    /// The class as plans have it.
    ///
    /// # Errors
    /// [`Code::FairnessInvalid`] with the field and what would pass, where it cannot be a priority level.
    pub fn to_plan(&self, name: &str) -> Result<plan::Class, LoadFault> {
        let level = &self.priority_level;
        let class = plan::Class {
            name: name.to_owned(),
            shares: level.shares,
            lists_shares: level.list_shares.unwrap_or_else(|| (level.shares / 4).max(1)),
            queues: level.queues,
            hand: level.hand_size,
            length: level.queue_length_limit,
            lendable_percent: level.lendable_percent,
            borrowing_limit_percent: level.borrowing_limit_percent,
        };
        let invalid =
            |why: String| LoadFault::new(Code::FairnessInvalid, format!("spec.priorityLevel: {why}"));
        let hands = |hand: &u32| entropy_bits(level.queues, *hand) <= MAX_ENTROPY_BITS;
        let largest = (1..=level.queues.min(60)).take_while(hands).last().unwrap_or_default();
        if level.hand_size > largest && level.hand_size <= level.queues {
            let (hand, queues) = (level.hand_size, level.queues);
            return Err(invalid(format!(
                "handSize is {hand}, and a hand of that size cannot be dealt: handSize is at most {largest} for {queues} \
                 queues"
            )));
        }
        // Only a plan says whether its classes can be levels.
        let planned = plan::plan(&plan::Inputs::new(vec![class.clone()]));
        planned.map(|_| class).map_err(|fault| invalid(fault.to_string()))
    }

    /// How often each of its tenants may do what; what is not in it has no limit.
    pub fn limits(&self) -> BTreeMap<Class, Limits> {
        let rates = &self.rates;
        let all = [
            (Class::Read, rates.read.as_ref()),
            (Class::List, rates.list.as_ref()),
            (Class::Watch, rates.watch.as_ref()),
            (Class::Write, rates.write.as_ref()),
            (Class::Event, rates.event.as_ref()),
            (Class::Token, rates.token.as_ref()),
            (Class::Exec, rates.exec.as_ref()),
        ];
        all.into_iter().filter_map(|(class, limits)| Some((class, limits?.to_limits()))).collect()
    }
}

impl RateLimits {
    fn to_limits(&self) -> Limits {
        Limits { tenant: self.tenant.to_limit(), user: self.user.map(RateLimit::to_limit) }
    }
}

impl RateLimit {
    fn to_limit(self) -> Limit {
        let thousandths = u64::from(self.requests).saturating_mul(1_000);
        let rate = thousandths.checked_div(u64::from(self.seconds)).unwrap_or_default();
        Limit { rate: Rate::thousandths(rate), burst: self.burst }
    }
}

/// Checks of a FairnessClass what its schema cannot say.
///
/// # Errors
/// [`Code::FairnessInvalid`] with the field and what would pass.
pub fn check_fairness_class(json: &[u8]) -> Result<(), LoadFault> {
    let class: FairnessClass = serde_json::from_slice(json).map_err(|error| {
        LoadFault::new(Code::FairnessInvalid, format!("the FairnessClass cannot be read: {error}"))
    })?;
    let name = class.metadata.name.as_deref().unwrap_or_default();
    class.spec.to_plan(name).map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: serde_json::Value) -> FairnessClassSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn an_empty_spec_is_a_class_with_the_plans_own_numbers() {
        let class = spec(json!({})).to_plan("standard").unwrap();
        assert_eq!(class, plan::Class::new("standard", 40));
    }

    #[test]
    fn hands_that_cannot_be_dealt_are_refused_with_what_would_pass() {
        let check = |queues, hand| {
            let object = json!({
                "apiVersion": "bailey.dev/v1alpha1", "kind": "FairnessClass", "metadata": {"name": "deep"},
                "spec": {"priorityLevel": {"queues": queues, "handSize": hand}},
            });
            check_fairness_class(object.to_string().as_bytes())
        };
        assert_eq!(check(512, 6), Ok(()));
        let fault = check(10_000, 6).unwrap_err();
        assert_eq!(fault.code, Code::FairnessInvalid);
        assert!(fault.message.contains("handSize is at most 4 for 10000 queues"), "{fault:?}");
        assert_eq!(check(10_000, 4), Ok(()));
        assert!(check(4, 5).unwrap_err().message.contains("`queues` must be at least the hand"));
        assert_eq!(check(1, 1), Ok(()));
    }

    #[test]
    fn rates_are_what_they_say_and_never_nothing() {
        let tenant = json!({"requests": 1, "seconds": 1_000, "burst": 5});
        let limits = spec(json!({"rates": {
            "token": {"tenant": tenant},
            "read": {"tenant": {"requests": 100, "burst": 200}, "user": {"requests": 5, "seconds": 2, "burst": 1}},
        }}))
        .limits();
        assert_eq!(limits.len(), 2);
        let token = limits[&Class::Token];
        assert_eq!((token.tenant.rate, token.tenant.burst, token.user), (Rate::thousandths(1), 5, None));
        let read = limits[&Class::Read];
        assert_eq!(read.tenant, Limit::per_second(100, 200));
        assert_eq!(read.user, Some(Limit { rate: Rate::thousandths(2_500), burst: 1 }));
    }
}
