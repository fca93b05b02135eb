//! The trace that a review belongs to, as its caller says: W3C `traceparent` and `tracestate`, which the API
//! server sends where its tracing is configured.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::context::FutureExt as _;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// Makes the spans of a request children of its caller's; without valid headers they start a trace.
pub(crate) async fn follow(request: Request, next: Next) -> Response {
    let caller = TraceContextPropagator::new().extract(&Headers(request.headers()));
    next.run(request).with_context(caller).await
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}
