//! How limits stood, read back.

use std::collections::BTreeMap;

use sqlx::{QueryBuilder, Sqlite};

use super::{AuditReader, ReadError};
use crate::{LimitName, UsagePoint};

/// Rows that are read at once.
const PAGE: usize = 5_000;

/// Which limits, and since when: every part that is set must fit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsageFilter {
    /// Only of this tenant.
    pub tenant: Option<String>,
    /// Only of this resource.
    pub resource: Option<String>,
    /// Only since then, in seconds since 1970.
    pub since: Option<i64>,
}

/// A row: time, tenant, band, resource, used, bound.
type Row = (i64, String, String, String, f64, f64);

impl AuditReader {
    /// How the limits stood that the filter lets through, each oldest first.
    ///
    /// Memory is 24 bytes a row, of which the store keeps [`crate::AuditConfig::usage_rows`] at most.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn usage(
        &mut self,
        filter: &UsageFilter,
    ) -> Result<BTreeMap<LimitName, Vec<UsagePoint>>, ReadError> {
        let mut found: BTreeMap<LimitName, Vec<UsagePoint>> = BTreeMap::new();
        let mut last: Option<Row> = None;
        loop {
            let page: Vec<Row> =
                filter.query(last.as_ref()).build_query_as().fetch_all(&mut self.connection).await?;
            let whole = page.len() >= PAGE;
            last = page.last().cloned();
            for (at, tenant, band, resource, used, bound) in page {
                let points = found.entry(LimitName { tenant, band, resource }).or_default();
                points.push(UsagePoint { at, used, bound });
            }
            if !whole {
                return Ok(found);
            }
        }
    }
}

impl UsageFilter {
    /// The page behind a row, in the order of the table.
    fn query(&self, behind: Option<&Row>) -> QueryBuilder<Sqlite> {
        let mut query = QueryBuilder::new(
            "SELECT time_seconds, tenant, band, resource, used, bound FROM usage WHERE true",
        );
        if let Some(since) = self.since {
            query.push(" AND time_seconds >= ").push_bind(since);
        }
        if let Some((at, tenant, band, resource, ..)) = behind {
            query.push(" AND (time_seconds, tenant, band, resource) > (").push_bind(*at);
            for text in [tenant, band, resource] {
                query.push(", ").push_bind(text.clone());
            }
            query.push(")");
        }
        for (condition, text) in [(" AND tenant = ", &self.tenant), (" AND resource = ", &self.resource)] {
            if let Some(text) = text {
                query.push(condition).push_bind(text.clone());
            }
        }
        query.push(" ORDER BY time_seconds, tenant, band, resource LIMIT ");
        query.push_bind(i64::try_from(PAGE).unwrap_or(i64::MAX));
        query
    }
}
