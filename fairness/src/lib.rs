//! Who goes first, and how often: fairness between tenants, however many users, accounts or connections each has.
//!
//! Comes in: tenants and their classes, requests with what they will cost, the time. Goes out: objects that configure
//! the API server, which request to serve next, and whether one may pass. It does no I/O and reads no clock.
//!
//! - [`apf`]: what API Priority and Fairness does with a configuration, and the configuration that Bailey writes.
//! - [`queue`]: which request is served next.
//! - [`rates`]: how often each tenant may do what.

#![forbid(unsafe_code)]

pub mod apf;
pub mod queue;
pub mod rates;
