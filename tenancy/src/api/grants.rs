//! The custom resource `GrantLedger`: what the namespaces of a tenant are granted of a budget that ResourceQuotas hold.

#![expect(unreachable_pub, reason = "the derive repeats each type inside a function")]

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::{CustomResource, KubeSchema};
use model::{Amount, is_bytes, quantity};
use quota::grants::{Grant, Record};
use serde::{Deserialize, Serialize};

/// What the namespaces of a tenant are granted of a budget that ResourceQuotas hold. Bailey alone writes it, by
/// compare-and-swap.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[kube(
    group = "bailey.dev",
    version = "v1alpha1",
    kind = "GrantLedger",
    plural = "grantledgers",
    category = "bailey",
    derive = "PartialEq",
    doc = "What the namespaces of a tenant are granted of a budget that ResourceQuotas hold. Bailey alone writes it.",
    printcolumn(name = "Turn", type_ = "integer", json_path = ".spec.turn"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct GrantLedgerSpec {
    /// How often it was written.
    pub turn: u64,
    /// What each namespace is granted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5_000))]
    pub grants: Vec<GrantEntry>,
}

/// What one namespace is granted.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantEntry {
    /// The namespace.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// The uid of its ResourceQuota; empty while there is none.
    #[serde(default)]
    #[schemars(length(max = 63))]
    pub uid: String,
    /// The amounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub hard: Vec<GrantAmount>,
}

/// How much of one resource.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantAmount {
    /// The resource name.
    #[schemars(length(max = 317))]
    pub resource: String,
    /// How much, as a quantity.
    #[schemars(length(max = 64))]
    pub amount: String,
}

impl GrantLedgerSpec {
    /// The object of this record.
    pub(crate) fn of(record: &Record) -> Self {
        let amount = |(resource, amount): (&Arc<str>, &i128)| GrantAmount {
            resource: resource.to_string(),
            amount: Amount::of(*amount, is_bytes(resource)).to_string(),
        };
        let entry = |(namespace, grant): (&Arc<str>, &Grant)| GrantEntry {
            namespace: namespace.to_string(),
            uid: grant.uid.to_string(),
            hard: grant.hard.iter().map(amount).collect(),
        };
        Self { turn: record.turn, grants: record.grants.iter().map(entry).collect() }
    }

    /// The record that the object is. An amount that is none counts as more than there is: nothing is raised then.
    pub(crate) fn to_record(&self) -> Record {
        let entry = |entry: &GrantEntry| {
            let amount = |one: &GrantAmount| {
                (Arc::from(one.resource.as_str()), quantity(&one.amount).unwrap_or(i128::MAX >> 8))
            };
            let grant = Grant {
                uid: entry.uid.as_str().into(),
                hard: entry.hard.iter().map(amount).collect::<BTreeMap<_, _>>(),
            };
            (Arc::from(entry.namespace.as_str()), grant)
        };
        Record { turn: self.turn, grants: self.grants.iter().map(entry).collect() }
    }
}
