use std::path::PathBuf;
use std::time::Duration;

/// Where decisions are kept, for how long, and how many may wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditConfig {
    /// The SQLite file; its directory must exist. Created with mode 0600.
    pub path: PathBuf,
    /// The most records that may wait, those of the batch under way included.
    pub queue_records: usize,
    /// The most bytes that they may hold, roughly as they lie in memory.
    pub queue_bytes: usize,
    /// The most records of one transaction.
    pub batch_records: usize,
    /// The longest a record waits for its batch while the store is well.
    pub batch_age: Duration,
    /// What is deleted.
    pub retention: Retention,
    /// The size beyond which SQLite does not let the file grow, in bytes; `None` leaves it to the disk.
    ///
    /// It stands behind [`Retention::max_bytes`] and should be larger: retention trims a full store,
    /// this limit refuses to write.
    pub hard_limit_bytes: Option<u64>,
    /// The most rows of how limits stood; the oldest moments go first, and those older than
    /// [`Retention::max_age`]. A row takes about 80 bytes.
    pub usage_rows: u64,
}

/// What is deleted, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Records older than this go; `None` keeps them whatever their age.
    pub max_age: Option<Duration>,
    /// The oldest records go until the records in the file take no more than this; `None` is no limit.
    pub max_bytes: Option<u64>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { max_age: Some(Duration::from_secs(30 * 24 * 3600)), max_bytes: Some(1 << 30) }
    }
}

impl AuditConfig {
    /// The defaults: 16,384 records or 64 MiB may wait, 512 records or 50 ms make a batch, records are
    /// kept for 30 days or up to 1 GiB, the file never exceeds 1.25 GiB, and a million rows tell how limits stood.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            queue_records: 16_384,
            queue_bytes: 64 << 20,
            batch_records: 512,
            batch_age: Duration::from_millis(50),
            retention: Retention::default(),
            hard_limit_bytes: Some((1 << 30) + (1 << 28)),
            usage_rows: 1_000_000,
        }
    }
}
