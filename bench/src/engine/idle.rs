//! A worker process that has nothing to do: what it asks of the database, counted by the database while nobody else is
//! connected to it, and its memory.

use std::time::Duration;

use sqlx::PgConnection;

use super::{Figures, process::Process};
use crate::{figure::Figure, stock::Stocked};

/// Until it has started and the database's counters have caught up.
const SETTLE: Duration = Duration::from_secs(5);
/// How long it is watched.
const WATCH: Duration = Duration::from_secs(20);

pub(super) async fn measure(stocked: &Stocked) -> anyhow::Result<Figures> {
    let mut aside = stocked.aside().await?;
    let worker = Process::start_shipped(&stocked.fresh.url)?;
    tokio::time::sleep(SETTLE).await;
    let before = transactions(&mut aside, &stocked.fresh.name).await?;
    tokio::time::sleep(WATCH).await;
    let after = transactions(&mut aside, &stocked.fresh.name).await?;
    let memory_mib = worker.memory_mib();
    worker.stop().await?;
    let rate = (after - before) as f64 / WATCH.as_secs_f64();
    Ok(vec![(Figure::IdleTransactions, rate), (Figure::IdleMemory, memory_mib)])
}

async fn transactions(aside: &mut PgConnection, database: &str) -> anyhow::Result<i64> {
    let row: (i64,) = sqlx::query_as("select xact_commit + xact_rollback from pg_stat_database where datname = $1")
        .bind(database)
        .fetch_one(aside)
        .await?;
    Ok(row.0)
}
