//! Requests for more than a tenant's budget: asked by members, decided on by administrators.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use model::TENANT_LABEL;
use serde::Serialize;
use uuid::Uuid;

use super::answers::{Answer, decide};
use super::fault::{Fault, Refuser};
use super::session::Session;
use super::tenants::TenantSummary;
use crate::api::budget::{Quantities, text};
use crate::api::request::{QuotaRequest, QuotaRequestSpec, RequestState};

/// How many namespaces are read at once.
const READS: usize = 8;
/// How often a decision is tried again that met another change.
const TRIES: usize = 5;
const ASK: &str = "owners and editors of the namespace's tenant ask for more";
const HINT: &str =
    "this takes an administrator's rights, or those of the ClusterRole `bailey-quota-approver`";
const UNSERVED: &str =
    "the cluster does not know requests for quota: an administrator applies `bailey crds` first";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewRequest {
    /// How much more, by resource name.
    pub amounts: Vec<(String, String)>,
    /// The band of the budget.
    pub band: Option<String>,
    /// What it is for.
    pub reason: String,
    /// For how long, such as `7d`.
    pub duration: Option<String>,
}

/// A request, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestEntry {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The tenant that it asks for.
    pub tenant: Option<String>,
    /// What is asked for beyond the budget.
    pub amounts: BTreeMap<String, String>,
    /// The band of the budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub band: Option<String>,
    /// What it is for.
    pub reason: String,
    /// For how long, or until when, it is asked for; `None` without an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_for: Option<String>,
    /// Who asked.
    pub requested_by: Option<String>,
    /// When it was made.
    pub created: Option<String>,
    /// Pending, Approved, Refused or Expired.
    pub state: String,
    /// What is granted, or was.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub granted: BTreeMap<String, String>,
    /// When the grant ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Who decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// The requests of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// Those that the user may read, the oldest first.
    pub items: Vec<RequestEntry>,
    /// The namespaces whose requests the user may not read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

impl Session {
    /// The namespace in which something is asked for a tenant: the one that was given, that of the context where it is
    /// the tenant's, else the tenant's first.
    ///
    /// # Errors
    /// When the tenant has none.
    pub fn namespace_in(&self, tenant: &TenantSummary, given: bool) -> Result<String, Fault> {
        let here = self.namespace();
        if given || tenant.namespaces.iter().any(|name| name == here) {
            return Ok(here.to_owned());
        }
        let first = tenant.namespaces.first().cloned();
        first.ok_or_else(|| {
            Fault::Usage(format!(
                "a request lives in a namespace, and the tenant `{}` has none: an owner makes one with `kubectl tenant \
                 namespaces create NAME`",
                tenant.name
            ))
        })
    }

