//! The admission webhook: AdmissionReview in, decision out.
//!
//! Comes in: HTTP requests of the API server. Goes out: their answers, a [`model::Record`] each to the
//! audit sink, and counters. It reads no Kubernetes object but what a review carries: policies and
//! cached objects reach it through the [`policies::EvaluationPool`].
//!
//! - [`router`]: the routes, with body limit and deadline.
//! - [`Admission::admit`]: the request path, one line a stage.
//! - [`Guard`]: the walls of tenants, before any policy is asked.
//! - [`Budgets`]: what tenants may have, after every policy passed.
//! - [`decide`]: the one place that turns findings and failures into a verdict.

#![forbid(unsafe_code)]

mod budget;
mod deadline;
mod decision;
mod guard;
mod hostnames;
mod http;
mod metrics;
mod native;
mod pace;
mod pipeline;
mod rates;
mod response;

pub use budget::Budgets;
pub use deadline::{TimeoutError, deadline};
pub use decision::{Contact, allow, decide, refuse, status};
pub use guard::{Guard, Wall};
pub use hostnames::{GiveBack, HostnameClaims};
pub use http::{HttpLimits, Peer, router};
pub use metrics::AdmissionMetrics;
pub use pipeline::{Admission, Answered, ConfigCheck, Parts, Phase};
pub use rates::WriteRates;
pub use response::{bare_status, encode};
