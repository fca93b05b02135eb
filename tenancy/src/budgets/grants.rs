//! What is known of the budgets that ResourceQuotas hold: pools, quotas and records, watched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::{Client, ResourceExt};
use model::{Enforced, TenantIndex, quantity};
use quota::grants::{Counted, GrantDesk, Hard, QUOTA_PREFIX, Quota, Record, pools};
use quota::measure::kinds_of;
use tokio::sync::watch;
use tokio::time::timeout;

use super::source::{Raw, Seen, Source, is_namespaced};
use crate::api::GROUP;
use crate::api::grants::GrantLedger;
use crate::cluster::api_message;

/// The annotation of a grant's ResourceQuota: the turn of the record at which it was last lowered.
pub(super) const TURN: &str = "bailey.dev/grant-turn";
/// How long a resource is not asked about again that could not be.
const AGAIN: Duration = Duration::from_secs(10);

/// Follows the quotas; `listed` becomes true with the first list.
pub(super) async fn follow_quotas(client: Client, desk: Arc<GrantDesk>, listed: watch::Sender<bool>) {
    let source = Source {
        client,
        group: String::new(),
        resource: "resourcequotas".to_owned(),
        metadata_only: false,
        check: None,
    };
    let tell = move |seen| match seen {
        Seen::All(version, objects) => {
            let all = objects.iter().filter_map(read_quota);
            desk.replace_quotas(version, all.collect());
            listed.send_replace(true);
        }
        Seen::Set(object) => {
            if let Some((pool, namespace, quota)) = read_quota(&object) {
                desk.observe_quota(&pool, &namespace, quota, true);
            }
        }
        Seen::Gone(object) => {
            if let Some((pool, namespace, quota)) = read_quota(&object) {
                desk.quota_gone(&pool, &namespace, &quota.uid);
            }
        }
        // What breaks is listed again.
        Seen::Listing | Seen::Version(_) | Seen::Checked(..) | Seen::Broken => {}
    };
    source.follow(tell).await;
}

/// Follows the records; `listed` becomes true with the first list.
pub(super) async fn follow_records(client: Client, desk: Arc<GrantDesk>, listed: watch::Sender<bool>) {
    let source = Source {
        client,
        group: GROUP.to_owned(),
        resource: "grantledgers".to_owned(),
        metadata_only: false,
        check: None,
    };
    let tell = move |seen| match seen {
        // An API server that has just started does not serve them yet: that says nothing of them.
        Seen::All(0, _) => _ = listed.send_replace(true),
        Seen::All(_, objects) => {
            let all: Vec<_> = objects.iter().filter_map(read_record).collect();
            let mut absent = desk.records();
            for (pool, persisted) in all {
                absent.remove(&pool);
                desk.observe_record(&pool, Some(persisted), false);
            }
            absent.iter().for_each(|pool| desk.observe_record(pool, None, true));
            listed.send_replace(true);
        }
        Seen::Set(object) => {
            if let Some((pool, persisted)) = read_record(&object) {
                desk.observe_record(&pool, Some(persisted), false);
            }
        }
        // Where it was made again, its next write fails, and it is read.
        Seen::Gone(object) => {
            if let Some((pool, _)) = read_record(&object) {
                desk.observe_record(&pool, None, true);
            }
        }
        // What breaks is listed again.
        Seen::Listing | Seen::Version(_) | Seen::Checked(..) | Seen::Broken => {}
    };
    source.follow(tell).await;
}

