//! What is allowed: which policies concern a request, and what they say of it.
//!
//! Comes in: [`model::Sources`] and, per request, a [`model::Request`]. Goes out: an [`Evaluation`] of
//! findings, failures and a patch; what they mean for the request is decided elsewhere.
//!
//! - [`Compiler`] turns sources into an immutable [`PolicySet`] and keeps the last good version of each.
//! - [`EvaluationPool`] runs threads that each own an [`Evaluator`]: engines, objects and memo of their
//!   own, nothing shared.
//! - [`rego`] and [`wasm`] are the engines; [`Limits`] bounds every evaluation of either.

mod answer;
mod compiler;
mod error;
mod evaluate;
mod limits;
mod lookups;
mod matching;
mod patching;
pub mod rego;
mod set;
pub mod wasm;

pub use answer::{Answer, Mutation};
pub use compiler::{Build, Compiler, LoadStatus};
pub use error::EvaluationError;
pub use evaluate::{Evaluation, EvaluationPool, Evaluator, PoolConfig, PoolCounts, SubmitError};
pub use limits::Limits;
pub use lookups::Lookups;
pub use set::PolicySet;
