use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Why a record was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LossReason {
    /// The queue was full: records came faster than the store takes them.
    QueueFull,
    /// The queue was full because the store refused to write, or the record could not be encoded.
    StoreFailed,
    /// The record came after shutdown had begun, or was not written before its deadline.
    Shutdown,
}

impl LossReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::QueueFull, Self::StoreFailed, Self::Shutdown];

    /// The reason as it is counted.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::StoreFailed => "store_failed",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What the store said when it could not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FailureKind {
    Full,
    Locked,
    Corrupt,
    Io,
    Other,
}

impl FailureKind {
    const ALL: [Self; 5] = [Self::Full, Self::Locked, Self::Corrupt, Self::Io, Self::Other];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Locked => "locked",
            Self::Corrupt => "corrupt",
            Self::Io => "io",
            Self::Other => "other",
        }
    }
}

impl EncodeLabelValue for LossReason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.as_str().encode(encoder)
    }
}

impl EncodeLabelValue for FailureKind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.as_str().encode(encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LossLabels {
    reason: LossReason,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    kind: FailureKind,
}

/// The audit store's own figures; clones count into the same ones.
#[derive(Debug, Clone)]
pub struct AuditMetrics {
    pub(crate) written: Counter,
    lost: [Counter; 3],
    failures: Family<FailureLabels, Counter>,
    pub(crate) pruned: Counter,
    pub(crate) usage_written: Counter,
    pub(crate) usage_lost: Counter,
    pub(crate) queue_records: Gauge,
    pub(crate) queue_bytes: Gauge,
    pub(crate) store_bytes: Gauge,
    pub(crate) batch_seconds: Histogram,
}

impl AuditMetrics {
    /// Registers the figures, each named `bailey_audit_…`.
    pub fn register(registry: &mut Registry) -> Self {
        let lost = Family::<LossLabels, Counter>::default();
        let metrics = Self {
            written: Counter::default(),
            // Counters are looked up here, once: a loss is counted on the request path.
            lost: LossReason::ALL.map(|reason| lost.get_or_create_owned(&LossLabels { reason })),
            failures: Family::default(),
            pruned: Counter::default(),
            usage_written: Counter::default(),
            usage_lost: Counter::default(),
            queue_records: Gauge::default(),
            queue_bytes: Gauge::default(),
            store_bytes: Gauge::default(),
            batch_seconds: Histogram::new(exponential_buckets(0.0005, 2.0, 14)),
        };
        // Shown as 0 from the start: an alert on growth must see the first one.
        for kind in FailureKind::ALL {
            drop(metrics.failures.get_or_create(&FailureLabels { kind }));
        }
        let at = registry.sub_registry_with_prefix("bailey_audit");
        at.register("records_written", "Records written to the store", metrics.written.clone());
        at.register("records_lost", "Records not kept, by reason", lost);
        at.register("records_pruned", "Records deleted by retention", metrics.pruned.clone());
        at.register("store_failures", "Failed attempts on the store, by kind", metrics.failures.clone());
        at.register("usage_rows_written", "Rows of how limits stood, written", metrics.usage_written.clone());
        at.register("usage_rows_lost", "Rows of how limits stood, not kept", metrics.usage_lost.clone());
        at.register("queue_records", "Records that wait to be written", metrics.queue_records.clone());
        at.register("queue_bytes", "Bytes of the records that wait", metrics.queue_bytes.clone());
        at.register("store_bytes", "Bytes of the store's files on disk", metrics.store_bytes.clone());
        at.register("batch_seconds", "Time to write one batch, seconds", metrics.batch_seconds.clone());
        metrics
    }

    /// Records lost since the start, for this reason.
    pub fn lost(&self, reason: LossReason) -> u64 {
        self.counter(reason).get()
    }

    /// Records written since the start.
    pub fn written(&self) -> u64 {
        self.written.get()
    }

    /// Rows of how limits stood that were written since the start, and those that were not kept.
    pub fn usage(&self) -> (u64, u64) {
        (self.usage_written.get(), self.usage_lost.get())
    }

    pub(crate) fn add_lost(&self, reason: LossReason, count: u64) {
        self.counter(reason).inc_by(count);
    }

    pub(crate) fn add_failure(&self, kind: FailureKind) {
        self.failures.get_or_create(&FailureLabels { kind }).inc();
    }

    fn counter(&self, reason: LossReason) -> &Counter {
        let [queue_full, store_failed, shutdown] = &self.lost;
        match reason {
            LossReason::QueueFull => queue_full,
            LossReason::StoreFailed => store_failed,
            LossReason::Shutdown => shutdown,
        }
    }
}
