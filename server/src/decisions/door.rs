use std::sync::Arc;

use audit::ReadError;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use model::Record;
use serde::{Deserialize, Serialize};

use super::own::OwnRecord;
use super::peers::Replica;
use super::question::Question;
use super::{OnlyFor, refusal, trusted};

/// A replica's answer to another.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PeerAnswer {
    /// Who answers: a host name may lead to one replica by several addresses, and to whoever asks.
    pub(super) replica: Replica,
    /// What it decided, oldest first.
    pub(super) records: Vec<Record>,
}

#[derive(Clone)]
struct Door {
    record: Arc<OwnRecord>,
    replica: Replica,
}

/// The routes for other replicas. They answer from this replica's record alone, so no question is asked further.
pub(crate) fn router(record: Arc<OwnRecord>, replica: Replica) -> Router {
    let only = OnlyFor("only another replica may ask here, with the certificate of all replicas");
    Router::new()
        .route("/v1/decisions/{tenant}", get(answer))
        .fallback(async || {
            refusal(StatusCode::NOT_FOUND, "there is only `decisions`, by the name of a tenant")
        })
        .layer(axum::middleware::from_fn(trusted))
        .layer(Extension(only))
        .with_state(Door { record, replica })
}

async fn answer(
    State(door): State<Door>,
    Path(tenant): Path<String>,
    question: Result<Query<Question>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let question = match question {
        Ok(Query(question)) => question,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.body_text()),
    };
    match door.record.read(&tenant, &question).await {
        Ok(records) => Json(PeerAnswer { replica: door.replica, records }).into_response(),
        Err(error @ ReadError::IdInvalid { .. }) => refusal(StatusCode::BAD_REQUEST, &error.to_string()),
        Err(error) => {
            tracing::warn!(%error, tenant, "decisions could not be read");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "the record cannot be read")
        }
    }
}
