//! What approved requests add to budgets at one moment. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use quota::ledger::{NAMESPACES, ONE};

use crate::api::request::{Grant, QuotaRequest};

/// The longest sleep until a grant ends: the clock that says so may be set meanwhile.
const LONGEST: Duration = Duration::from_secs(30);
/// The shortest: a grant ends after its last moment, not in it.
const SHORTEST: Duration = Duration::from_millis(5);

/// What is granted to each tenant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Grants(BTreeMap<String, Vec<Grant>>);

impl Grants {
    /// What these requests add, each to the tenant that its namespace belongs to now.
    pub(super) fn at<'a, 'b>(
        now: Timestamp,
        requests: impl IntoIterator<Item = &'a QuotaRequest>,
        tenant_of: impl Fn(&str) -> Option<&'b str>,
    ) -> Self {
        let mut all: BTreeMap<String, Vec<Grant>> = BTreeMap::new();
        for request in requests {
            let namespace = request.namespace().unwrap_or_default();
            let Some(tenant) = tenant_of(&namespace) else { continue };
            if let Some(grant) = request.grant(tenant, now) {
                all.entry(tenant.to_owned()).or_default().push(grant);
            }
        }
        Self(all)
    }

    /// How long until the next of them ends; a while where that is far.
    pub(super) fn wake(&self, now: Timestamp) -> Option<Duration> {
        let next = self.0.values().flatten().filter_map(|grant| grant.until).min()?;
        let left = Duration::try_from(next.duration_since(now)).unwrap_or_default();
        Some(left.clamp(SHORTEST, LONGEST))
    }

    /// Raises the budget of a tenant, where it has one: what is not limited stays so.
    pub(super) fn add_to(&self, tenant: &mut model::Tenant) {
        for grant in self.0.get(&tenant.name).into_iter().flatten() {
            let budget = &mut tenant.budget;
            let hard = match &grant.band {
                None => Some(&mut budget.hard),
                Some(name) => {
                    let band = budget.bands.iter_mut().find(|band| band.name == *name);
                    band.map(|band| &mut band.hard)
                }
            };
            hard.into_iter().for_each(|hard| raise(hard, &grant.amounts));
            let namespaces = grant.amounts.get(NAMESPACES).filter(|_| grant.band.is_none());
            if let (Some(limit), Some(more)) = (&mut tenant.namespaces.limit, namespaces) {
                let more = more.checked_div(ONE).and_then(|more| u32::try_from(more).ok());
                *limit = limit.saturating_add(more.unwrap_or(u32::MAX));
            }
        }
    }
}

