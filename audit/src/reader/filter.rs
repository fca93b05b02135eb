use sqlx::{QueryBuilder, Sqlite};

/// Which records are wanted: every part that is set must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Only refusals.
    pub denied: bool,
    /// Only this namespace.
    pub namespace: Option<String>,
    /// Only this tenant.
    pub tenant: Option<String>,
    /// Only this user.
    pub user: Option<String>,
    /// Only this kind, such as `Pod`, whatever its case and group.
    pub kind: Option<String>,
    /// Only requests of which this policy was asked.
    pub policy: Option<String>,
    /// Only what was decided at this time or later: microseconds since 1970-01-01 UTC.
    pub since: Option<i64>,
    /// The most records of one answer.
    pub limit: u32,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            denied: false,
            namespace: None,
            tenant: None,
            user: None,
            kind: None,
            policy: None,
            since: None,
            limit: 20,
        }
    }
}

impl Filter {
    /// The query for `seq` and `record`, of rows behind the first and up to the second `seq` of `range`.
    pub(super) fn query(&self, range: Option<(i64, i64)>, order: &'static str) -> QueryBuilder<Sqlite> {
        let mut query = QueryBuilder::new("SELECT seq, record FROM record WHERE true");
        if self.denied {
            query.push(" AND allowed = 0");
        }
        let texts = [
            (" AND namespace = ", &self.namespace),
            (" AND tenant = ", &self.tenant),
            (" AND username = ", &self.user),
        ];
        for (condition, text) in texts {
            if let Some(text) = text {
                query.push(condition).push_bind(text.clone());
            }
        }
        if let Some(kind) = &self.kind {
            query.push(" AND kind = ").push_bind(kind.clone()).push(" COLLATE NOCASE");
        }
        if let Some(since) = self.since {
            query.push(" AND time_micros >= ").push_bind(since);
        }
        if let Some((behind, up_to)) = range {
            query.push(" AND seq > ").push_bind(behind).push(" AND seq <= ").push_bind(up_to);
        }
        if let Some(policy) = &self.policy {
            query.push(" AND EXISTS (SELECT 1 FROM json_each(record, '$.policies') AS used");
            query.push(" WHERE used.value ->> '$.policy' = ").push_bind(policy.clone()).push(")");
        }
        query.push(" ORDER BY seq ").push(order).push(" LIMIT ").push_bind(i64::from(self.limit));
        query
    }
}
