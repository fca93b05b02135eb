//! The table of how limits stood.

use std::time::Duration;

use sqlx::{Connection, SqliteConnection};
use time::OffsetDateTime;

use super::open::number;
use super::{Store, StoreError};
use crate::UsageRow;

impl Store {
    /// Writes these rows in one transaction; those whose limit and time are there already are left as they are.
    pub(crate) async fn append_usage(&mut self, rows: &[UsageRow]) -> Result<(), StoreError> {
        let outcome = match self.open().await {
            Ok(connection) => append(connection, rows).await.map_err(StoreError::from),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            self.open = None;
        }
        outcome
    }

    /// Deletes the rows of the oldest moment, where they are too old or there are more than `most`. Returns whether
    /// it did: then there may be more to do.
    pub(crate) async fn prune_usage(
        &mut self,
        max_age: Option<Duration>,
        most: u64,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let before = max_age.and_then(|age| now.checked_sub(age.try_into().ok()?));
        let before = before.map_or(i64::MIN, OffsetDateTime::unix_timestamp);
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let outcome = match self.open().await {
            Ok(connection) => prune(connection, before, most).await.map_err(StoreError::from),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            self.open = None;
        }
        outcome
    }
}

async fn append(connection: &mut SqliteConnection, rows: &[UsageRow]) -> Result<(), sqlx::Error> {
    const SQL: &str = "INSERT INTO usage (time_seconds, tenant, band, resource, used, bound) \
                       VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for row in rows {
        let limit = &row.limit;
        let query = sqlx::query(SQL).bind(row.at).bind(&limit.tenant).bind(&limit.band);
        query.bind(&limit.resource).bind(row.used).bind(row.bound).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

async fn prune(connection: &mut SqliteConnection, before: i64, most: i64) -> Result<bool, sqlx::Error> {
    let oldest: Option<i64> =
        sqlx::query_scalar("SELECT min(time_seconds) FROM usage").fetch_one(&mut *connection).await?;
    let Some(oldest) = oldest else { return Ok(false) };
    if oldest >= before && number(connection, "SELECT count(*) FROM usage").await? <= most {
        return Ok(false);
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    const SQL: &str = "DELETE FROM usage WHERE time_seconds = ?";
    sqlx::query(SQL).bind(oldest).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(true)
}
