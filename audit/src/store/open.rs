use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};

use super::schema::{APPLICATION_ID, SCHEMA_VERSION, migrate};
use super::{FileIdentity, Open, StoreError, failure_kind};
use crate::metrics::FailureKind;

/// How long SQLite waits for another writer before it says that the file is locked.
const BUSY: Duration = Duration::from_secs(1);
/// The write-ahead log is cut back to this size after a checkpoint, in bytes.
const LOG_BYTES: u32 = 16 << 20;

/// Opens the store, creating or migrating it.
pub(super) async fn open(path: &Path, hard_limit_bytes: Option<u64>) -> Result<Open, StoreError> {
    let file = create(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY).disable_statement_logging();
    let mut connection = options.connect().await?;
    match prepare(&mut connection, path, hard_limit_bytes).await {
        Ok(()) => Ok(Open { connection, file }),
        Err(StoreError::Sqlite(error)) if failure_kind(&error) == FailureKind::Corrupt => {
            tracing::debug!(error = error.to_string(), "the audit store's file cannot be read");
            Err(StoreError::NotAStore { path: path.to_owned() })
        }
        Err(error) => Err(error),
    }
}

/// Nothing is changed in the file before it is known to be ours.
async fn prepare(
    connection: &mut SqliteConnection,
    path: &Path,
    hard_limit_bytes: Option<u64>,
) -> Result<(), StoreError> {
    let application = number(connection, "PRAGMA application_id").await?;
    let version = number(connection, "PRAGMA user_version").await?;
    let tables = number(connection, "SELECT count(*) FROM sqlite_schema").await?;
    if application != APPLICATION_ID && (tables, application, version) != (0, 0, 0) {
        return Err(StoreError::NotAStore { path: path.to_owned() });
    }
    if version > SCHEMA_VERSION {
        return Err(StoreError::TooNew { found: version });
    }
    // Before the journal mode: afterwards an empty file counts as written, and the setting does nothing.
    sqlx::raw_sql("PRAGMA auto_vacuum = INCREMENTAL").execute(&mut *connection).await?;
    sqlx::raw_sql("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").execute(&mut *connection).await?;
    let log_limit = sqlx::AssertSqlSafe(format!("PRAGMA journal_size_limit = {LOG_BYTES}"));
    sqlx::raw_sql(log_limit).execute(&mut *connection).await?;
    if let Some(limit) = hard_limit_bytes {
        let page = u64::try_from(number(connection, "PRAGMA page_size").await?).unwrap_or(0);
        let pages = limit.checked_div(page).unwrap_or(u64::MAX).clamp(1, u32::MAX.into());
        let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
        sqlx::raw_sql(limit).execute(&mut *connection).await?;
    }
    migrate(connection, version).await?;
    Ok(())
}

/// The file, made where there is none, closed to everyone but its owner.
fn create(path: &Path) -> io::Result<FileIdentity> {
    if !path.try_exists()? {
        set_aside_log(path)?;
    }
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!("the audit store was open to others, its mode is now 0600");
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok((metadata.dev(), metadata.ino()))
}

/// Renames the write-ahead log of a file that is gone: SQLite would play it into the new one.
fn set_aside_log(path: &Path) -> io::Result<()> {
    let log = log_path(path);
    if std::fs::metadata(&log).is_ok_and(|metadata| metadata.len() > 0) {
        let aside = log.with_added_extension("orphaned");
        tracing::warn!(aside = %aside.display(), "the audit store is gone but its log is not, the log is set aside");
        std::fs::rename(log, aside)?;
    }
    Ok(())
}

/// The write-ahead log of a store.
pub(super) fn log_path(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// Which file the path names now.
pub(super) fn identity(path: &Path) -> io::Result<FileIdentity> {
    std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

pub(super) async fn number(connection: &mut SqliteConnection, sql: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(sql).fetch_one(connection).await
}
