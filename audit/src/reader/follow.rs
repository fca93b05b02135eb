use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use super::{AuditReader, Entry, Filter, ReadError};

/// Shortest and longest pause between two looks.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(10);
/// The most rows looked at in one go, whatever the filter lets through.
const STRETCH: i64 = 10_000;

/// Looks for new records again and again, at a fixed interval: SQLite tells nobody of changes.
///
/// Every record that is written is seen once, in the order of writing. [`Filter::limit`] bounds one
/// answer, not the whole.
#[derive(Debug)]
pub struct Follow {
    reader: AuditReader,
    filter: Filter,
    interval: Duration,
    last: i64,
    file: Option<(u64, u64)>,
}

impl Follow {
    pub(super) fn new(reader: AuditReader, filter: Filter, interval: Duration, last: i64) -> Self {
        let interval = interval.clamp(SHORTEST, LONGEST);
        let mut follow = Self { reader, filter, interval, last, file: None };
        follow.file = follow.identity();
        follow
    }

    /// Waits until there is at least one new record, and returns what there is, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read. It may be called again.
    pub async fn next(&mut self) -> Result<Vec<Entry>, ReadError> {
        loop {
            let entries = self.poll().await?;
            if !entries.is_empty() {
                return Ok(entries);
            }
            tokio::time::sleep(self.interval).await;
        }
    }

    async fn poll(&mut self) -> Result<Vec<Entry>, ReadError> {
        self.reopen_if_replaced().await?;
        let newest = self.reader.last().await?;
        while self.last < newest {
            let up_to = newest.min(self.last.saturating_add(STRETCH));
            let entries = self.reader.select(&self.filter, Some((self.last, up_to)), "ASC").await?;
            let whole = entries.len() < usize::try_from(self.filter.limit).unwrap_or(usize::MAX);
            self.last = match entries.last() {
                Some(entry) if !whole => entry.seq,
                _ => up_to,
            };
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
        Ok(Vec::new())
    }

    /// An administrator may move the file away; the daemon then starts a new one, which counts from 1.
    async fn reopen_if_replaced(&mut self) -> Result<(), ReadError> {
        let now = self.identity();
        if now.is_some() && now != self.file {
            self.reader = AuditReader::open(&self.reader.path).await?;
            (self.file, self.last) = (now, 0);
        }
        Ok(())
    }

    fn identity(&self) -> Option<(u64, u64)> {
        std::fs::metadata(&self.reader.path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
    }
}
