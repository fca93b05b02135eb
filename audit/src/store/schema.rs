//! The tables, and how an older file becomes a newer one.

use sqlx::{Connection, SqliteConnection};

/// What marks a file as ours: the letters `BAIL`.
pub(crate) const APPLICATION_ID: i64 = 0x4241_494c;
/// The version this code writes, kept in the file's `user_version`.
pub(crate) const SCHEMA_VERSION: i64 = 3;

/// One script per version, the first one for an empty file. A released script never changes.
///
/// `seq` is the order of writing; AUTOINCREMENT never gives a number twice, so that a reader who follows
/// misses nothing when old rows are deleted. The columns are for filters; `record` is the whole truth.
const SCRIPTS: [&str; 3] = [
    "
CREATE TABLE record (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    time_micros INTEGER NOT NULL,
    allowed INTEGER NOT NULL,
    phase TEXT NOT NULL,
    operation TEXT NOT NULL,
    api_group TEXT NOT NULL,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    username TEXT NOT NULL,
    tenant TEXT NOT NULL,
    code TEXT NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX record_time ON record (time_micros);
CREATE INDEX record_namespace ON record (namespace);
CREATE INDEX record_username ON record (username);
CREATE INDEX record_denied ON record (allowed) WHERE allowed = 0;
PRAGMA application_id = 0x4241494c;
PRAGMA user_version = 1;
",
    "
CREATE INDEX record_tenant ON record (tenant);
PRAGMA user_version = 2;
",
    // The key is what makes two rows the same, and the order of time, in which rows are read and deleted.
    "
CREATE TABLE usage (
    time_seconds INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    band TEXT NOT NULL,
    resource TEXT NOT NULL,
    used REAL NOT NULL,
    bound REAL NOT NULL,
    PRIMARY KEY (time_seconds, tenant, band, resource)
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 3;
",
];

/// Brings a file of an older version, or an empty one, to [`SCHEMA_VERSION`].
pub(super) async fn migrate(connection: &mut SqliteConnection, found: i64) -> Result<(), sqlx::Error> {
    let done = usize::try_from(found).unwrap_or(0);
    for script in SCRIPTS.iter().skip(done).copied() {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(script).execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_script_for_every_version() {
        assert_eq!(i64::try_from(SCRIPTS.len()), Ok(SCHEMA_VERSION));
        assert!(SCRIPTS[0].contains(&format!("{APPLICATION_ID:#x}")));
    }
}
