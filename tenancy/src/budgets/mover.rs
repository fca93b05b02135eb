//! Moves grants: takes the steps of plans, each by compare-and-swap.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use model::{Amount, is_bytes};
use quota::grants::{Counted, GrantDesk, Hard, QUOTA_PREFIX, Record, Step};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::grants::{TURN, known, persisted};
use crate::api::grants::{GrantLedger, GrantLedgerSpec};
use crate::cluster::{Retry, api_message};

/// How often what is idle is evened out, and what was missed is looked at.
const TIDY: Duration = Duration::from_secs(5);
/// The first and the longest pause after writes that failed.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// The same after conflicts alone.
const CONFLICTS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(500));
/// The most writes at once for one pool.
const AT_ONCE: usize = 8;
/// The most plans of a pool in a row.
const PLANS: usize = 100;
/// What the API server says of a namespace that goes.
const TERMINATING: &str = "because it is being terminated";
/// The name under which fields are owned.
const MANAGER: &str = "bailey-grants";

/// Takes the steps of plans for as long as it lives.
#[derive(Clone)]
pub(super) struct Mover {
    client: Client,
    desk: Arc<GrantDesk>,
    /// Whether it does all there is to do, or only what somebody waits for here.
    keeps: bool,
}

/// What came of a step.
enum Outcome {
    Done,
    /// Another write came first: what is there was read again.
    Conflict,
    Failed(String),
}

impl Mover {
    pub(super) fn new(client: Client, desk: Arc<GrantDesk>, keeps: bool) -> Self {
        Self { client, desk, keeps }
    }

