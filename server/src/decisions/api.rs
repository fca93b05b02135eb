use std::sync::Arc;

use audit::ReadError;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use model::Record;
use serde_json::{Value, json};
use tenancy::rates::UseReader;

use super::merge::merged;
use super::own::OwnRecord;
use super::peers::Peers;
use super::question::Question;
use super::{OnlyFor, refusal, trusted, uses};

/// Group and version.
pub(super) const API: &str = "decisions.bailey.dev/v1alpha1";

/// Where the decisions of tenants are.
pub(crate) struct Decisions {
    /// What this replica decided.
    pub(crate) record: Arc<OwnRecord>,
    /// The other replicas, where they are known.
    pub(crate) peers: Option<Peers>,
    /// What tenants do now; nothing without a cluster.
    pub(crate) uses: Option<UseReader>,
}

/// How many replicas are known, this one too, and how many have answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) replicas: usize,
    pub(super) answered: usize,
    /// Whether there may be more.
    pub(super) more: bool,
}

/// What was found.
struct Found {
    records: Vec<Record>,
    /// Nothing where no other replica is known.
    asked: Option<Asked>,
}

/// The routes of the aggregated API.
pub(crate) fn router(decisions: Decisions) -> Router {
    let only = OnlyFor("only the API server may ask here, with its proxy certificate");
    Router::new()
        .route("/apis/decisions.bailey.dev/v1alpha1", get(resources))
        .route("/apis/decisions.bailey.dev/v1alpha1/decisions/{tenant}", get(of_tenant))
        .route("/apis/decisions.bailey.dev/v1alpha1/uses/{tenant}", get(uses::of_tenant))
        .fallback(async || {
            refusal(StatusCode::NOT_FOUND, "there are only `decisions` and `uses`, by the name of a tenant")
        })
        .layer(axum::middleware::from_fn(trusted))
        .layer(Extension(only))
        .with_state(Arc::new(decisions))
}

async fn resources() -> Json<Value> {
    Json(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": API,
        "resources": [
            {"name": "decisions", "singularName": "decision", "namespaced": false, "kind": "Decisions", "verbs": ["get"]},
            {"name": "uses", "singularName": "use", "namespaced": false, "kind": "Uses", "verbs": ["get"]},
        ],
    }))
}

async fn of_tenant(
    State(decisions): State<Arc<Decisions>>,
    Path(tenant): Path<String>,
    question: Result<Query<Question>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let question = match question {
        Ok(Query(question)) => question,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.body_text()),
    };
    match decisions.find(&tenant, &question).await {
        Ok(found) => found.response(&tenant, &question),
        Err(error @ ReadError::IdInvalid { .. }) => refusal(StatusCode::BAD_REQUEST, &error.to_string()),
        Err(error) => {
            tracing::warn!(%error, tenant, "decisions could not be read");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "the record cannot be read, ask an administrator")
        }
    }
}

impl Decisions {
    async fn find(&self, tenant: &str, question: &Question) -> Result<Found, ReadError> {
        // First, so that what cannot be answered is asked nobody else.
        let own = self.record.read(tenant, question).await?;
        let Some(peers) = &self.peers else { return Ok(Found { records: own, asked: None }) };
        let others = peers.ask(tenant, question).await;
        let answered = others.answered.saturating_add(1);
        Ok(Found {
            records: merged(own, others.records, question.most()),
            asked: Some(Asked {
                replicas: answered.saturating_add(others.unanswered),
                answered,
                more: others.more,
            }),
        })
    }
}

impl Asked {
    /// What to tell about replicas that have not answered.
    pub(super) fn warning(self) -> Option<String> {
        let (missing, replicas) = (self.replicas.saturating_sub(self.answered), self.replicas);
        let what = match (missing, self.more) {
            (0, false) => return None,
            (0, true) => "other replicas of Bailey were not found".to_owned(),
            (_, false) => format!("{missing} of {replicas} replicas of Bailey did not answer"),
            (_, true) => {
                format!(
                    "{missing} of {replicas} replicas of Bailey did not answer, and others were not found"
                )
            }
        };
        Some(format!("{what}: their decisions are missing here"))
    }
}

impl Found {
    fn response(self, tenant: &str, question: &Question) -> Response {
        let warning = self.asked.and_then(Asked::warning);
        let mut response = match (&question.id, self.records.as_slice()) {
            (Some(id), []) => self.not_found(id),
            (Some(id), [_, _, ..]) => ambiguous(id, &self.records),
            _ => self.listed(tenant),
        };
        let warning = warning.and_then(|text| HeaderValue::try_from(format!("299 - \"{text}\"")).ok());
        if let Some(warning) = warning {
            response.headers_mut().insert(header::WARNING, warning);
        }
        response
    }

    fn not_found(&self, id: &str) -> Response {
        let id = id.trim().to_ascii_lowercase();
        let Some(asked) = self.asked else {
            return refusal(StatusCode::NOT_FOUND, &ReadError::NotFound { id }.to_string());
        };
        let more = asked.warning().map(|text| format!("; {text}")).unwrap_or_default();
        let why = "it may not be written yet, or be older than what is kept";
        refusal(StatusCode::NOT_FOUND, &format!("no record has the id `{id}`: {why}{more}"))
    }

    fn listed(&self, tenant: &str) -> Response {
        let mut metadata = json!({"name": tenant});
        if let (Some(asked), Some(members)) = (self.asked, metadata.as_object_mut()) {
            let warning = asked.warning();
            members.insert("incomplete".to_owned(), json!(warning.is_some()));
            members.extend(warning.map(|text| ("warning".to_owned(), json!(text))));
            let replicas = json!({"known": asked.replicas, "answered": asked.answered});
            members.insert("replicas".to_owned(), replicas);
        }
        let items: Vec<Value> = self.records.iter().map(shown).collect();
        Json(json!({"apiVersion": API, "kind": "Decisions", "metadata": metadata, "items": items}))
            .into_response()
    }
}

fn ambiguous(id: &str, records: &[Record]) -> Response {
    let candidates = records.iter().map(|record| record.id.clone()).collect();
    let error = ReadError::Ambiguous { id: id.trim().to_ascii_lowercase(), candidates };
    refusal(StatusCode::BAD_REQUEST, &error.to_string())
}

/// A record without the groups of whoever asked, which are empty here.
fn shown(record: &Record) -> Value {
    let mut value = serde_json::to_value(record).unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        members.remove("groups");
    }
    value
}
