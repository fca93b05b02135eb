use std::path::PathBuf;

use thiserror::Error;

use super::schema::SCHEMA_VERSION;
use crate::metrics::FailureKind;

/// Why the store cannot be opened or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file cannot be created or looked at.
    #[error("the audit store `{path}` cannot be opened: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("`{path}` is not an audit store, name another file or move this one away")]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer version.
    #[error(
        "the audit store has schema version {found}, this version knows up to {SCHEMA_VERSION}: use the newer one"
    )]
    TooNew {
        /// The version found.
        found: i64,
    },
    /// SQLite refused.
    #[error("the audit store failed: {0}")]
    Sqlite(#[from] sqlx::Error),
}

impl StoreError {
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                FailureKind::Full
            }
            Self::File { .. } => FailureKind::Io,
            Self::NotAStore { .. } => FailureKind::Corrupt,
            Self::TooNew { .. } => FailureKind::Other,
            Self::Sqlite(error) => failure_kind(error),
        }
    }
}

/// Sorts SQLite's result codes; the low byte is the primary code.
pub(crate) fn failure_kind(error: &sqlx::Error) -> FailureKind {
    let sqlx::Error::Database(error) = error else {
        return FailureKind::Other;
    };
    let code = error.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0);
    match code & 0xff {
        13 => FailureKind::Full,
        5 | 6 => FailureKind::Locked,
        11 | 26 => FailureKind::Corrupt,
        8 | 10 | 14 => FailureKind::Io,
        _ => FailureKind::Other,
    }
}
