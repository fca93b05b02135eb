//! The one task that writes: takes what waits, encodes it, and tries until the store takes it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::metrics::FailureKind;
use crate::sink::{Queue, Waiting};
use crate::store::{Row, Store};
use crate::{AuditConfig, LossReason, StoreError, UsageRow};

/// The most bytes of one transaction, so that the write-ahead log stays small.
const BATCH_BYTES: usize = 8 << 20;
/// The first and the longest pause after a failure; each one doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often retention and the figures are looked at.
const UPKEEP: Duration = Duration::from_secs(10);
/// The most rows of how limits stood that wait.
const USAGE_ROWS: usize = 100_000;

/// What the writer can be told.
#[derive(Debug)]
pub(crate) enum Command {
    /// Answer when all that waits now is written.
    Flush(oneshot::Sender<()>),
    /// Keep how limits stood.
    Usage(Vec<UsageRow>),
    /// Take no more, write what waits, end.
    Close,
}

pub(crate) struct Writer {
    config: AuditConfig,
    queue: Arc<Queue>,
    incoming: mpsc::UnboundedReceiver<Waiting>,
    commands: mpsc::Receiver<Command>,
    store: Store,
    /// The batch under way and the bytes it holds of the queue's.
    batch: Vec<Row>,
    batch_bytes: usize,
    /// How limits stood, and whether rows were written since the oldest were last looked at.
    usage: Vec<UsageRow>,
    usage_grew: bool,
    flushes: Vec<oneshot::Sender<()>>,
    trouble: Option<Trouble>,
    next_upkeep: Instant,
    lost_reported: u64,
    closing: bool,
}

/// Since when, and until when, the store is left alone.
struct Trouble {
    since: Instant,
    pause: Duration,
    until: Instant,
}

impl Writer {
    pub(crate) async fn open(
        config: AuditConfig,
        queue: Arc<Queue>,
        incoming: mpsc::UnboundedReceiver<Waiting>,
        commands: mpsc::Receiver<Command>,
    ) -> Result<Self, StoreError> {
        let mut store = Store::new(&config.path, config.hard_limit_bytes);
        let opened = store.open().await.map(drop);
        let mut writer = Self {
            config,
            queue,
            incoming,
            commands,
            store,
            batch: Vec::new(),
            batch_bytes: 0,
            usage: Vec::new(),
            usage_grew: true,
            flushes: Vec::new(),
            trouble: None,
            next_upkeep: Instant::now(),
            lost_reported: 0,
            closing: false,
        };
        match opened {
            Ok(()) => Ok(writer),
            // A full disk must not keep the daemon from starting, as it does not stop one that runs.
            Err(error) if matches!(error.kind(), FailureKind::Full | FailureKind::Locked) => {
                writer.failed(&error);
                Ok(writer)
            }
            Err(error) => Err(error),
        }
    }

    /// Runs until it is told to close and all is written.
    pub(crate) async fn run(mut self) {
        let mut tick = interval(self.config.batch_age.max(Duration::from_millis(1)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let queue = Arc::clone(&self.queue);
        while !(self.closing && self.is_drained()) {
            tokio::select! {
                command = self.commands.recv(), if !self.closing => self.obey(command),
                () = queue.batch_waits.notified() => {}
                _ = tick.tick() => {}
            }
            let now = Instant::now();
            if self.trouble.as_ref().is_some_and(|trouble| now < trouble.until) {
                continue;
            }
            self.write_what_waits().await;
            if now >= self.next_upkeep {
                self.upkeep().await;
            }
        }
        self.store.close().await;
    }

    fn obey(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Flush(done)) => self.flushes.push(done),
            Some(Command::Usage(rows)) if self.usage.len().saturating_add(rows.len()) > USAGE_ROWS => {
                self.queue.lose_usage(rows.len());
            }
            Some(Command::Usage(rows)) => self.usage.extend(rows),
            // No sender left: every sink and the handle are gone, so nothing more can come.
            Some(Command::Close) | None => {
                self.closing = true;
                self.incoming.close();
            }
        }
    }

    /// Whether nothing is left and nothing can come; only ever true while closing.
    fn is_drained(&mut self) -> bool {
        if !self.batch.is_empty() {
            return false;
        }
        match self.incoming.try_recv() {
            Ok(waiting) => {
                self.encode(waiting);
                false
            }
            Err(TryRecvError::Empty) => false,
            Err(TryRecvError::Disconnected) => true,
        }
    }

