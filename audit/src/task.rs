use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::LossReason;
use crate::sink::Queue;
use crate::writer::Command;

/// The writer has ended although nobody asked it to: nothing is kept from here on.
#[derive(Debug, Error)]
#[error("the audit writer ended unexpectedly")]
pub struct WriterEnded(#[source] Option<tokio::task::JoinError>);

/// The writer's handle. Dropping it leaves the writer running until the last sink is gone.
#[derive(Debug)]
pub struct AuditTask {
    writer: JoinHandle<()>,
    commands: mpsc::Sender<Command>,
    queue: Arc<Queue>,
    /// Whether the writer's end was seen: a handle must not be asked again.
    seen: bool,
}

impl AuditTask {
    pub(crate) fn new(writer: JoinHandle<()>, commands: mpsc::Sender<Command>, queue: Arc<Queue>) -> Self {
        Self { writer, commands, queue, seen: false }
    }

    /// Waits for the writer to end, which it does only by a fault: the daemon must then end too.
    ///
    /// Safe to cancel and to call again, as in `select!`; once it has returned, it never does so again.
    pub async fn ended(&mut self) -> WriterEnded {
        if self.seen {
            return std::future::pending().await;
        }
        let outcome = (&mut self.writer).await;
        self.seen = true;
        WriterEnded(outcome.err())
    }

    /// Takes no more records, writes those that wait, and closes the store.
    ///
    /// Returns how many records were not written before the deadline; they are counted as lost. Records
    /// that come later are counted too. When the last transaction is still under way at the deadline,
    /// its records count as lost although they may yet be there: the figure is never too low.
    pub async fn shutdown(mut self, deadline: Duration) -> u64 {
        if self.seen {
            return 0;
        }
        let before = self.queue.metrics.lost(LossReason::Shutdown);
        let stop = async {
            // An error means that the writer has ended: what it left behind is counted already.
            let _ = self.commands.send(Command::Close).await;
            let _ = (&mut self.writer).await;
        };
        if tokio::time::timeout(deadline, stop).await.is_err() {
            self.writer.abort();
            // Dropping the writer counts what it still held.
            let _ = (&mut self.writer).await;
        }
        let records = self.queue.metrics.lost(LossReason::Shutdown).saturating_sub(before);
        if records > 0 {
            tracing::warn!(records, "audit records were lost at shutdown");
        }
        records
    }
}
