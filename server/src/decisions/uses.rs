//! What a tenant does now, for its own members: each reads its own, as RBAC says.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::api::{API, Decisions};
use super::refusal;

pub(super) async fn of_tenant(
    State(decisions): State<Arc<Decisions>>,
    Path(tenant): Path<String>,
) -> Response {
    let Some(reader) = &decisions.uses else {
        return refusal(StatusCode::NOT_FOUND, "without a cluster nobody tells what tenants do");
    };
    match reader.of(&tenant).await {
        Ok(uses) => Json(json!({
            "apiVersion": API, "kind": "Uses", "metadata": {"name": tenant}, "items": uses,
        }))
        .into_response(),
        Err(error) => {
            tracing::warn!(error, tenant, "the ledgers of rates could not be read");
            refusal(StatusCode::SERVICE_UNAVAILABLE, "the ledgers cannot be read now, ask again in a moment")
        }
    }
}
