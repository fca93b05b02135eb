//! Reads the store while the daemon writes it.

mod error;
mod filter;
mod follow;
mod usage;

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::Record;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};

use crate::store::{APPLICATION_ID, SCHEMA_VERSION};
pub use error::ReadError;
pub use filter::Filter;
pub use follow::Follow;
pub use usage::UsageFilter;

/// The fewest characters of an id that [`AuditReader::get`] takes.
const SHORTEST_PREFIX: usize = 8;
/// The most records that a prefix finds, and so the most candidates of an ambiguous one.
const CANDIDATES: i64 = 10;

/// A stored record and its place in the order of writing.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The place: grows with every record, is never given twice.
    pub seq: i64,
    /// The record.
    pub record: Record,
}

/// A connection that only reads; it never holds up the writer.
#[derive(Debug)]
pub struct AuditReader {
    connection: SqliteConnection,
    path: PathBuf,
}

impl AuditReader {
    /// Opens a store.
    ///
    /// # Errors
    /// When the file is missing, cannot be read, is something else, or has a schema this version does
    /// not know.
    pub async fn open(path: &Path) -> Result<Self, ReadError> {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(ReadError::NotAStore { path: path.to_owned() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ReadError::Missing { path: path.to_owned() });
            }
            Err(source) => return Err(ReadError::File { path: path.to_owned(), source }),
        }
        let connection = connect(path).await.map_err(|error| ReadError::opening(path, error))?;
        let mut reader = Self { connection, path: path.to_owned() };
        reader.check().await?;
        Ok(reader)
    }

    async fn check(&mut self) -> Result<(), ReadError> {
        let opening = |error| ReadError::opening(&self.path, error);
        let number = |sql| sqlx::query_scalar::<_, i64>(sql);
        let application =
            number("PRAGMA application_id").fetch_one(&mut self.connection).await.map_err(opening)?;
        let version = number("PRAGMA user_version").fetch_one(&mut self.connection).await.map_err(opening)?;
        if application != APPLICATION_ID {
            return Err(ReadError::NotAStore { path: self.path.clone() });
        }
        match version {
            SCHEMA_VERSION => Ok(()),
            found if found > SCHEMA_VERSION => Err(ReadError::TooNew { found }),
            found => Err(ReadError::TooOld { found }),
        }
    }

    /// The record with this id, or the only one whose id starts with it.
    ///
    /// # Errors
    /// [`ReadError::IdInvalid`] when it cannot be the start of an id of at least 8 characters,
    /// [`ReadError::NotFound`], and [`ReadError::Ambiguous`] with up to ten candidates.
    pub async fn get(&mut self, id: &str) -> Result<Entry, ReadError> {
        let mut found = self.find(id, None).await?;
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(ReadError::NotFound { id: id.trim().to_ascii_lowercase() }),
            (Some(entry), true) => Ok(entry),
            (Some(last), false) => {
                found.push(last);
                let candidates = found.into_iter().map(|entry| entry.record.id).collect();
                Err(ReadError::Ambiguous { id: id.trim().to_ascii_lowercase(), candidates })
            }
        }
    }

    /// The records whose id is this or starts with it, of one tenant or of all: at most ten, in the order of their ids.
    ///
    /// # Errors
    /// [`ReadError::IdInvalid`] when it cannot be the start of an id of at least 8 characters, and when the store
    /// cannot be read.
    pub async fn find(&mut self, id: &str, tenant: Option<&str>) -> Result<Vec<Entry>, ReadError> {
        let prefix = id.trim().to_ascii_lowercase();
        let well_formed = prefix.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
        if !well_formed || !(SHORTEST_PREFIX..=36).contains(&prefix.len()) {
            return Err(ReadError::IdInvalid { id: id.chars().take(80).collect() });
        }
        // `~` sorts behind every character of an id.
        const SQL: &str = "SELECT seq, record FROM record WHERE id BETWEEN ?1 AND ?1 || '~' \
            AND (?2 IS NULL OR tenant = ?2) ORDER BY id LIMIT ?3";
        let found: Vec<(i64, String)> = sqlx::query_as(SQL)
            .bind(&prefix)
            .bind(tenant)
            .bind(CANDIDATES)
            .fetch_all(&mut self.connection)
            .await?;
        found.iter().map(|(seq, record)| entry(*seq, record)).collect()
    }

    /// The last records that the filter lets through, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn tail(&mut self, filter: &Filter) -> Result<Vec<Entry>, ReadError> {
        let mut entries = self.select(filter, None, "DESC").await?;
        entries.reverse();
        Ok(entries)
    }

    /// What is written from now on, and what the filter lets through of it: see [`Follow`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn follow(mut self, filter: Filter, interval: Duration) -> Result<Follow, ReadError> {
        let last = self.last().await?;
        Ok(Follow::new(self, filter, interval, last))
    }

    /// As [`Self::follow`], but starting behind the entry with this `seq`.
    pub fn follow_from(self, seq: i64, filter: Filter, interval: Duration) -> Follow {
        Follow::new(self, filter, interval, seq)
    }

    /// The `seq` of the newest record; 0 when there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn last(&mut self) -> Result<i64, ReadError> {
        let last: Option<i64> =
            sqlx::query_scalar("SELECT max(seq) FROM record").fetch_one(&mut self.connection).await?;
        Ok(last.unwrap_or(0))
    }

    async fn select(
        &mut self,
        filter: &Filter,
        range: Option<(i64, i64)>,
        order: &'static str,
    ) -> Result<Vec<Entry>, ReadError> {
        let rows = filter.query(range, order).build_query_as().fetch_all(&mut self.connection).await?;
        rows.iter().map(|(seq, record): &(i64, String)| entry(*seq, record)).collect()
    }
}

fn entry(seq: i64, record: &str) -> Result<Entry, ReadError> {
    let record = serde_json::from_str(record).map_err(|source| ReadError::Record { seq, source })?;
    Ok(Entry { seq, record })
}

async fn connect(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(Duration::from_secs(1))
        .disable_statement_logging();
    match options.clone().connect().await {
        Ok(mut connection) => match probe(&mut connection).await {
            Ok(()) => Ok(connection),
            // The file of a daemon that is not running, in a directory where SQLite may not put its shared
            // memory: without a write-ahead log nobody writes, and it can be read as it lies.
            Err(_) if !has_log(path) => options.immutable(true).connect().await,
            Err(error) => Err(error),
        },
        Err(_) if !has_log(path) => options.immutable(true).connect().await,
        Err(error) => Err(error),
    }
}

/// Makes SQLite read the file: opening alone does not.
async fn probe(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT 1 FROM sqlite_schema LIMIT 1").fetch_optional(connection).await.map(drop)
}

fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|metadata| metadata.len() > 0)
}
