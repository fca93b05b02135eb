//! What a tenant uses, and what it may use.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{LimitRange, Namespace, ResourceQuota};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::{Api, ResourceExt};
use model::TENANT_LABEL;
use serde::Serialize;
use serde_json::Value;

use quota::ledger::NAMESPACES;

use super::budgets::{BudgetLine, with_granted};
use super::fault::{Fault, Refuser};
use super::rates::RateLine;
use super::requests::RequestEntry;
use super::session::Session;
use super::tenants::TenantSummary;
use super::uses::Uses;
use crate::api::tenant::QuotaStatus;
use model::Amount;

/// How many namespaces are read at once.
const READS: usize = 8;
/// The profile of tenants that name none.
const DEFAULT_PROFILE: &str = "default";

/// One resource of a quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaLine {
    /// The resource, such as `requests.cpu`, with the scopes of its quota where it has some.
    pub resource: String,
    /// What is used.
    pub used: String,
    /// What may be used.
    pub hard: String,
    /// What is used of a hundred; `None` where nothing may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
}

/// What a tenant uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// The tenant.
    pub tenant: String,
    /// How many namespaces it has.
    pub namespaces: u32,
    /// The most that it may have.
    pub namespace_limit: Option<u32>,
    /// Its budgets, over all its namespaces and those of the tenants below it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budget: Vec<QuotaLine>,
    /// The quotas of all its namespaces together.
    pub total: Vec<QuotaLine>,
    /// The quotas of each namespace that has some.
    pub by_namespace: BTreeMap<String, Vec<QuotaLine>>,
    /// The namespaces whose quotas the user may not read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

/// A tenant and what it uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantUsage {
    /// The tenant.
    #[serde(flatten)]
    pub tenant: TenantSummary,
    /// The quotas of all its namespaces together.
    pub usage: Vec<QuotaLine>,
}

/// What a tenant may do at most.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// The tenant.
    pub tenant: String,
    /// What the names of its namespaces begin with.
    pub prefix: String,
    /// The most namespaces.
    pub namespace_limit: Option<u32>,
    /// What the tenant may have at once, and what is granted beside it.
    pub budget: Vec<BudgetLine>,
    /// The class of fairness; `None` where it is in none, or nobody has said yet.
    pub fairness_class: Option<String>,
    /// How often the tenant may do what.
    pub rates: Vec<RateLine>,
    /// What it does now; `None` where the cluster does not tell, or the user may not know.
    pub uses: Option<Vec<Uses>>,
    /// The name of the isolation profile.
    pub profile: String,
    /// What the profile says; `None` where there is none of the name, or the user may not read it.
    pub isolation: Option<Value>,
    /// What holds in each namespace.
    pub namespaces: Vec<NamespaceLimits>,
}

/// What holds in one namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceLimits {
    /// The namespace.
    pub namespace: String,
    /// The name and the most of each resource of its quotas.
    pub quotas: BTreeMap<String, BTreeMap<String, String>>,
    /// The items of its LimitRanges, by name.
    pub limit_ranges: BTreeMap<String, Vec<Value>>,
    /// Whether the user may read both.
    pub readable: bool,
}

/// A budget as a line.
fn of_budget(status: &QuotaStatus) -> QuotaLine {
    let [used, hard] = [&status.used, &status.hard].map(|amount| Amount::parse(amount).unwrap_or_default());
    let band = status.band.as_ref().map(|band| format!(" (band {band})")).unwrap_or_default();
    QuotaLine {
        resource: format!("{}{band}", status.resource),
        used: status.used.clone(),
        hard: status.hard.clone(),
        percent: used.percent_of(hard),
    }
}

/// The most and the used of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    used: Amount,
    hard: Amount,
}

/// Lines by resource.
type Lines = BTreeMap<String, Line>;

