//! The custom resource `QuotaLedger`: what the replicas of Bailey hold of the budgets of tenants.

#![expect(unreachable_pub, reason = "the derive repeats each type inside a function")]

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::{CustomResource, KubeSchema};
use model::{Amount, quantity};
use quota::ledger::{Account, Holder as Held, Kind, Shares};
use serde::{Deserialize, Serialize};

/// What the replicas of Bailey hold of some tenants' budgets. Bailey alone writes it, by compare-and-swap.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[kube(
    group = "bailey.dev",
    version = "v1alpha1",
    kind = "QuotaLedger",
    plural = "quotaledgers",
    category = "bailey",
    derive = "PartialEq",
    doc = "What the replicas of Bailey hold of some tenants' budgets. Bailey alone writes it.",
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct QuotaLedgerSpec {
    /// The holders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1_000))]
    pub holders: Vec<Holder>,
    /// For each kind the resource version that a cache must have reached to take of what is free.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1_000))]
    pub horizons: Vec<Horizon>,
}

/// What one replica holds.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// The replica.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its shares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10_000))]
    pub shares: Vec<Share>,
    /// Whether it holds no more than requests under way need.
    #[serde(default)]
    pub exact: bool,
    /// Whether it is asked to give back what it does not need.
    #[serde(default)]
    pub recalled: bool,
    /// What tenants asked it for that is their own and that others of their cohort use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10_000))]
    pub reclaims: Vec<Share>,
}

/// An amount of one resource of one tenant.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// The tenant.
    #[schemars(length(max = 63))]
    pub tenant: String,
    /// The PriorityClass of Pods, empty for those without one; absent where it does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub class: Option<String>,
    /// The resource name.
    #[schemars(length(max = 317))]
    pub resource: String,
    /// How much, as a quantity.
    #[schemars(length(max = 64))]
    pub amount: String,
}

/// How far the objects of a kind must have been seen.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Horizon {
    /// The API group; empty for the core group.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub group: String,
    /// The plural resource name.
    #[schemars(length(max = 253))]
    pub resource: String,
    /// The resource version.
    pub version: u64,
}

impl QuotaLedgerSpec {
    /// The object of these shares.
    pub(crate) fn of(shares: &Shares) -> Self {
        let share = |(account, amount): (&Account, &i128)| Share {
            tenant: account.tenant.to_string(),
            class: account.class.as_deref().map(str::to_owned),
            resource: account.resource.to_string(),
            amount: Amount::of(*amount, false).to_string(),
        };
        let holder = |(name, held): (&Arc<str>, &Held)| Holder {
            name: name.to_string(),
            shares: held.amounts.iter().map(share).collect(),
            exact: held.exact,
            recalled: held.recalled,
            reclaims: held.reclaims.iter().map(share).collect(),
        };
        let horizon = |(kind, version): (&Arc<Kind>, &u64)| Horizon {
            group: kind.group.clone(),
            resource: kind.resource.clone(),
            version: *version,
        };
        Self {
            holders: shares.holders.iter().map(holder).collect(),
            horizons: shares.horizons.iter().map(horizon).collect(),
        }
    }

    /// The shares of the object. An amount that is none counts as more than there is: nobody takes of it.
    pub(crate) fn to_shares(&self) -> Shares {
        let share = |share: &Share| {
            let account = Account {
                resource: share.resource.as_str().into(),
                tenant: share.tenant.as_str().into(),
                class: share.class.as_deref().map(Arc::from),
            };
            (account, quantity(&share.amount).unwrap_or(i128::MAX >> 8))
        };
        let holder = |holder: &Holder| {
            let held = Held {
                amounts: holder.shares.iter().map(share).collect(),
                exact: holder.exact,
                recalled: holder.recalled,
                reclaims: holder.reclaims.iter().map(share).collect(),
            };
            (Arc::from(holder.name.as_str()), held)
        };
        let horizon = |horizon: &Horizon| {
            let kind = Kind { group: horizon.group.clone(), resource: horizon.resource.clone() };
            (Arc::new(kind), horizon.version)
        };
        Shares {
            holders: self.holders.iter().map(holder).collect(),
            horizons: self.horizons.iter().map(horizon).collect::<BTreeMap<_, _>>(),
        }
    }
}