/// Follows which pools there are, once the tenants, the quotas and the records are listed.
pub(super) async fn follow_pools(
    client: Client,
    desk: Arc<GrantDesk>,
    mut tenants: watch::Receiver<Arc<TenantIndex>>,
    listed: [watch::Receiver<bool>; 3],
    known: watch::Sender<bool>,
) {
    for mut listed in listed {
        // An error means that the task has ended, and with it the process.
        drop(listed.wait_for(|listed| *listed).await);
    }
    let mut scopes = Scopes { client, known: BTreeMap::new() };
    loop {
        let index = Arc::clone(&tenants.borrow_and_update());
        let all_known = scopes.learn(&index).await;
        desk.set_pools(pools(&index, |resource| scopes.counts(resource)));
        if !known.send_replace(true) {
            desk.set_known();
        }
        let changed = match all_known {
            true => tenants.changed().await,
            false => timeout(AGAIN, tenants.changed()).await.unwrap_or(Ok(())),
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Which kinds are in namespaces: ResourceQuotas count no others.
struct Scopes {
    client: Client,
    known: BTreeMap<Arc<str>, bool>,
}

impl Scopes {
    /// Learns about what budgets name that is new; whether all is known then.
    async fn learn(&mut self, index: &TenantIndex) -> bool {
        let native = index.tenants().filter(|tenant| tenant.budget.enforced == Enforced::Native);
        let counts = native.flat_map(|tenant| tenant.budget.hard.keys());
        let counts = counts.filter(|name| name.starts_with("count/") && !self.known.contains_key(*name));
        let new: BTreeSet<Arc<str>> = counts.cloned().collect();
        let mut all = true;
        for name in new {
            let Some(kind) = kinds_of(&name).ok().and_then(|kinds| kinds.into_iter().next()) else {
                continue;
            };
            match is_namespaced(&self.client, &kind.group, &kind.resource).await {
                Ok(namespaced) => _ = self.known.insert(name, namespaced),
                Err(error) => {
                    tracing::warn!(%name, error = api_message(&error), "whether a kind is in namespaces is not known");
                    all = false;
                }
            }
        }
        all
    }

    /// Nothing is lost where it is not known: nobody is charged for what is not in a namespace.
    fn counts(&self, resource: &str) -> bool {
        self.known.get(resource).copied().unwrap_or(true)
    }
}

fn read_quota(object: &Raw) -> Option<(Arc<str>, Arc<str>, Quota)> {
    // Other people's quotas may be many.
    if !object.get().contains(QUOTA_PREFIX) {
        return None;
    }
    match serde_json::from_str::<ResourceQuota>(object.get()) {
        Ok(object) => known(&object),
        Err(error) => {
            tracing::error!(%error, "a ResourceQuota cannot be read");
            None
        }
    }
}

/// The pool, the namespace and what is known of a grant's quota; `None` for others.
pub(super) fn known(object: &ResourceQuota) -> Option<(Arc<str>, Arc<str>, Quota)> {
    let pool = object.metadata.name.as_deref()?.strip_prefix(QUOTA_PREFIX)?;
    let version = object.metadata.resource_version.as_deref()?.parse().ok()?;
    let turn = object.annotations().get(TURN).map_or(Some(0), |turn| turn.parse().ok());
    let status = object.status.as_ref();
    let hard = |hard: Option<&BTreeMap<String, Quantity>>| -> Hard {
        let hard = hard.into_iter().flatten();
        // What cannot be read allows more than there is.
        hard.map(|(name, amount)| (Arc::from(name.as_str()), quantity(&amount.0).unwrap_or(i128::MAX >> 8)))
            .collect()
    };
    let quota = Quota {
        uid: object.metadata.uid.as_deref()?.into(),
        version,
        // A turn that is none is as one that never comes: the quota is made anew.
        turn: turn.unwrap_or(u64::MAX),
        counted: object.spec.as_ref().map(counted).unwrap_or_default(),
        spec: hard(object.spec.as_ref().and_then(|spec| spec.hard.as_ref())),
        status: hard(status.and_then(|status| status.hard.as_ref())),
        used: hard(status.and_then(|status| status.used.as_ref())),
    };
    Some((pool.into(), object.namespace()?.into(), quota))
}

fn counted(spec: &ResourceQuotaSpec) -> Counted {
    let scopes = spec.scopes.as_ref().is_some_and(|scopes| !scopes.is_empty());
    let selector = spec.scope_selector.as_ref().and_then(|selector| selector.match_expressions.as_deref());
    match selector.unwrap_or_default() {
        _ if scopes => Counted::Otherwise,
        [] => Counted::All,
        [one] if one.scope_name == "PriorityClass" => {
            let values = one.values.clone().unwrap_or_default();
            match one.operator.as_str() {
                "In" => Counted::In(values),
                "NotIn" => Counted::NotIn(values),
                _ => Counted::Otherwise,
            }
        }
        _ => Counted::Otherwise,
    }
}

fn read_record(object: &Raw) -> Option<(Arc<str>, (Record, u64))> {
    match serde_json::from_str::<GrantLedger>(object.get()) {
        Ok(object) => persisted(&object).map(|persisted| (Arc::from(object.name_any()), persisted)),
        Err(error) => {
            tracing::error!(%error, "a GrantLedger cannot be read");
            None
        }
    }
}

/// A record and its version.
pub(super) fn persisted(object: &GrantLedger) -> Option<(Record, u64)> {
    let version = object.metadata.resource_version.as_deref()?.parse().ok()?;
    Some((object.spec.to_record(), version))
}
