//! What is looked at while jobs come and go: rates since the last look, and how each table stands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::cluster::Fresh;

/// Tables by name; partitions count as their parent.
pub(crate) type TableSizes = BTreeMap<String, TableSize>;

/// How one table stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableSize {
    /// Dead tuples, as the server estimates them.
    pub(crate) dead_tuples: i64,
    /// With indexes.
    pub(crate) bytes: i64,
}

/// One look.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Since the start.
    pub(crate) at_s: f64,
    /// Since the last look.
    pub(crate) enqueued_per_s: f64,
    /// Since the last look.
    pub(crate) finished_per_s: f64,
    /// Those over a megabyte.
    pub(crate) tables: TableSizes,
}

impl Sample {
    /// From two looks, each a moment, jobs finished and jobs enqueued.
    pub(super) fn between(
        started: Instant,
        last: (Instant, i64, i64),
        now: (Instant, i64, i64),
        tables: TableSizes,
    ) -> Self {
        let seconds = (now.0 - last.0).as_secs_f64();
        Self {
            at_s: (now.0 - started).as_secs_f64(),
            finished_per_s: (now.1 - last.1) as f64 / seconds,
            enqueued_per_s: (now.2 - last.2) as f64 / seconds,
            tables,
        }
    }

    /// Of all tables.
    pub(crate) fn dead_tuples(&self) -> i64 {
        self.tables.values().map(|table| table.dead_tuples).sum()
    }

    /// Of all tables.
    pub(crate) fn bytes(&self) -> i64 {
        self.tables.values().map(|table| table.bytes).sum()
    }
}

/// Looks at every table over a megabyte.
pub(super) async fn table_sizes(fresh: &Fresh) -> anyhow::Result<TableSizes> {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        r"select regexp_replace(relname, '_\d{8}$', ''), sum(n_dead_tup)::bigint, sum(pg_total_relation_size(relid))::bigint
        from pg_stat_user_tables
        where schemaname in ('vtoc', 'one')
        group by 1
        having sum(pg_total_relation_size(relid)) > 1000000
        order by 1",
    )
    .fetch_all(&mut fresh.owner().await?)
    .await?;
    Ok(rows.into_iter().map(|(name, dead_tuples, bytes)| (name, TableSize { dead_tuples, bytes })).collect())
}
