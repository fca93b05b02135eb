//! The decisions of a tenant, for its own members, through the API server's aggregation layer.
//!
//! The API server authenticates the user, asks RBAC whether they may `get` the `decisions` of that name, and passes the
//! request on with a certificate of its own. Whoever has no such certificate is refused, so what RBAC decided holds.

use std::path::PathBuf;
use std::sync::Arc;

use admission::Peer;
use audit::{AuditReader, Filter, ReadError};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use model::Record;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// Group and version.
const API: &str = "decisions.bailey.dev/v1alpha1";
/// The most records of one answer.
const MOST: u32 = 500;
/// The most questions at once; more wait.
const READERS: usize = 4;

/// What a question needs.
struct Decisions {
    database: PathBuf,
    readers: Semaphore,
}

/// What is asked of a tenant's decisions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Question {
    /// Only the one with this id, or one that begins so.
    id: Option<String>,
    /// Only refusals.
    denied: bool,
    /// Only this namespace.
    namespace: Option<String>,
    /// Only this user.
    user: Option<String>,
    /// The most records.
    limit: u32,
    /// What the API server's clients add.
    #[serde(rename = "timeout")]
    _timeout: Option<String>,
}

impl Default for Question {
    fn default() -> Self {
        Self { id: None, denied: false, namespace: None, user: None, limit: 50, _timeout: None }
    }
}

/// The routes of the aggregated API.
pub(crate) fn router(database: PathBuf) -> Router {
    let state = Arc::new(Decisions { database, readers: Semaphore::new(READERS) });
    Router::new()
        .route("/apis/decisions.bailey.dev/v1alpha1", get(resources))
        .route("/apis/decisions.bailey.dev/v1alpha1/decisions/{tenant}", get(of_tenant))
        .fallback(async || {
            refusal(StatusCode::NOT_FOUND, "there is only `decisions`, by the name of a tenant")
        })
        .layer(axum::middleware::from_fn(trusted))
        .with_state(state)
}

/// Lets through what the API server passes on.
async fn trusted(
    Extension(peer): Extension<Peer>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    match peer {
        Peer::Trusted => next.run(request).await,
        Peer::Untrusted | Peer::Unchecked => {
            refusal(StatusCode::FORBIDDEN, "only the API server may ask here, with its proxy certificate")
        }
    }
}

async fn resources() -> Json<Value> {
    Json(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": API,
        "resources": [{
            "name": "decisions", "singularName": "decision", "namespaced": false, "kind": "Decisions", "verbs": ["get"],
        }],
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
    match decisions.read(&tenant, question).await {
        Ok(records) => {
            let items: Vec<Value> = records.iter().map(shown).collect();
            let body =
                json!({"apiVersion": API, "kind": "Decisions", "metadata": {"name": tenant}, "items": items});
            Json(body).into_response()
        }
        Err(error @ (ReadError::NotFound { .. } | ReadError::Missing { .. })) => {
            refusal(StatusCode::NOT_FOUND, &error.to_string())
        }
        Err(error @ (ReadError::IdInvalid { .. } | ReadError::Ambiguous { .. })) => {
            refusal(StatusCode::BAD_REQUEST, &error.to_string())
        }
        Err(error) => {
            tracing::warn!(%error, tenant, "decisions could not be read");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "the record cannot be read, ask an administrator")
        }
    }
}

impl Decisions {
    async fn read(&self, tenant: &str, question: Question) -> Result<Vec<Record>, ReadError> {
        // The semaphore is never closed.
        let _permit = self.readers.acquire().await.ok();
        let mut reader = AuditReader::open(&self.database).await?;
        if let Some(id) = question.id {
            let entry = reader.get(&id).await?;
            // Another tenant's is not there for this one.
            let own = entry.record.tenant.as_deref() == Some(tenant);
            return if own { Ok(vec![entry.record]) } else { Err(ReadError::NotFound { id }) };
        }
        let filter = Filter {
            denied: question.denied,
            namespace: question.namespace,
            user: question.user,
            tenant: Some(tenant.to_owned()),
            limit: question.limit.min(MOST),
            ..Filter::default()
        };
        Ok(reader.tail(&filter).await?.into_iter().map(|entry| entry.record).collect())
    }
}

/// A record without the groups of whoever asked: those are between them and the identity provider.
fn shown(record: &Record) -> Value {
    let mut value = serde_json::to_value(record).unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        members.remove("groups");
    }
    value
}

/// A Kubernetes Status.
fn refusal(code: StatusCode, message: &str) -> Response {
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code.as_u16(), "message": message,
        "reason": code.canonical_reason().unwrap_or_default().replace(' ', ""),
    });
    (code, Json(body)).into_response()
}
