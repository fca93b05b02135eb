//! The webhook's routes.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderValue, Request as HttpRequest, Response, StatusCode, header};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use model::{Code, Verdict};

use crate::deadline::deadline;
use crate::decision::status;
use crate::pipeline::{Admission, Phase};
use crate::response::{bare_status, encode};

/// What TLS found out about the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Peer {
    /// No certificate was asked for: anyone who reaches the port may call.
    #[default]
    Unchecked,
    /// A certificate of the configured authority, with an accepted name.
    Trusted,
    /// A certificate was asked for, and there was none, or one with another name.
    Untrusted,
}

/// Bounds on what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// The longest body, in bytes. The API server sends up to about 9 MiB: an object and the old one.
    pub body_bytes: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { body_bytes: 16 << 20 }
    }
}

struct Shared {
    admission: Arc<Admission>,
    limits: HttpLimits,
}

/// The routes `/validate` and `/mutate`, and `/pace` for what is only counted. A connection's [`Peer`] is expected as an extension.
pub fn router(admission: Arc<Admission>, limits: HttpLimits) -> Router {
    Router::new()
        .route("/validate", post(validate))
        .route("/mutate", post(mutate))
        .route("/pace", post(pace))
        .with_state(Arc::new(Shared { admission, limits }))
}

async fn validate(
    State(shared): State<Arc<Shared>>,
    peer: Option<Extension<Peer>>,
    request: HttpRequest<Body>,
) -> Response<Body> {
    review(&shared, Phase::Validate, peer.map(|Extension(peer)| peer), request).await
}

async fn mutate(
    State(shared): State<Arc<Shared>>,
    peer: Option<Extension<Peer>>,
    request: HttpRequest<Body>,
) -> Response<Body> {
    review(&shared, Phase::Mutate, peer.map(|Extension(peer)| peer), request).await
}

async fn pace(
    State(shared): State<Arc<Shared>>,
    peer: Option<Extension<Peer>>,
    request: HttpRequest<Body>,
) -> Response<Body> {
    let start = Instant::now();
    let answered = async {
        if peer.map(|Extension(peer)| peer).unwrap_or_default() == Peer::Untrusted {
            let reason = "only the API server may call this, with its client certificate";
            return Err((Code::ClientNotAllowed, reason.to_owned()));
        }
        let deadline = deadline(start, request.uri().query())
            .map_err(|error| (Code::ReviewMalformed, error.to_string()))?;
        let body = shared.read(request, deadline).await?;
        shared.admission.count_only(&body).map_err(|error| (error.code(), error.to_string()))
    };
    match answered.await {
        Ok(answer) => json(StatusCode::OK, answer.to_string().into_bytes()),
        Err((code, reason)) => bare(code, status(code), &reason),
    }
}

async fn review(
    shared: &Shared,
    phase: Phase,
    peer: Option<Peer>,
    request: HttpRequest<Body>,
) -> Response<Body> {
    let start = Instant::now();
    if peer.unwrap_or_default() == Peer::Untrusted {
        let reason = "only the API server may call this, with its client certificate";
        return shared.unread(phase, Code::ClientNotAllowed, reason, start);
    }
    let deadline = match deadline(start, request.uri().query()) {
        Ok(deadline) => deadline,
        Err(error) => return shared.unread(phase, Code::ReviewMalformed, &error.to_string(), start),
    };
    let body = match shared.read(request, deadline).await {
        Ok(body) => body,
        Err((code, reason)) => return shared.unread(phase, code, &reason, start),
    };
    let answered = shared.admission.admit(phase, &body, start, deadline).await;
    match (answered.uid, &answered.decision.verdict) {
        (Some(uid), _) => match encode(&uid, &answered.decision) {
            Ok(text) => json(StatusCode::OK, text),
            Err(error) => {
                shared.unread(phase, Code::Internal, &format!("the answer cannot be written: {error}"), start)
            }
        },
        (None, Verdict::Denied { code, status, message, .. }) => bare(*code, *status, message),
        (None, Verdict::Allowed) => bare(Code::Internal, 500, "a review without uid was let through"),
    }
}

impl Shared {
    /// Reads the body, bounded in length and time.
    async fn read(&self, request: HttpRequest<Body>, deadline: Instant) -> Result<Bytes, (Code, String)> {
        let limit = self.limits.body_bytes;
        let body = Limited::new(request.into_body(), limit);
        let read = tokio::time::timeout_at(tokio::time::Instant::from_std(deadline), body.collect()).await;
        match read {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err((Code::ReviewTooLarge, format!("the body is longer than {limit} bytes")))
            }
            Ok(Err(error)) => Err((Code::ReviewMalformed, format!("the body cannot be read: {error}"))),
            Err(_) => Err((Code::DeadlineExceeded, "the body did not arrive before the deadline".to_owned())),
        }
    }

    fn unread(&self, phase: Phase, code: Code, reason: &str, start: Instant) -> Response<Body> {
        match self.admission.refuse_unread(phase, code, reason, start).verdict {
            Verdict::Denied { message, .. } => bare(code, status(code), &message),
            Verdict::Allowed => bare(Code::Internal, 500, reason),
        }
    }
}

fn bare(code: Code, status: u16, message: &str) -> Response<Body> {
    let status_code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response =
        axum::response::IntoResponse::into_response((status_code, Json(bare_status(code, status, message))));
    if matches!(status, 429 | 503) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn json(status: StatusCode, text: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
