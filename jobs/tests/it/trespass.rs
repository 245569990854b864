//! Somebody who tries a statement as a station, through the application's own login and settings, and takes it back.

use jobs::StationId;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// What is tried on a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Select,
    Insert,
    Update,
    Delete,
}

impl Verb {
    pub(crate) const ALL: [Self; 4] = [Self::Select, Self::Insert, Self::Update, Self::Delete];

    /// The statement that does it to `target`'s rows; the column `station` says whose a row is. In `columns` and `values`
    /// of a new row, `{s}` is the station and `{n}` a number no row has.
    pub(crate) fn statement(self, table: &str, station: &str, columns: &str, values: &str, target: i64) -> String {
        let values = values
            .replace("{s}", &target.to_string())
            .replace("{n}", &rand::random_range(1_000_000..9_000_000).to_string());
        let column = columns.split(',').next().unwrap_or(columns);
        match self {
            Self::Select => format!("select from {table} where {station} = {target}"),
            Self::Insert => format!(
                "insert into {table} ({station}, {columns}) overriding system value values ({target}, {values})"
            ),
            Self::Update => format!("update {table} set {column} = {column} where {station} = {target}"),
            Self::Delete => format!("delete from {table} where {station} = {target}"),
        }
    }
}

/// What the database said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// So many rows were seen or touched.
    Rows(u64),
    /// No right, or a policy against it.
    Refused,
}

/// One connection under one role, for one station or none.
pub(crate) struct Trespasser {
    connection: PgConnection,
    begin: String,
}

impl Trespasser {
    pub(crate) async fn new(url: &str, role: &str, station: Option<StationId>) -> Self {
        let station = station.map(|StationId(id)| format!("; set local vtoc.station = '{id}'")).unwrap_or_default();
        Self {
            connection: PgConnection::connect(url).await.unwrap(),
            begin: format!("begin; set local role {role}{station}"),
        }
    }

    /// Runs a statement, tells what it did, and rolls it back.
    pub(crate) async fn tries(&mut self, statement: &str) -> Answer {
        let mut tx = self.connection.begin_with(AssertSqlSafe(self.begin.clone())).await.unwrap();
        let answer = match sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut *tx).await {
            Ok(done) => Answer::Rows(done.rows_affected()),
            Err(error) => {
                let code = error.as_database_error().and_then(|error| error.code().map(String::from));
                // Anything else means that the statement is wrong, and proves nothing.
                assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
                Answer::Refused
            }
        };
        tx.rollback().await.unwrap();
        answer
    }
}
