//! The decisions of a tenant, for its own members, from the records of all replicas.
//!
//! The API server authenticates the user, asks RBAC whether they may `get` the `decisions` of that name, and passes the
//! request on with a certificate of its own (`api`). The replica that is asked reads its own record (`own`), puts the
//! question to the others (`peers`), which answer from theirs alone at a listener of its own (`door`), and merges
//! (`merge`). Whoever has no such certificate is refused, so what RBAC decided holds.
//!
//! - A question is asked no further: `door` knows no peers.
//! - Nobody waits longer than the two seconds that peers have together. Who did not answer is counted and said.
//! - A peer's answer is bounded in length, and used whole or not at all: each record has to be one that was asked for.

mod api;
mod door;
mod fault;
mod merge;
mod metrics;
mod own;
mod peers;
mod question;
#[cfg(test)]
mod tests;
mod url;
mod uses;

use axum::Extension;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

pub(crate) use api::{Decisions, router};
pub(crate) use door::router as peers_router;
pub(crate) use metrics::PeerMetrics;
pub(crate) use own::OwnRecord;
pub(crate) use peers::{Peers, Replica};
pub use url::{PeerUrl, PeerUrlError};

/// The message of a caller without the right certificate.
#[derive(Debug, Clone, Copy)]
struct OnlyFor(&'static str);

/// Lets through whom TLS trusts.
async fn trusted(
    Extension(peer): Extension<admission::Peer>,
    Extension(OnlyFor(message)): Extension<OnlyFor>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    match peer {
        admission::Peer::Trusted => next.run(request).await,
        admission::Peer::Untrusted | admission::Peer::Unchecked => refusal(StatusCode::FORBIDDEN, message),
    }
}

/// A Kubernetes Status.
fn refusal(code: StatusCode, message: &str) -> Response {
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code.as_u16(), "message": message,
        "reason": code.canonical_reason().unwrap_or_default().replace(' ', ""),
    });
    (code, axum::Json(body)).into_response()
}
