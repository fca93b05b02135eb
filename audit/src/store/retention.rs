use sqlx::{Connection, SqliteConnection};
use time::OffsetDateTime;

use super::open::number;
use super::{Store, StoreError};
use crate::Retention;

/// Records deleted in one transaction: small, so that writing never waits long.
const STEP: i64 = 500;

/// What one step of retention did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pruned {
    pub(crate) records: u64,
    /// Whether another step would find more to do.
    pub(crate) more: bool,
}

impl Store {
    /// Deletes at most [`STEP`] records that are too old or too many, and gives free pages back.
    pub(crate) async fn prune(
        &mut self,
        retention: &Retention,
        now: OffsetDateTime,
    ) -> Result<Pruned, StoreError> {
        let outcome = match self.open().await {
            Ok(connection) => prune(connection, retention, now).await.map_err(StoreError::from),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            self.open = None;
        }
        outcome
    }
}

async fn prune(
    connection: &mut SqliteConnection,
    retention: &Retention,
    now: OffsetDateTime,
) -> Result<Pruned, sqlx::Error> {
    let mut records = 0;
    if let Some(before) = retention.max_age.and_then(|age| now.checked_sub(age.try_into().ok()?)) {
        let before = i64::try_from(before.unix_timestamp_nanos().div_euclid(1_000)).unwrap_or(i64::MIN);
        records = delete_older(connection, before).await?;
    }
    let limit = retention.max_bytes.map_or(i64::MAX, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    if records == 0 && used_bytes(connection).await? > limit {
        records = delete_oldest(connection).await?;
    }
    let vacuumed = vacuum(connection, limit).await?;
    Ok(Pruned { records, more: records > 0 || vacuumed })
}

async fn delete_older(connection: &mut SqliteConnection, before: i64) -> Result<u64, sqlx::Error> {
    const SQL: &str = "DELETE FROM record WHERE seq IN \
                       (SELECT seq FROM record WHERE time_micros < ? ORDER BY time_micros LIMIT ?)";
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let done = sqlx::query(SQL).bind(before).bind(STEP).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(done.rows_affected())
}

async fn delete_oldest(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    const SQL: &str = "DELETE FROM record WHERE seq IN (SELECT seq FROM record ORDER BY seq LIMIT ?)";
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let done = sqlx::query(SQL).bind(STEP).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(done.rows_affected())
}

/// The bytes that records take: the file without its free pages.
async fn used_bytes(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let pages = number(connection, "PRAGMA page_count").await?;
    let free = number(connection, "PRAGMA freelist_count").await?;
    let size = number(connection, "PRAGMA page_size").await?;
    Ok(pages.saturating_sub(free).saturating_mul(size))
}

/// Gives some free pages back, where the file is too large or a quarter of it is free: a few free pages
/// are better kept, the next records take them. Returns whether it did.
async fn vacuum(connection: &mut SqliteConnection, limit: i64) -> Result<bool, sqlx::Error> {
    let pages = number(connection, "PRAGMA page_count").await?;
    let free = number(connection, "PRAGMA freelist_count").await?;
    let size = number(connection, "PRAGMA page_size").await?;
    let too_large = pages.saturating_mul(size) > limit;
    let mostly_free = pages > 256 && free.saturating_mul(4) > pages;
    if free == 0 || !(too_large || mostly_free) {
        return Ok(false);
    }
    sqlx::raw_sql("PRAGMA incremental_vacuum(500)").execute(connection).await?;
    Ok(true)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may fail")]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use model::Record;
    use time::macros::datetime;

    use super::*;
    use crate::store::Row;

    const NOW: OffsetDateTime = datetime!(2026-01-31 00:00 UTC);

    fn row(number: i64, age: Duration) -> Row {
        let micros = (NOW - age).unix_timestamp_nanos() / 1_000;
        let text = format!(
            r#"{{"id":"{number}","timeMicros":{micros},"phase":"validate","uid":"","username":"","groups":[],
            "kind":{{"version":"v1","kind":"Pod"}},"subResource":"","namespace":"","name":"","dryRun":false,
            "allowed":true,"code":"","message":"{}","patched":false,"policies":[],"findings":[],
            "times":{{"decode":0,"queue":0,"matching":0,"evaluate":0,"total":0}}}}"#,
            "x".repeat(500)
        );
        Row::new(&serde_json::from_str::<Record>(&text).unwrap()).unwrap()
    }

    async fn store(path: &Path, rows: impl Iterator<Item = (i64, Duration)>) -> Store {
        let mut store = Store::new(path, None);
        let rows: Vec<_> = rows.map(|(number, age)| row(number, age)).collect();
        store.append(&rows).await.unwrap();
        store
    }

    async fn prune_all(store: &mut Store, retention: &Retention) -> u64 {
        let mut records = 0;
        loop {
            let pruned = store.prune(retention, NOW).await.unwrap();
            assert!(pruned.records <= 500, "steps are small");
            records += pruned.records;
            if !pruned.more {
                return records;
            }
        }
    }

    async fn ids(store: &mut Store) -> Vec<i64> {
        let connection = store.open().await.unwrap();
        sqlx::query_scalar("SELECT CAST(id AS INTEGER) FROM record ORDER BY seq")
            .fetch_all(connection)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn old_records_go_and_young_ones_stay_whatever_their_order() {
        let directory = tempfile::tempdir().unwrap();
        let day = Duration::from_secs(24 * 3600);
        // Every third record has an old clock.
        let rows = (0..1_800).map(|number| (number, if number % 3 == 0 { day * 31 } else { day }));
        let mut store = store(&directory.path().join("audit.db"), rows).await;
        let retention = Retention { max_age: Some(day * 30), max_bytes: None };
        assert_eq!(prune_all(&mut store, &retention).await, 600);
        assert!(ids(&mut store).await.iter().all(|id| id % 3 != 0));
        assert_eq!(prune_all(&mut store, &Retention { max_age: None, max_bytes: None }).await, 0);
    }

    #[tokio::test]
    async fn the_oldest_go_until_the_size_fits_and_the_file_shrinks() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.db");
        let mut store = store(&path, (0..5_000).map(|number| (number, Duration::ZERO))).await;
        let limit = 2 << 20;
        let deleted = prune_all(&mut store, &Retention { max_age: None, max_bytes: Some(limit) }).await;
        let left = ids(&mut store).await;
        assert!(deleted > 0 && left.len() > 500, "{deleted} deleted");
        assert_eq!(left, (i64::try_from(deleted).unwrap()..5_000).collect::<Vec<_>>());
        store.close().await;
        assert!(path.metadata().unwrap().len() <= limit, "{}", path.metadata().unwrap().len());
    }
}
