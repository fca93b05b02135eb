//! The memory of decisions: every one is kept, and none holds up its answer.
//!
//! Comes in: one [`model::Record`] per decision, by [`AuditSink::record`], which never blocks. Goes
//! out: rows of a SQLite file, written in batches by one task, and read by [`AuditReader`] while the
//! daemon goes on writing.
//!
//! - [`AuditSink`]: the bounded queue. What does not fit is dropped and counted by [`LossReason`].
//! - [`AuditTask`]: the writer's handle; it ends only by [`AuditTask::shutdown`].
//! - [`AuditSink::usage`]: how the limits of budgets stood, kept beside the decisions.
//! - [`AuditReader`]: one record by id or prefix, the last ones by [`Filter`], and what follows.
//! - [`AuditMetrics`]: what is counted of all this.
//!
//! # What can be lost
//!
//! The file is in WAL mode with `synchronous = FULL`: each batch is one transaction that is on the
//! disk before it counts as written. A crash or a power loss therefore loses only what is still in
//! the queue: the records of the last [`AuditConfig::batch_age`] and the batch under way. It never
//! leaves half a batch, and a batch whose commit was not confirmed is written again without becoming
//! double, because ids are unique.
//!
//! This crate decides nothing and draws no ids: a record has its id, a UUID of version 7, from the
//! caller. Order is the order of writing, so a clock that jumps back disturbs neither.

#![forbid(unsafe_code)]

mod config;
mod metrics;
mod reader;
mod sink;
mod store;
mod task;
mod usage;
mod weight;
mod writer;

pub use config::{AuditConfig, Retention};
pub use metrics::{AuditMetrics, LossReason};
pub use reader::{AuditReader, Entry, Filter, Follow, ReadError, UsageFilter};
pub use sink::AuditSink;
pub use store::StoreError;
pub use task::{AuditTask, WriterEnded};
pub use usage::{LimitName, UsagePoint, UsageRow};