fn raise(hard: &mut BTreeMap<Arc<str>, i128>, amounts: &BTreeMap<Arc<str>, i128>) {
    for (name, more) in amounts {
        if let Some(most) = hard.get_mut(name) {
            *most = most.saturating_add(*more);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::tenant::Tenant;
    use crate::cluster::lineage::in_force;
    use crate::fairness::Classes;

    fn moment(second: u32) -> Timestamp {
        format!("2026-11-22T10:00:{second:02}Z").parse().unwrap()
    }

    /// A request in a namespace of this name, for 5 Pods; `change` may spoil it.
    fn request(change: impl FnOnce(&mut Value)) -> QuotaRequest {
        let mut object = json!({
            "apiVersion": "bailey.dev/v1alpha1", "kind": "QuotaRequest",
            "metadata": {"name": "more", "namespace": "physics-web", "generation": 2},
            "spec": {"amounts": {"pods": 5, "cpu": "1"}, "reason": "a term"},
            "status": {"decision": {
                "verdict": "Approved", "generation": 2, "tenant": "physics", "by": "root",
                "granted": {"pods": 5, "cpu": "1"}, "until": "2026-11-22T10:00:30Z",
            }},
        });
        change(&mut object);
        serde_json::from_value(object).unwrap()
    }

    fn tenant_of(namespace: &str) -> Option<&'static str> {
        match namespace {
            "physics-web" | "physics-lab" => Some("physics"),
            "chemistry-web" => Some("chemistry"),
            _ => None,
        }
    }

    /// The budget of a tenant, as it is with these requests.
    fn tenant(spec: &Value, requests: &[QuotaRequest], now: Timestamp) -> model::Tenant {
        let object = json!({
            "apiVersion": "bailey.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": "physics"}, "spec": spec,
        });
        let tenant: Tenant = serde_json::from_value(object).unwrap();
        let grants = Grants::at(now, requests, tenant_of);
        let tenants = BTreeMap::from([("physics".to_owned(), tenant)]);
        in_force(&tenants, &BTreeMap::new(), &Classes::default(), &grants).remove(0)
    }

    fn pods(requests: &[QuotaRequest], now: Timestamp) -> i128 {
        tenant(&json!({"quota": {"hard": {"pods": 2}}}), requests, now).budget.hard["pods"] / ONE
    }

    #[test]
    fn what_is_approved_counts_until_its_end_and_not_in_it() {
        let all = [request(|_| {})];
        let at = |second| pods(&all, moment(second));
        assert_eq!([at(0), at(29), at(30), at(31)], [7, 7, 2, 2]);
        // A clock that is set back revives it, for as long as it was set back.
        assert_eq!(at(29), 7);
        let forever = [request(|object| object["status"]["decision"]["until"] = Value::Null)];
        assert_eq!(pods(&forever, moment(59)), 7);
    }

    #[test]
    fn what_nobody_approved_as_it_is_counts_nothing() {
        type Change = fn(&mut Value);
        let spoiled: [(&str, Change); 9] = [
            ("pending", |object| object["status"] = json!({})),
            ("refused", |object| object["status"]["decision"]["verdict"] = json!("Refused")),
            ("changed after it was approved", |object| object["metadata"]["generation"] = json!(3)),
            ("decided on what is to come", |object| object["metadata"]["generation"] = json!(1)),
            ("without a generation", |object| object["metadata"]["generation"] = Value::Null),
            ("approved for another tenant", |object| {
                object["status"]["decision"]["tenant"] = json!("chemistry");
            }),
            ("approved past admission", |object| object["status"]["decision"]["tenant"] = Value::Null),
            ("deleted", |object| object["metadata"]["deletionTimestamp"] = json!("2026-11-22T10:00:00Z")),
            ("in a namespace of nobody", |object| object["metadata"]["namespace"] = json!("free")),
        ];
        for (name, change) in spoiled {
            assert_eq!(pods(&[request(change)], moment(0)), 2, "{name}");
        }
        let theirs = request(|object| {
            object["metadata"]["namespace"] = json!("chemistry-web");
            object["status"]["decision"]["tenant"] = json!("chemistry");
        });
        assert_eq!(pods(&[theirs], moment(0)), 2, "another tenant's");
    }

    #[test]
    fn requests_add_up_where_there_is_a_budget_and_nowhere_else() {
        let one = request(|_| {});
        let other = request(|object| object["metadata"]["namespace"] = json!("physics-lab"));
        assert_eq!(pods(&[one.clone(), other.clone()], moment(0)), 12);
        // The processors of it are not limited, and stay so.
        let found = tenant(&json!({"quota": {"hard": {"pods": 2}}}), &[one], moment(0));
        assert_eq!(found.budget.hard.len(), 1);
        let banded = request(|object| object["spec"]["band"] = json!("batch"));
        let spec = json!({"quota": {
            "hard": {"pods": 2}, "bands": [{"name": "batch", "hard": {"requests.cpu": "1"}}],
        }});
        let found = tenant(&spec, &[banded], moment(0)).budget;
        assert_eq!(found.hard["pods"], 2 * ONE);
        assert_eq!(found.bands[0].hard, BTreeMap::from([("requests.cpu".into(), 2 * ONE)]));
        let huge = request(|object| {
            object["status"]["decision"]["granted"] = json!({"pods": "100000000000000000000E"});
        });
        assert!(pods(&[huge.clone(), huge], moment(0)) >= 2, "nothing overflows");
    }

    #[test]
    fn more_namespaces_are_granted_by_either_name_of_their_limit() {
        let more = request(|object| {
            object["status"]["decision"]["granted"] = json!({"count/namespaces": 3});
        });
        let spec = json!({"namespaces": {"limit": 2}, "quota": {"hard": {"count/namespaces": "4"}}});
        let found = tenant(&spec, &[more], moment(0));
        assert_eq!((found.namespaces.limit, found.budget.hard[NAMESPACES]), (Some(5), 7 * ONE));
    }

    #[test]
    fn it_wakes_at_the_next_end_and_before_long_in_any_case() {
        let until = |text: &str| {
            let text = text.to_owned();
            request(move |object| object["status"]["decision"]["until"] = json!(text))
        };
        let wake = |all: &[QuotaRequest], second| Grants::at(moment(0), all, tenant_of).wake(moment(second));
        let (soon, late) = (until("2026-11-22T10:00:07Z"), until("2027-11-22T10:00:00Z"));
        assert_eq!(wake(&[late.clone(), soon.clone()], 2), Some(Duration::from_secs(5)));
        assert_eq!(wake(&[late], 2), Some(LONGEST));
        assert_eq!(wake(&[soon], 9), Some(SHORTEST), "what is over is not waited for");
        assert_eq!(wake(&[request(|object| object["status"]["decision"]["until"] = Value::Null)], 0), None);
    }
}
