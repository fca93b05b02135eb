use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::metrics::FailureKind;
use crate::store::{SCHEMA_VERSION, failure_kind};

/// Why nothing could be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// There is no such file.
    #[error(
        "there is no audit store at `{path}`: start `bailey serve --audit-db {path}` or name the file it uses"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be looked at.
    #[error("the audit store `{path}` cannot be read: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is something else, or empty.
    #[error("`{path}` is not an audit store")]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// A newer version wrote the file.
    #[error(
        "the audit store has schema version {found}, this version reads {SCHEMA_VERSION}: use the newer `bailey`"
    )]
    TooNew {
        /// The version found.
        found: i64,
    },
    /// An older version wrote the file, and no newer daemon has opened it yet.
    #[error(
        "the audit store has schema version {found}, this version reads {SCHEMA_VERSION}: start this version of `bailey serve` on it once"
    )]
    TooOld {
        /// The version found.
        found: i64,
    },
    /// The text cannot be an id.
    #[error(
        "`{id}` is not a decision id: give the whole id or its first 8 characters or more, as the refusal shows it"
    )]
    IdInvalid {
        /// What was given, cut to 80 characters.
        id: String,
    },
    /// No record has this id.
    #[error(
        "no record has the id `{id}`: it may not be written yet, be older than what is kept, or be another replica's"
    )]
    NotFound {
        /// The id or prefix.
        id: String,
    },
    /// Several ids start so.
    #[error("several ids start with `{id}`, give more of it: {}", candidates.join(", "))]
    Ambiguous {
        /// The prefix.
        id: String,
        /// Ids that start so, at most ten.
        candidates: Vec<String>,
    },
    /// A stored record is not one.
    #[error("the record at place {seq} is damaged: {source}")]
    Record {
        /// Its place.
        seq: i64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// SQLite refused.
    #[error("the audit store cannot be read: {0}")]
    Sqlite(#[from] sqlx::Error),
}

impl ReadError {
    pub(super) fn opening(path: &Path, error: sqlx::Error) -> Self {
        match failure_kind(&error) {
            FailureKind::Corrupt => Self::NotAStore { path: path.to_owned() },
            _ => Self::Sqlite(error),
        }
    }
}
