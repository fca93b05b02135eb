use model::Record;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Connection, Sqlite, SqliteConnection, query::Query};

/// Rows of one INSERT: few sizes, so that their statements stay prepared.
const GROUPS: [usize; 3] = [64, 8, 1];

const COLUMNS: &str = "id, time_micros, allowed, phase, operation, api_group, kind, namespace, name, \
                       username, tenant, code, record";
const COLUMN_COUNT: usize = 13;

/// A record as it is stored: the columns that filters need, and the whole as JSON.
#[derive(Debug)]
pub(crate) struct Row {
    id: String,
    time_micros: i64,
    allowed: bool,
    texts: [String; 9],
    record: String,
}

impl Row {
    pub(crate) fn new(record: &Record) -> Result<Self, serde_json::Error> {
        Ok(Self {
            id: record.id.to_ascii_lowercase(),
            time_micros: record.time_micros,
            allowed: record.allowed,
            texts: [
                record.phase.clone(),
                record.operation.map_or("", model::Operation::as_str).to_owned(),
                record.kind.group.clone(),
                record.kind.kind.clone(),
                record.namespace.clone(),
                record.name.clone(),
                record.username.clone(),
                record.tenant.clone().unwrap_or_default(),
                record.code.clone(),
            ],
            record: serde_json::to_string(record)?,
        })
    }

    fn bind<'q>(&self, query: Query<'q, Sqlite, SqliteArguments>) -> Query<'q, Sqlite, SqliteArguments> {
        let query = query.bind(self.id.as_str()).bind(self.time_micros).bind(self.allowed);
        let query = self.texts.iter().fold(query, |query, text| query.bind(text.as_str()));
        query.bind(self.record.as_str())
    }
}

/// Writes these rows in one transaction.
pub(super) async fn append(connection: &mut SqliteConnection, rows: &[Row]) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut rest = rows;
    for size in GROUPS {
        while let Some((group, after)) = rest.split_at_checked(size) {
            let query =
                group.iter().fold(sqlx::query(AssertSqlSafe(insert(size))), |query, row| row.bind(query));
            query.execute(&mut *transaction).await?;
            rest = after;
        }
    }
    transaction.commit().await
}

fn insert(rows: usize) -> String {
    let row = format!("({})", vec!["?"; COLUMN_COUNT].join(", "));
    let rows = vec![row; rows].join(", ");
    format!("INSERT INTO record ({COLUMNS}) VALUES {rows} ON CONFLICT (id) DO NOTHING")
}
