//! The tenants' endpoint in front of the API server: who asks, how often, and what of it goes on.
//!
//! Comes in: connections of tenants' users, and a snapshot of all tenants. Goes out: their requests, with the gateway's own
//! credentials and the user's name, and the answers as they come. It evaluates no rights: that is for the API server.
//! What that refuses as a whole, a list of the whole cluster, is narrowed to what the user belongs to.
//!
//! [`Gateway::new`] takes its [`Parts`], [`serve`] the listener. The path of one request is `Gateway::pass`.

#![forbid(unsafe_code)]

mod body;
mod forward;
mod gateway;
mod headers;
mod identity;
mod limits;
mod listen;
mod lists;
mod metrics;
mod refusal;
mod seating;
mod target;
mod upload;
mod upstream;

pub use body::Body;
pub use gateway::{Gateway, Parts, Settings};
pub use identity::{Issuer, IssuerFault, Issuers, Mapping};
pub use limits::{LimitsOf, TenantLimits, TenantLoad};
pub use listen::serve;
pub use metrics::GatewayMetrics;
pub use seating::SeatSettings;
pub use upstream::Sender;
