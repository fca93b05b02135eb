//! The daemon: parts plugged together by role, and stopped in order.
//!
//! Comes in: [`ServeArgs`]. Goes out: a process that answers reviews until it is told to stop. Every
//! task's handle is kept; when one ends, the process ends with a reason.

#![forbid(unsafe_code)]

mod api_server;
mod args;
mod certificate_name;
mod check;
mod decisions;
mod gateway;
mod listen;
mod listeners;
mod load;
mod probes;
mod sample;
mod sample_fairness;
mod sample_quota;
mod sample_rates;
mod serve;
mod source;
mod telemetry;
mod tls;
mod trace_context;
mod usage;

pub use args::{EvaluationArgs, LogFormat, PeersArgs, Role, ServeArgs, TlsArgs};
pub use decisions::{PeerUrl, PeerUrlError};
pub use gateway::{ClassRate, GatewayArgs};
pub use serve::serve;
