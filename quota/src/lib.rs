//! How much a tenant may have: what an object counts as, and who may still take how much.
//!
//! Comes in: objects as JSON, budgets, what is stored, the time. Goes out: amounts, and whether they fit.
//! It does no I/O and reads no clock.
//!
//! - [`measure`]: the amounts of every resource that one object counts as.

#![forbid(unsafe_code)]

pub mod measure;
