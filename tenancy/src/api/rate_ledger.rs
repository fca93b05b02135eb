//! The custom resource `RateLedger`: what the replicas of Bailey have of the rates of tenants.

#![expect(unreachable_pub, reason = "the derive repeats each type inside a function")]

use std::sync::Arc;

use fairness::rates::shares::{Key, Ledger, MOST_PARTS, Member, Part as NamedPart, WHOLE};
use fairness::rates::{Class, Limit, Rate};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::schema;
use crate::rates::MOST_BUSY as MOST;

/// What the replicas of Bailey have of the rates of tenants. Bailey alone writes it, by compare-and-swap.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[kube(
    group = "bailey.dev",
    version = "v1alpha1",
    kind = "RateLedger",
    plural = "rateledgers",
    category = "bailey",
    derive = "PartialEq",
    doc = "What the replicas of Bailey have of the rates of tenants. Bailey alone writes it.",
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct RateLedgerSpec {
    /// The replicas that are there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub replicas: Vec<Replica>,
}

/// What one replica has.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replica {
    /// The replica.
    #[schemars(length(max = 63))]
    pub name: String,
    /// How often it has written: others see by this that it is alive.
    pub renewals: u64,
    /// Its part of every rate that it does not name, of 720,720.
    #[schemars(range(max = WHOLE))]
    pub base: u32,
    /// Its parts of those that are asked for more than evenly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_PARTS))]
    pub parts: Vec<Part>,
    /// The tenants that asked it most often since its write before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST))]
    pub busiest: Vec<Busy>,
    /// All others that asked for something, together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<Others>,
}

/// What a tenant does at one replica.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Busy {
    /// The tenant.
    #[schemars(length(max = 63))]
    pub tenant: String,
    /// What it asked for, by class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub classes: Vec<ClassUse>,
    /// How many requests were under way at the gateway.
    #[serde(default)]
    pub under_way: u32,
    /// How many requests waited for a turn: at the gateway, or at the evaluation threads.
    #[serde(default)]
    pub waiting: u32,
    /// How many seats it had there.
    #[serde(default)]
    pub seats: u32,
    /// How many watches and streams were open there.
    #[serde(default)]
    pub streams: u32,
    /// How many bytes of answers went out there in a second.
    #[serde(default)]
    pub bytes: u64,
}

impl Busy {
    /// How many thousandths of a request it asked for in a second.
    pub fn asked(&self) -> u64 {
        self.classes.iter().fold(0, |sum, class| sum.saturating_add(class.asked))
    }

    /// How many of those did not pass.
    pub fn refused(&self) -> u64 {
        self.classes.iter().fold(0, |sum, class| sum.saturating_add(class.refused))
    }
}

/// How often something of a class was asked for.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassUse {
    /// The class of requests.
    #[schemars(schema_with = "schema::request_class")]
    pub class: Class,
    /// How many thousandths of a request in a second.
    pub asked: u64,
    /// How many of those did not pass.
    #[serde(default)]
    pub refused: u64,
}

/// What tenants do that are not told of each.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Others {
    /// How many there are.
    pub tenants: u32,
    /// How many thousandths of a request they asked for in a second.
    pub asked: u64,
    /// How many of those did not pass.
    #[serde(default)]
    pub refused: u64,
}

/// A replica's part of one rate.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// The tenant.
    #[schemars(length(max = 63))]
    pub tenant: String,
    /// The class of requests.
    #[schemars(schema_with = "schema::request_class")]
    pub class: Class,
    /// How many thousandths of a request pass in a second.
    pub rate: u64,
    /// How many requests pass at once after a pause.
    pub burst: u32,
    /// How many thousandths of a request a second the replica is asked for.
    #[serde(default)]
    pub demand: u64,
}

impl RateLedgerSpec {
    /// What it says.
    pub(crate) fn to_ledger(&self) -> Ledger {
        let member = |replica: &Replica| {
            let parts = replica.parts.iter().map(named).collect();
            let member = Member { renewals: replica.renewals, base: replica.base, parts };
            (Arc::from(replica.name.as_str()), member)
        };
        self.replicas.iter().map(member).collect()
    }

    /// The same with what a draft of the replica `me` says: others stay as they were, or go.
    pub(crate) fn with(&self, ledger: &Ledger, me: &Arc<str>, told: (Vec<Busy>, Option<Others>)) -> Self {
        let stays = |replica: &&Replica| *replica.name != **me && ledger.contains_key(replica.name.as_str());
        let mut replicas: Vec<Replica> = self.replicas.iter().filter(stays).cloned().collect();
        replicas.extend(ledger.get(me).map(|member| Replica {
            name: me.to_string(),
            renewals: member.renewals,
            base: member.base,
            parts: member.parts.iter().map(part).collect(),
            busiest: told.0,
            others: told.1,
        }));
        Self { replicas }
    }
}

fn named(part: &Part) -> (Key, NamedPart) {
    let limit = Limit { rate: Rate::thousandths(part.rate), burst: part.burst };
    let key = (Arc::from(part.tenant.as_str()), part.class);
    (key, NamedPart { limit, demand: Rate::thousandths(part.demand) })
}

fn part(((tenant, class), part): (&Key, &NamedPart)) -> Part {
    Part {
        tenant: tenant.to_string(),
        class: *class,
        rate: part.limit.rate.as_thousandths(),
        burst: part.limit.burst,
        demand: part.demand.as_thousandths(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> (Vec<Busy>, Option<Others>) {
        (Vec::new(), None)
    }

    #[test]
    fn a_ledger_is_read_as_it_was_written_and_others_stay() {
        let parts = Class::ALL.map(|class| {
            let limit = Limit { rate: Rate::thousandths(1_500), burst: 3 };
            ((Arc::from("shop"), class), NamedPart { limit, demand: Rate::per_second(2) })
        });
        let member = Member { renewals: 7, base: WHOLE / 2, parts: parts.into() };
        let ledger = Ledger::from([("a".into(), member), ("b".into(), Member::default())]);
        let written =
            RateLedgerSpec::default().with(&ledger, &"a".into(), told()).with(&ledger, &"b".into(), told());
        let text = serde_json::to_string(&written).unwrap();
        let read: RateLedgerSpec = serde_json::from_str(&text).unwrap();
        assert_eq!(read.to_ledger(), ledger);
        for class in Class::ALL {
            assert!(text.contains(&format!(r#""class":"{}""#, class.as_str())), "{text}");
        }
        let alone = Ledger::from([("b".into(), Member { base: WHOLE, ..Member::default() })]);
        assert_eq!(read.with(&alone, &"b".into(), told()).to_ledger(), alone, "who is gone goes");
    }
}
