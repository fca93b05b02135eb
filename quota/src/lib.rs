//! How much a tenant may have: what an object counts as, and who may still take how much.
//!
//! Comes in: objects as JSON, budgets, what is stored, the time. Goes out: amounts, and whether they fit.
//! It does no I/O; only the desk reads the clock.
//!
//! - [`measure`]: the amounts of every resource that one object counts as.
//! - [`ledger`]: the budgets of tenants, and what each replica holds of them.
//! - [`desk`]: the same for requests that may wait.
//! - [`grants`]: budgets that ResourceQuotas enforce, by grants that move between namespaces.
//! - [`forecast`]: when a budget will be full, from what was used so far.
//! - [`rightsize`]: how much a workload should ask for, from what it used.

#![forbid(unsafe_code)]

pub mod clock;
pub mod desk;
pub mod forecast;
pub mod grants;
pub mod ledger;
pub mod measure;
pub mod rightsize;