impl Session {
    /// What a tenant uses of its quotas.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn usage(&self, tenant: &TenantSummary) -> Result<Usage, Fault> {
        let reads = tenant.namespaces.iter().map(|name| async move {
            let api: Api<ResourceQuota> = Api::namespaced(self.client.clone(), name);
            Ok::<_, Fault>((name.clone(), readable(self.list(api, "").await)?))
        });
        let found: Vec<_> = futures::stream::iter(reads).buffered(READS).try_collect().await?;
        let unread = found.iter().filter(|(_, quotas)| quotas.is_none()).map(|(name, _)| name.clone());
        let unread = unread.collect();
        let lines: BTreeMap<_, _> = found
            .into_iter()
            .filter_map(|(name, quotas)| Some((name, of_namespace(&quotas?))))
            .filter(|(_, lines)| !lines.is_empty())
            .collect();
        Ok(Usage {
            tenant: tenant.name.clone(),
            namespaces: tenant.namespace_count,
            namespace_limit: tenant.limit,
            budget: tenant
                .budget_use
                .iter()
                .filter(|line| line.resource != NAMESPACES)
                .map(of_budget)
                .collect(),
            total: shown(&sum(lines.values())),
            by_namespace: lines.iter().map(|(name, lines)| (name.clone(), shown(lines))).collect(),
            unread,
        })
    }

    /// What every tenant uses, for an administrator.
    ///
    /// # Errors
    /// When the user may not list namespaces and quotas.
    pub async fn usage_of_all(&self) -> Result<Vec<TenantUsage>, Fault> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let quotas: Api<ResourceQuota> = Api::all(self.client.clone());
        let (tenants, namespaces, quotas, requests) = futures::try_join!(
            self.tenants(),
            self.list(namespaces, TENANT_LABEL),
            self.list(quotas, ""),
            async { served(self.all_requests().await) }
        )
        .map_err(|fault| fault.or("users see their own with `kubectl tenant list`"))?;
        let mut requested: BTreeMap<String, Vec<RequestEntry>> = BTreeMap::new();
        for request in requests {
            requested.entry(request.tenant.clone().unwrap_or_default()).or_default().push(request);
        }
        let mut by_namespace: BTreeMap<String, Vec<ResourceQuota>> = BTreeMap::new();
        for quota in quotas {
            by_namespace.entry(quota.namespace().unwrap_or_default()).or_default().push(quota);
        }
        let mut by_tenant: BTreeMap<String, Vec<Lines>> = BTreeMap::new();
        for namespace in namespaces {
            let tenant = namespace.labels().get(TENANT_LABEL).cloned().unwrap_or_default();
            let lines = by_namespace.get(&namespace.name_any()).map(|quotas| of_namespace(quotas));
            by_tenant.entry(tenant).or_default().extend(lines);
        }
        let with_usage = tenants.into_iter().map(|mut tenant| {
            let requests = requested.get(&tenant.name).map(Vec::as_slice).unwrap_or_default();
            tenant.budget = with_granted(tenant.budget, requests);
            let usage = by_tenant.get(&tenant.name).map(|lines| shown(&sum(lines))).unwrap_or_default();
            TenantUsage { tenant, usage }
        });
        Ok(with_usage.collect())
    }

    /// What a tenant may do at most.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn limits(&self, tenant: &TenantSummary) -> Result<Limits, Fault> {
        let profile = tenant.isolation_profile.clone().unwrap_or_else(|| DEFAULT_PROFILE.to_owned());
        let isolation = match self.own("IsolationProfile").get(&profile).await {
            Ok(found) => found.data.get("spec").cloned(),
            Err(error) => match self.fault(&error) {
                Fault::NotFound(_) | Fault::Refused { .. } => None,
                other => return Err(other),
            },
        };
        let budget = match tenant.budget.is_empty() {
            true => Vec::new(),
            false => {
                let requests = served(self.quota_requests(tenant).await.map(|found| found.items))?;
                with_granted(tenant.budget.clone(), &requests)
            }
        };
        let reads = tenant.namespaces.iter().map(|name| self.limits_in(name));
        let namespaces = futures::stream::iter(reads).buffered(READS).try_collect().await?;
        Ok(Limits {
            tenant: tenant.name.clone(),
            prefix: tenant.prefix.clone(),
            namespace_limit: tenant.limit,
            budget,
            fairness_class: tenant.fairness_class.clone(),
            rates: tenant.rates.clone(),
            uses: self.uses(&tenant.name, &tenant.rates).await?,
            profile,
            isolation,
            namespaces,
        })
    }

    async fn limits_in(&self, namespace: &str) -> Result<NamespaceLimits, Fault> {
        let quotas: Api<ResourceQuota> = Api::namespaced(self.client.clone(), namespace);
        let ranges: Api<LimitRange> = Api::namespaced(self.client.clone(), namespace);
        let quotas = readable(self.list(quotas, "").await)?;
        let ranges = readable(self.list(ranges, "").await)?;
        let readable = quotas.is_some() && ranges.is_some();
        let most = |quota: &ResourceQuota| {
            let hard = quota.spec.as_ref().and_then(|spec| spec.hard.clone()).unwrap_or_default();
            (quota.name_any(), hard.into_iter().map(|(name, most)| (name, most.0)).collect())
        };
        let items = |range: &LimitRange| {
            let items = range.spec.as_ref().map(|spec| spec.limits.as_slice()).unwrap_or_default();
            (range.name_any(), items.iter().filter_map(|item| serde_json::to_value(item).ok()).collect())
        };
        Ok(NamespaceLimits {
            namespace: namespace.to_owned(),
            quotas: quotas.unwrap_or_default().iter().map(most).collect(),
            limit_ranges: ranges.unwrap_or_default().iter().map(items).collect(),
            readable,
        })
    }
}