    /// One round of each pool at a time, several pools at once.
    pub(super) async fn run(self) {
        let (mut rounds, mut running) = (JoinSet::new(), BTreeSet::new());
        let (mut due, mut untidy) = (BTreeSet::new(), BTreeSet::new());
        let mut ticks = interval(TIDY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.desk.work() => due.extend(self.desk.due()),
                Some(ended) = rounds.join_next() => match ended {
                    Ok(pool) => _ = running.remove(&pool),
                    // A panic is a fault of ours: the pools are free for the next round.
                    Err(error) => {
                        tracing::error!(%error, "a round of grants failed");
                        running.clear();
                    }
                },
                _ = ticks.tick() => untidy.extend(self.desk.names()),
            }
            for pool in due.union(&untidy).cloned().collect::<Vec<Arc<str>>>() {
                if running.contains(&pool) {
                    continue;
                }
                due.remove(&pool);
                let tidy = untidy.remove(&pool);
                if self.keeps || self.desk.is_waited_for(&pool) {
                    running.insert(Arc::clone(&pool));
                    rounds.spawn(self.clone().round(pool, tidy && self.keeps));
                }
            }
        }
    }

    /// Plans and writes until there is nothing to do.
    async fn round(self, pool: Arc<str>, mut tidy: bool) -> Arc<str> {
        let again = || Retry::new(CONFLICTS.0, CONFLICTS.1);
        let (mut pauses, mut conflicts) = (Retry::new(PAUSES.0, PAUSES.1), again());
        for _plan in 0..PLANS {
            let (steps, version) = self.desk.plan(&pool, tidy);
            if steps.is_empty() {
                break;
            }
            // What is tidied up is begun; the plans after it finish it.
            tidy = tidy && !steps.iter().any(|step| matches!(step, Step::Record(_)));
            let taken = futures::stream::iter(steps).map(|step| self.take(&pool, version, step));
            let outcomes: Vec<_> = taken.buffer_unordered(AT_ONCE).collect().await;
            let (mut failed, mut lost) = (false, false);
            for outcome in outcomes {
                match outcome {
                    Outcome::Done => {}
                    Outcome::Conflict => {
                        self.desk.count(false);
                        lost = true;
                    }
                    Outcome::Failed(error) => {
                        tracing::warn!(%pool, error, "grants of a budget cannot be written");
                        failed = true;
                    }
                }
            }
            if failed {
                sleep(pauses.next().unwrap_or_default()).await;
            } else if lost {
                sleep(conflicts.next().unwrap_or_default()).await;
            } else {
                conflicts = again();
            }
        }
        pool
    }

    async fn take(&self, pool: &Arc<str>, version: Option<u64>, step: Step) -> Outcome {
        match step {
            Step::Record(record) => self.record(pool, version, &record).await,
            Step::Create(namespace) => self.create(pool, &namespace).await,
            Step::Spec(namespace, version, hard, turn) => {
                let before = self.desk.quota(pool, &namespace).map(|quota| quota.spec).unwrap_or_default();
                let mut amounts = written(&hard);
                let dropped = before.keys().filter(|name| !hard.contains_key(*name));
                amounts.extend(dropped.map(|name| (name.to_string(), Value::Null)));
                let patch = json!({
                    "metadata": {
                        "resourceVersion": version.to_string(), "annotations": {TURN: turn.to_string()},
                    },
                    "spec": {"hard": amounts},
                });
                let quotas = self.quotas(&namespace);
                let parameters = parameters();
                let answer = quotas.patch(&name(pool), &parameters, &Patch::Merge(patch)).await;
                self.patched(pool, &namespace, answer).await
            }
            Step::Status(namespace, version, hard) => {
                let patch = json!({
                    "metadata": {"resourceVersion": version.to_string()}, "status": {"hard": written(&hard)},
                });
                let quotas = self.quotas(&namespace);
                let answer = quotas.patch_status(&name(pool), &parameters(), &Patch::Merge(patch)).await;
                self.patched(pool, &namespace, answer).await
            }
            Step::Delete(namespace, uid) => self.delete(pool, &namespace, &uid).await,
            Step::Look(namespace, uid) => self.look(pool, &namespace, &uid).await,
            Step::Forget => self.forget(pool, version).await,
        }
    }

    async fn record(&self, pool: &str, version: Option<u64>, record: &Record) -> Outcome {
        let api: Api<GrantLedger> = Api::all(self.client.clone());
        let mut object = GrantLedger::new(pool, GrantLedgerSpec::of(record));
        let answer = match version {
            Some(version) => {
                object.metadata.resource_version = Some(version.to_string());
                api.replace(pool, &PostParams::default(), &object).await
            }
            None => api.create(&PostParams::default(), &object).await,
        };
        match answer {
            Ok(object) => {
                self.desk.observe_record(pool, persisted(&object), true);
                self.desk.count(true);
                Outcome::Done
            }
            Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => {
                self.read_record(pool, Outcome::Conflict).await
            }
            // It may have been written all the same.
            Err(error) => self.read_record(pool, Outcome::Failed(api_message(&error))).await,
        }
    }

    async fn read_record(&self, pool: &str, outcome: Outcome) -> Outcome {
        let api: Api<GrantLedger> = Api::all(self.client.clone());
        match api.get_opt(pool).await {
            Ok(object) => {
                self.desk.observe_record(pool, object.as_ref().and_then(persisted), true);
                outcome
            }
            Err(error) => Outcome::Failed(api_message(&error)),
        }
    }

    async fn create(&self, pool: &str, namespace: &str) -> Outcome {
        let mut spec = json!({"hard": {}});
        let counted = self.desk.pool(pool).map(|pool| pool.counted).unwrap_or_default();
        if let (Some(selector), Some(spec)) = (selector(&counted), spec.as_object_mut()) {
            spec.insert("scopeSelector".to_owned(), selector);
        }
        let object = json!({
            "apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": {"name": name(pool), "namespace": namespace, "annotations": {TURN: "0"}},
            "spec": spec,
        });
        let object: ResourceQuota = match serde_json::from_value(object) {
            Ok(object) => object,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        let answer = self.quotas(namespace).create(&PostParams::default(), &object).await;
        match answer {
            // The namespace goes, or is gone: the watch will tell.
            Err(kube::Error::Api(status)) if status.code == 404 || status.message.contains(TERMINATING) => {
                Outcome::Conflict
            }
            answer => self.patched(pool, namespace, answer).await,
        }
    }

    /// Takes in what a write of a quota made of it.
    async fn patched(&self, pool: &str, namespace: &str, answer: kube::Result<ResourceQuota>) -> Outcome {
        match answer {
            Ok(object) => {
                if let Some((_, _, quota)) = known(&object) {
                    self.desk.observe_quota(pool, namespace, quota, false);
                }
                Outcome::Done
            }
            Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => {
                self.read(pool, namespace, Outcome::Conflict).await
            }
            Err(error) => self.read(pool, namespace, Outcome::Failed(api_message(&error))).await,
        }
    }

    /// Reads a quota as it is now.
    async fn read(&self, pool: &str, namespace: &str, outcome: Outcome) -> Outcome {
        let before = self.desk.quota(pool, namespace);
        match self.quotas(namespace).get_opt(&name(pool)).await {
            Ok(Some(object)) => {
                if let Some((_, _, quota)) = known(&object) {
                    self.desk.observe_quota(pool, namespace, quota, false);
                }
                outcome
            }
            Ok(None) => {
                // What was known before the read is gone; what came since is another.
                before.iter().for_each(|quota| self.desk.quota_gone(pool, namespace, &quota.uid));
                outcome
            }
            Err(error) => Outcome::Failed(api_message(&error)),
        }
    }

    async fn delete(&self, pool: &str, namespace: &str, uid: &str) -> Outcome {
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match self.quotas(namespace).delete(&name(pool), &parameters).await {
            Ok(_) => self.look(pool, namespace, uid).await,
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {
                self.look(pool, namespace, uid).await
            }
            Err(error) => Outcome::Failed(api_message(&error)),
        }
    }

    /// Reads whether the quota with a uid is gone for good.
    async fn look(&self, pool: &str, namespace: &str, uid: &str) -> Outcome {
        match self.quotas(namespace).get_opt(&name(pool)).await {
            Ok(found) => {
                let found = found.as_ref().and_then(known).map(|(_, _, quota)| quota);
                if found.as_ref().is_none_or(|quota| quota.uid.as_ref() != uid) {
                    self.desk.quota_gone(pool, namespace, uid);
                }
                found.into_iter().for_each(|quota| self.desk.observe_quota(pool, namespace, quota, false));
                Outcome::Done
            }
            Err(error) => Outcome::Failed(api_message(&error)),
        }
    }

    async fn forget(&self, pool: &str, version: Option<u64>) -> Outcome {
        let api: Api<GrantLedger> = Api::all(self.client.clone());
        let resource_version = version.map(|version| version.to_string());
        let preconditions = Preconditions { resource_version, uid: None };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match api.delete(pool, &parameters).await {
            Ok(_) => {
                self.desk.observe_record(pool, None, true);
                Outcome::Done
            }
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {
                self.read_record(pool, Outcome::Conflict).await
            }
            Err(error) => Outcome::Failed(api_message(&error)),
        }
    }

    fn quotas(&self, namespace: &str) -> Api<ResourceQuota> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

fn name(pool: &str) -> String {
    format!("{QUOTA_PREFIX}{pool}")
}

fn parameters() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

/// Amounts as a ResourceQuota has them, exactly.
fn written(hard: &Hard) -> Map<String, Value> {
    let text = |resource: &str, amount: i128| Amount::of(amount, is_bytes(resource)).to_string();
    hard.iter().map(|(resource, amount)| (resource.to_string(), text(resource, *amount).into())).collect()
}

fn selector(counted: &Counted) -> Option<Value> {
    let (operator, values) = match counted {
        Counted::In(values) => ("In", values),
        Counted::NotIn(values) => ("NotIn", values),
        Counted::All | Counted::Otherwise => return None,
    };
    let row = json!({"scopeName": "PriorityClass", "operator": operator, "values": values});
    Some(json!({"matchExpressions": [row]}))
}
