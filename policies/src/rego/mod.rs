//! The Rego engine: regorus behind checks that keep a policy from stopping the server.
//!
//! A policy goes through [`RegoProgram::compile`] once: its text is checked, parsed, looked through for what
//! regorus cannot bound, and compiled. Each evaluation thread makes a [`RegoInstance`] of its own and asks it
//! about requests that [`input::decode`] turned into regorus values once for all policies. Cluster objects
//! come from a [`RegoInventory`], also one per thread.
//!
//! What bounds an evaluation:
//! - time: the machine's timer and an instruction limit, and the clock at the end: an answer that took longer
//!   than its budget is an error;
//! - built-ins: guards that tell the cost before it is spent (the table is at `builtins`);
//! - stack: no recursion between rules, and values nest at most [`MAX_VALUE_DEPTH`] levels, so that
//!   [`STACK_BYTES`] are enough to compare, print and drop them;
//! - output: bytes and number of findings;
//! - a panic inside regorus is an error of that evaluation, and the instance starts from new.
//!
//! What is not bounded: one comparison of two values that share their parts many times over (built by nested
//! comprehensions) is not interrupted. The thread is late then; whoever runs it has to replace it.

mod builtins;
mod check;
mod comprehensions;
pub mod input;
mod instance;
mod instrument;
mod inventory;
mod output;
mod program;
mod recursion;
mod runner;

#[cfg(test)]
mod tests;

pub use instance::RegoInstance;
pub use inventory::{InventoryChange, RegoInventory};
pub use program::{EvaluationPath, RegoProgram};

/// The stack that a thread needs to evaluate policies, in bytes, unoptimised builds included.
pub const STACK_BYTES: usize = 8 << 20;

/// The deepest a value that a policy builds can nest, in levels.
pub const MAX_VALUE_DEPTH: u32 = check::MAX_VALUE_DEPTH;
