//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;

/// The content type of the OpenMetrics text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What readiness hangs on.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    /// Policies are compiled and in force on every thread, and every cache is filled.
    pub(crate) loaded: Arc<AtomicBool>,
    /// The daemon is shutting down.
    pub(crate) stopping: AtomicBool,
    /// What is still missing, for a person.
    pub(crate) waiting_for: Mutex<String>,
}

impl Readiness {
    /// Says what is still missing.
    pub(crate) fn wait_for(&self, what: &str) {
        what.clone_into(&mut self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn missing(&self) -> Option<String> {
        if self.stopping.load(Ordering::Acquire) {
            return Some("shutting down".to_owned());
        }
        if self.loaded.load(Ordering::Acquire) {
            return None;
        }
        Some(self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Updates gauges that are read, not counted, just before they are shown.
pub(crate) type Sample = Box<dyn Fn() + Send + Sync>;

pub(crate) struct Probes {
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) registry: Registry,
    pub(crate) sample: Sample,
}

/// The routes of probes and metrics.
pub(crate) fn router(probes: Arc<Probes>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(probes)
}

async fn ready(State(probes): State<Arc<Probes>>) -> impl IntoResponse {
    match probes.readiness.missing() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(missing) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {missing}\n")),
    }
}

async fn metrics(State(probes): State<Arc<Probes>>) -> impl IntoResponse {
    (probes.sample)();
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &probes.registry) {
        Ok(()) => (StatusCode::OK, [(header::CONTENT_TYPE, OPEN_METRICS)], text),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(header::CONTENT_TYPE, "text/plain")],
            format!("the metrics cannot be written: {error}\n"),
        ),
    }
}