    /// Asks for more than a tenant's budget.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn request_quota(
        &self,
        tenant: &str,
        namespace: &str,
        new: &NewRequest,
    ) -> Result<RequestEntry, Fault> {
        let id = Uuid::now_v7().simple().to_string();
        let name = format!("quota-{}", id.get(24..).unwrap_or_default());
        let spec = QuotaRequestSpec {
            amounts: quantities(&new.amounts),
            band: new.band.clone(),
            reason: new.reason.clone(),
            duration: new.duration.clone(),
            ..QuotaRequestSpec::default()
        };
        let created =
            self.requests(namespace).create(&PostParams::default(), &QuotaRequest::new(&name, spec)).await;
        let created = created.map_err(|error| match self.fault(&error) {
            Fault::NotFound(_) => Fault::NotFound(UNSERVED.to_owned()),
            other => other.or(ASK),
        })?;
        Ok(entry(&created, Some(tenant), Timestamp::now()))
    }

    /// The requests in the namespaces of a tenant.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn quota_requests(&self, tenant: &TenantSummary) -> Result<Requests, Fault> {
        let reads = tenant.namespaces.iter().map(|namespace| async move {
            match self.list(self.requests(namespace), "").await {
                Ok(found) => Ok((namespace.clone(), Some(found))),
                Err(Fault::Refused { by: Refuser::Rbac, .. }) => Ok((namespace.clone(), None)),
                Err(Fault::NotFound(_)) => Err(Fault::NotFound(UNSERVED.to_owned())),
                Err(other) => Err(other),
            }
        });
        let found: Vec<_> = futures::stream::iter(reads).buffered(READS).try_collect().await?;
        let (now, mut items, mut unread) = (Timestamp::now(), Vec::new(), Vec::new());
        for (namespace, requests) in found {
            match requests {
                Some(requests) => {
                    items.extend(requests.iter().map(|request| entry(request, Some(&tenant.name), now)));
                }
                None => unread.push(namespace),
            }
        }
        sort(&mut items);
        Ok(Requests { items, unread })
    }

    /// Withdraws a request.
    ///
    /// # Errors
    /// When it is refused, or not there.
    pub async fn withdraw_request(&self, namespace: &str, name: &str) -> Result<(), Fault> {
        let done = self.requests(namespace).delete(name, &DeleteParams::default()).await;
        done.map(drop).map_err(|error| self.missing(&error, namespace, name).or(ASK))
    }

    /// Every request, for an administrator.
    ///
    /// # Errors
    /// When the user may not list them all.
    pub async fn all_requests(&self) -> Result<Vec<RequestEntry>, Fault> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let requests: Api<QuotaRequest> = Api::all(self.client.clone());
        let read = futures::try_join!(self.list(namespaces, TENANT_LABEL), self.list(requests, ""));
        let (namespaces, requests) = read.map_err(|fault| match fault {
            Fault::NotFound(_) => Fault::NotFound(UNSERVED.to_owned()),
            other => other.or("members see their own with `kubectl tenant requests`"),
        })?;
        let tenants: BTreeMap<String, String> = namespaces
            .iter()
            .filter_map(|namespace| {
                Some((namespace.name_any(), namespace.labels().get(TENANT_LABEL)?.clone()))
            })
            .collect();
        let now = Timestamp::now();
        let tenant = |request: &QuotaRequest| tenants.get(&request.namespace()?).map(String::as_str);
        let mut all: Vec<_> = requests.iter().map(|request| entry(request, tenant(request), now)).collect();
        sort(&mut all);
        Ok(all)
    }

    /// One request, for an administrator.
    ///
    /// # Errors
    /// When it is not there, or the user may not see it.
    pub async fn quota_request(&self, namespace: &str, name: &str) -> Result<RequestEntry, Fault> {
        let (request, tenant) = self.request_of(namespace, name).await?;
        Ok(entry(&request, tenant.as_deref(), Timestamp::now()))
    }

    /// Decides on a request as it is, also again. One that is changed at the same time is not decided on.
    ///
    /// # Errors
    /// When the answer does not fit the request, or is refused.
    pub async fn answer_request(
        &self,
        namespace: &str,
        name: &str,
        answer: &Answer,
    ) -> Result<RequestEntry, Fault> {
        let (mut request, tenant) = self.request_of(namespace, name).await?;
        let mut tries = 1;
        loop {
            let decision = decide(&request, answer, Timestamp::now())?;
            let generation = request.metadata.generation;
            request.status.get_or_insert_default().decision = Some(decision);
            let api = self.requests(namespace);
            match api.replace_status(name, &PostParams::default(), &request).await {
                Ok(done) => return Ok(entry(&done, tenant.as_deref(), Timestamp::now())),
                Err(error) => match self.missing(&error, namespace, name).or(HINT) {
                    Fault::Conflict(_) if tries < TRIES => tries = tries.saturating_add(1),
                    fault => return Err(fault),
                },
            }
            request = api.get(name).await.map_err(|error| self.missing(&error, namespace, name))?;
            if request.metadata.generation != generation {
                let text =
                    format!("the request `{namespace}/{name}` was changed meanwhile: look at it again");
                return Err(Fault::Conflict(text));
            }
        }
    }

    /// A request and the tenant of its namespace.
    async fn request_of(&self, namespace: &str, name: &str) -> Result<(QuotaRequest, Option<String>), Fault> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let request = self.requests(namespace).get(name).await;
        let request = request.map_err(|error| self.missing(&error, namespace, name).or(HINT))?;
        let found = namespaces.get(namespace).await.map_err(|error| self.fault(&error).or(HINT))?;
        Ok((request, found.labels().get(TENANT_LABEL).cloned()))
    }

    fn requests(&self, namespace: &str) -> Api<QuotaRequest> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn missing(&self, error: &kube::Error, namespace: &str, name: &str) -> Fault {
        match self.fault(error) {
            Fault::NotFound(_) => {
                Fault::NotFound(format!("there is no request `{name}` in the namespace `{namespace}`"))
            }
            other => other,
        }
    }
}

/// The oldest first.
fn sort(all: &mut [RequestEntry]) {
    all.sort_by(|one, other| {
        let key = |entry: &RequestEntry| (entry.created.clone(), entry.namespace.clone(), entry.name.clone());
        key(one).cmp(&key(other))
    });
}

/// Amounts as they are stored.
pub(super) fn quantities(amounts: &[(String, String)]) -> Quantities {
    amounts.iter().map(|(name, amount)| (name.clone(), IntOrString::String(amount.clone()))).collect()
}

/// Amounts as they are shown.
pub(super) fn texts(amounts: &Quantities) -> BTreeMap<String, String> {
    amounts.iter().map(|(name, amount)| (name.clone(), text(amount))).collect()
}

/// A request as it stands for the tenant of its namespace.
fn entry(request: &QuotaRequest, tenant: Option<&str>, now: Timestamp) -> RequestEntry {
    let moment = |time: &Time| time.0.to_string();
    let spec = &request.spec;
    let decision = tenant.and_then(|tenant| request.decision(tenant));
    let state = tenant.map_or(RequestState::Pending, |tenant| request.state(tenant, now));
    RequestEntry {
        namespace: request.namespace().unwrap_or_default(),
        name: request.name_any(),
        tenant: tenant.map(str::to_owned),
        amounts: texts(&spec.amounts),
        band: spec.band.clone(),
        reason: spec.reason.clone(),
        asked_for: spec.duration.clone().or_else(|| spec.until.as_ref().map(moment)),
        requested_by: spec.requested_by.clone(),
        created: request.metadata.creation_timestamp.as_ref().map(moment),
        state: state.as_str().to_owned(),
        granted: decision.map(|decision| texts(&decision.granted)).unwrap_or_default(),
        until: decision.and_then(|decision| decision.until.as_ref()).map(moment),
        decided_by: decision.and_then(|decision| decision.by.clone()),
        decided_at: decision.and_then(|decision| decision.at.as_ref()).map(moment),
        answer: decision.and_then(|decision| decision.reason.clone()),
    }
}
