//! The SQLite file: opened, written, trimmed. One connection, held by the writer alone.

mod error;
mod open;
mod retention;
mod row;
mod schema;
mod usage;

use std::path::{Path, PathBuf};

use sqlx::{Connection, SqliteConnection};

pub use error::StoreError;
pub(crate) use error::failure_kind;
pub(crate) use row::Row;
pub(crate) use schema::{APPLICATION_ID, SCHEMA_VERSION};

/// Closes a file that an administrator moved away or replaced: what SQLite writes from here on would go to
/// a file without its name. Its log goes back into it first, or the file that now has the name would be
/// taken to own that log.
async fn leave(mut open: Open) {
    tracing::warn!("the audit store's file was replaced, it is opened anew");
    let checkpoint = sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut open.connection).await;
    if let Err(error) = checkpoint.and(open.connection.close().await) {
        tracing::warn!(error = error.to_string(), "the replaced audit store was not closed cleanly");
    }
}

/// The file and, while all is well, the connection to it.
pub(crate) struct Store {
    path: PathBuf,
    hard_limit_bytes: Option<u64>,
    open: Option<Open>,
}

struct Open {
    connection: SqliteConnection,
    /// Which file this is: the path may come to name another one.
    file: FileIdentity,
}

/// The device and inode of a file.
type FileIdentity = (u64, u64);

impl Store {
    pub(crate) fn new(path: &Path, hard_limit_bytes: Option<u64>) -> Self {
        Self { path: path.to_owned(), hard_limit_bytes, open: None }
    }

    /// Opens the file, unless it is open and still the one the path names.
    pub(crate) async fn open(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let kept = match self.open.take() {
            Some(open) if open::identity(&self.path).ok() == Some(open.file) => Some(open),
            Some(open) => {
                leave(open).await;
                None
            }
            None => None,
        };
        let open = match kept {
            Some(open) => open,
            None => open::open(&self.path, self.hard_limit_bytes).await?,
        };
        Ok(&mut self.open.insert(open).connection)
    }

    /// Writes these rows in one transaction; those whose id is there already are left as they are.
    ///
    /// On an error nothing of the batch counts as written, and the next call opens the file anew, so that
    /// no state of the failed transaction is left.
    pub(crate) async fn append(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let outcome = match self.open().await {
            Ok(connection) => row::append(connection, rows).await.map_err(StoreError::from),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            self.open = None;
        }
        outcome
    }

    /// Closes the connection, which writes the log back into the file.
    pub(crate) async fn close(&mut self) {
        if let Some(open) = self.open.take()
            && let Err(error) = open.connection.close().await
        {
            tracing::warn!(error = error.to_string(), "the audit store was not closed cleanly");
        }
    }

    /// The bytes of the file and its write-ahead log.
    pub(crate) fn disk_bytes(&self) -> u64 {
        [self.path.clone(), open::log_path(&self.path)]
            .iter()
            .filter_map(|path| std::fs::metadata(path).ok())
            .map(|metadata| metadata.len())
            .fold(0, u64::saturating_add)
    }
}