/// Requests; none where the cluster does not know such.
fn served(read: Result<Vec<RequestEntry>, Fault>) -> Result<Vec<RequestEntry>, Fault> {
    match read {
        Err(Fault::NotFound(_)) => Ok(Vec::new()),
        other => other,
    }
}

/// What was read; `None` where RBAC refused.
pub(super) fn readable<T>(read: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(Fault::Refused { by: Refuser::Rbac, .. }) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// The quotas of one namespace. Where several limit the same, the tightest counts.
fn of_namespace(quotas: &[ResourceQuota]) -> Lines {
    let mut lines = Lines::new();
    for quota in quotas {
        let status = quota.status.clone().unwrap_or_default();
        let used = status.used.unwrap_or_default();
        for (resource, most) in status.hard.unwrap_or_default() {
            let Some(hard) = Amount::parse(&most.0) else { continue };
            let used = used.get(&resource).and_then(|Quantity(text)| Amount::parse(text)).unwrap_or_default();
            let line = Line { used, hard };
            let name = format!("{resource}{}", scopes(quota));
            match lines.get(&name) {
                Some(tighter) if tighter.hard <= line.hard => {}
                _ => _ = lines.insert(name, line),
            }
        }
    }
    lines
}

/// The scopes of a quota, such as ` (BestEffort)`: it counts only what is in all of them.
fn scopes(quota: &ResourceQuota) -> String {
    let Some(spec) = &quota.spec else { return String::new() };
    let mut names = spec.scopes.clone().unwrap_or_default();
    let selected = spec.scope_selector.as_ref().and_then(|selector| selector.match_expressions.as_ref());
    names.extend(selected.into_iter().flatten().map(|expression| {
        let values = expression.values.as_ref().map(|values| values.join(",")).unwrap_or_default();
        format!("{} {} {values}", expression.scope_name, expression.operator).trim_end().to_owned()
    }));
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

fn sum<'a>(all: impl IntoIterator<Item = &'a Lines>) -> Lines {
    let mut total = Lines::new();
    for (resource, line) in all.into_iter().flatten() {
        let entry = total
            .entry(resource.clone())
            .or_insert(Line { used: Amount::default(), hard: Amount::default() });
        entry.used = entry.used.plus(line.used);
        entry.hard = entry.hard.plus(line.hard);
    }
    total
}

fn shown(lines: &Lines) -> Vec<QuotaLine> {
    let lines = lines.iter().map(|(resource, line)| QuotaLine {
        resource: resource.clone(),
        used: line.used.to_string(),
        hard: line.hard.to_string(),
        percent: line.used.percent_of(line.hard),
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn quota(hard: &Value, used: &Value, scopes: &[&str]) -> ResourceQuota {
        let object = json!({"spec": {"scopes": scopes}, "status": {"hard": hard, "used": used}});
        serde_json::from_value(object).unwrap()
    }

    fn said(lines: &Lines) -> Vec<String> {
        let line =
            |line: QuotaLine| format!("{} {}/{} {:?}", line.resource, line.used, line.hard, line.percent);
        shown(lines).into_iter().map(line).collect()
    }

    #[test]
    fn quotas_of_namespaces_add_up_and_the_tightest_of_one_counts() {
        let one = of_namespace(&[
            quota(&json!({"cpu": "2", "memory": "1Gi"}), &json!({"cpu": "500m", "memory": "256Mi"}), &[]),
            quota(&json!({"cpu": "1"}), &json!({"cpu": "0.5"}), &[]),
            quota(&json!({"pods": "4"}), &json!({"pods": "4"}), &["BestEffort"]),
        ]);
        let expected =
            ["cpu 500m/1 Some(50)", "memory 256Mi/1Gi Some(25)", "pods (BestEffort) 4/4 Some(100)"];
        assert_eq!(said(&one), expected);
        let other = of_namespace(&[quota(&json!({"cpu": "1500m", "pods": "0"}), &json!({}), &[])]);
        let total = said(&sum([&one, &other]));
        let expected = [
            "cpu 500m/2500m Some(20)",
            "memory 256Mi/1Gi Some(25)",
            "pods 0/0 None",
            "pods (BestEffort) 4/4 Some(100)",
        ];
        assert_eq!(total, expected);
    }
}