    /// Writes all that waited when it was called, batch by batch, until one fails.
    async fn write_what_waits(&mut self) {
        let mut left = self.incoming.len();
        loop {
            left = self.fill(left);
            if self.batch.is_empty() {
                break;
            }
            let started = Instant::now();
            match self.store.append(&self.batch).await {
                Ok(()) => self.written(started),
                Err(error) => return self.failed(&error),
            }
        }
        self.write_usage().await;
        for done in self.flushes.drain(..) {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
    }

    /// Writes how limits stood. What fails is lost: the next samples tell as much, and records must not wait for it.
    async fn write_usage(&mut self) {
        let rows = std::mem::take(&mut self.usage);
        if rows.is_empty() {
            return;
        }
        let metrics = &self.queue.metrics;
        match self.store.append_usage(&rows).await {
            Ok(()) => {
                metrics.usage_written.inc_by(u64::try_from(rows.len()).unwrap_or(u64::MAX));
                self.usage_grew = true;
            }
            Err(error) => {
                metrics.add_failure(error.kind());
                self.queue.lose_usage(rows.len());
                tracing::warn!(
                    error = error.to_string(),
                    rows = rows.len(),
                    "how budgets stand was not written"
                );
            }
        }
    }

    /// Takes records into the batch, at most `left`; returns how many of those are left.
    fn fill(&mut self, mut left: usize) -> usize {
        while left > 0 && self.batch.len() < self.config.batch_records && self.batch_bytes < BATCH_BYTES {
            let Ok(waiting) = self.incoming.try_recv() else { return 0 };
            self.encode(waiting);
            left = left.saturating_sub(1);
        }
        left
    }

    fn encode(&mut self, waiting: Waiting) {
        match Row::new(&waiting.record) {
            Ok(row) => {
                self.batch.push(row);
                self.batch_bytes = self.batch_bytes.saturating_add(waiting.bytes);
            }
            Err(error) => {
                tracing::error!(id = waiting.record.id, %error, "an audit record cannot be encoded");
                self.queue.lose(LossReason::StoreFailed, 1, waiting.bytes);
            }
        }
    }

    fn written(&mut self, started: Instant) {
        let metrics = &self.queue.metrics;
        metrics.written.inc_by(u64::try_from(self.batch.len()).unwrap_or(u64::MAX));
        metrics.batch_seconds.observe(started.elapsed().as_secs_f64());
        self.queue.release(self.batch.len(), self.batch_bytes);
        self.batch.clear();
        self.batch_bytes = 0;
        self.show_queue();
        if let Some(trouble) = self.trouble.take() {
            self.queue.store_failing.store(false, Ordering::Relaxed);
            let seconds = trouble.since.elapsed().as_secs_f64();
            tracing::info!(seconds, "the audit store is written again");
        }
    }

    fn failed(&mut self, error: &StoreError) {
        let kind = error.kind();
        self.queue.metrics.add_failure(kind);
        self.queue.store_failing.store(true, Ordering::Relaxed);
        self.show_queue();
        let now = Instant::now();
        let (since, pause) = match &self.trouble {
            Some(trouble) => (trouble.since, trouble.pause.saturating_mul(2).min(LONGEST_PAUSE)),
            None => (now, FIRST_PAUSE),
        };
        if self.trouble.is_none() || pause == LONGEST_PAUSE {
            let error = error.to_string();
            let waiting = self.queue.held().0;
            tracing::warn!(kind = kind.as_str(), error, waiting, "the audit store cannot be written");
        }
        if kind == FailureKind::Full {
            // Retention may be what makes room, so it does not wait for its turn.
            self.next_upkeep = now;
        }
        self.trouble = Some(Trouble { since, pause, until: now.checked_add(pause).unwrap_or(now) });
    }

    /// Applies retention, one small step, and brings the figures up to date.
    async fn upkeep(&mut self) {
        let now = time::OffsetDateTime::now_utc();
        let outcome = self.prune(now).await;
        let pause = match outcome {
            Ok(pruned) => {
                // More to do: go on at the next tick, so that writing has its turn in between.
                if pruned { Duration::ZERO } else { UPKEEP }
            }
            Err(error) => {
                self.queue.metrics.add_failure(error.kind());
                tracing::warn!(error = error.to_string(), "the audit store's retention failed");
                UPKEEP
            }
        };
        let now = Instant::now();
        self.next_upkeep = now.checked_add(pause).unwrap_or(now);
        self.queue.metrics.store_bytes.set(i64::try_from(self.store.disk_bytes()).unwrap_or(i64::MAX));
        self.show_queue();
        self.report_losses();
    }

    /// One step of retention; whether there may be more to do.
    async fn prune(&mut self, now: time::OffsetDateTime) -> Result<bool, StoreError> {
        let AuditConfig { retention, usage_rows, .. } = &self.config;
        let pruned = self.store.prune(retention, now).await?;
        self.queue.metrics.pruned.inc_by(pruned.records);
        if self.usage_grew {
            self.usage_grew = self.store.prune_usage(retention.max_age, *usage_rows, now).await?;
        }
        Ok(pruned.more || self.usage_grew)
    }

    fn show_queue(&self) {
        let (records, bytes) = self.queue.held();
        self.queue.metrics.queue_records.set(i64::try_from(records).unwrap_or(i64::MAX));
        self.queue.metrics.queue_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Logs what was lost since the last report: the request path only counts.
    fn report_losses(&mut self) {
        let lost = LossReason::ALL.map(|reason| self.queue.metrics.lost(reason)).iter().sum::<u64>();
        let records = lost.saturating_sub(self.lost_reported);
        if records > 0 {
            tracing::warn!(records, "audit records were lost");
        }
        self.lost_reported = lost;
    }
}

/// What the writer still holds when it ends, at its deadline or by a fault, is lost, and counted.
impl Drop for Writer {
    fn drop(&mut self) {
        self.incoming.close();
        self.queue.lose(LossReason::Shutdown, self.batch.len(), self.batch_bytes);
        self.queue.lose_usage(self.usage.len());
        while let Ok(waiting) = self.incoming.try_recv() {
            self.queue.lose(LossReason::Shutdown, 1, waiting.bytes);
        }
    }
}
