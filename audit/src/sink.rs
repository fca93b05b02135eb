use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use model::Record;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::weight::weight;
use crate::writer::{Command, Writer};
use crate::{AuditConfig, AuditMetrics, AuditTask, LossReason, StoreError, UsageRow};

/// Where decisions go to be kept. Clones share one queue and one writer.
#[derive(Debug, Clone)]
pub struct AuditSink {
    records: mpsc::UnboundedSender<Waiting>,
    commands: mpsc::Sender<Command>,
    queue: Arc<Queue>,
}

/// A record in the queue, with the bytes it was counted as.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) record: Record,
    pub(crate) bytes: usize,
}

/// What the queue holds, and its bounds.
///
/// INVARIANT: every record taken is released once, when it is written or counted as lost. What is held
/// is therefore always what a crash at this moment would lose.
#[derive(Debug)]
pub(crate) struct Queue {
    records: AtomicUsize,
    bytes: AtomicUsize,
    max_records: usize,
    max_bytes: usize,
    batch_records: usize,
    /// Whether the store refuses to write, for the reason of a loss.
    pub(crate) store_failing: AtomicBool,
    /// Told when a whole batch waits.
    pub(crate) batch_waits: Notify,
    pub(crate) metrics: AuditMetrics,
}

impl AuditSink {
    /// Opens the store, creating it where there is none, and starts its writer.
    ///
    /// A disk that is full or a file that is locked is no error: the writer tries again.
    ///
    /// # Errors
    /// When the file cannot be opened or is not a store of this version: see [`StoreError`].
    pub async fn open(config: AuditConfig, metrics: AuditMetrics) -> Result<(Self, AuditTask), StoreError> {
        let queue = Arc::new(Queue {
            records: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            max_records: config.queue_records,
            max_bytes: config.queue_bytes,
            batch_records: config.batch_records.max(1),
            store_failing: AtomicBool::new(false),
            batch_waits: Notify::new(),
            metrics,
        });
        let (records, incoming) = mpsc::unbounded_channel();
        let (commands, orders) = mpsc::channel(16);
        let writer = Writer::open(config, Arc::clone(&queue), incoming, orders).await?;
        let task = AuditTask::new(tokio::spawn(writer.run()), commands.clone(), Arc::clone(&queue));
        Ok((Self { records, commands, queue }, task))
    }

    /// Keeps a record. Never blocks and never fails: what cannot be kept is counted as lost.
    pub fn record(&self, record: Record) {
        let bytes = weight(&record);
        if !self.queue.take(bytes) {
            return;
        }
        if self.records.send(Waiting { record, bytes }).is_err() {
            self.queue.lose(LossReason::Shutdown, 1, bytes);
        }
    }

    /// Keeps how limits stood, behind the records that wait. Never blocks and never fails: what cannot be kept is
    /// counted as lost.
    pub fn usage(&self, mut rows: Vec<UsageRow>) {
        let all = rows.len();
        rows.retain(UsageRow::is_sound);
        self.queue.lose_usage(all.saturating_sub(rows.len()));
        if let Err(error) = self.commands.try_send(Command::Usage(rows))
            && let Command::Usage(rows) = error.into_inner()
        {
            self.queue.lose_usage(rows.len());
        }
    }

    /// Waits until everything recorded before this call is written, or the writer has ended.
    ///
    /// While the store fails this waits too: bound it with a timeout. For tests and for tools that
    /// must know; the request path has no use for it.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.commands.send(Command::Flush(done)).await.is_ok() {
            // An error means that the writer has ended, so nothing is left to wait for.
            let _ = written.await;
        }
    }

    /// Records that wait to be written, those of the batch under way included.
    pub fn waiting(&self) -> usize {
        self.queue.held().0
    }
}

impl Queue {
    /// Takes room for one record, or counts it as lost.
    fn take(&self, bytes: usize) -> bool {
        let Some(held) = reserve(&self.records, 1, self.max_records) else {
            return self.overflow();
        };
        if reserve(&self.bytes, bytes, self.max_bytes).is_none() {
            self.records.fetch_sub(1, Ordering::AcqRel);
            return self.overflow();
        }
        // The writer looks by itself every `batch_age`; it is woken only when a batch is whole, because
        // to wake a thread costs more than all the rest here.
        if held.checked_rem(self.batch_records) == Some(0) {
            self.batch_waits.notify_one();
        }
        true
    }

    fn overflow(&self) -> bool {
        let failing = self.store_failing.load(Ordering::Relaxed);
        self.metrics.add_lost(if failing { LossReason::StoreFailed } else { LossReason::QueueFull }, 1);
        false
    }

    /// Gives back the room of records that are written.
    pub(crate) fn release(&self, records: usize, bytes: usize) {
        self.records.fetch_sub(records, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Gives back the room of records that will not be written.
    pub(crate) fn lose(&self, reason: LossReason, records: usize, bytes: usize) {
        self.metrics.add_lost(reason, u64::try_from(records).unwrap_or(u64::MAX));
        self.release(records, bytes);
    }

    /// Counts rows of how limits stood that will not be written.
    pub(crate) fn lose_usage(&self, rows: usize) {
        self.metrics.usage_lost.inc_by(u64::try_from(rows).unwrap_or(u64::MAX));
    }

    /// The records and bytes held.
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.records.load(Ordering::Acquire), self.bytes.load(Ordering::Acquire))
    }
}

/// Adds to a counter unless that would pass its bound; returns the new value. Check and change are one step.
fn reserve(counter: &AtomicUsize, amount: usize, bound: usize) -> Option<usize> {
    let within = |held: usize| held.checked_add(amount).filter(|sum| *sum <= bound);
    counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, within).ok().and_then(within)
}
