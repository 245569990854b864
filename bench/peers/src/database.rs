//! The benchmark's own look into the database: counts, and the housekeeping before the clock starts.

use anyhow::Context as _;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};

/// A connection that no peer shares.
pub(crate) struct Database {
    connection: PgConnection,
}

impl Database {
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        let connection = PgConnection::connect(url).await.context("cannot connect to the database")?;
        Ok(Self { connection })
    }

    /// The one number that `sql` asks for.
    pub(crate) async fn count(&mut self, sql: &str) -> anyhow::Result<u64> {
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut self.connection)
            .await
            .with_context(|| format!("cannot count: {sql}"))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Runs one statement.
    pub(crate) async fn run(&mut self, sql: &str) -> anyhow::Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut self.connection)
            .await
            .with_context(|| format!("cannot run: {sql}"))?;
        Ok(())
    }

    /// Leaves no dead rows, stale statistics or dirty pages of the filling to the measurement.
    pub(crate) async fn settle(&mut self) -> anyhow::Result<()> {
        self.run("vacuum (analyze)").await?;
        self.run("checkpoint").await
    }
}
