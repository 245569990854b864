//! The floor's enqueue: one statement a batch or a job, each its own transaction.

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, PgPool, postgres::PgPoolOptions};
use tokio::time::Instant;

use super::sql::{ENGINE_TABLES, Statements};
use crate::{
    cluster::Fresh,
    engine::{BATCH, kinds::FILLER, per_second, produce},
};

/// One connection that enqueues batches.
#[derive(Debug)]
pub(crate) struct Producer {
    connection: PgConnection,
    statements: Statements,
    batch: Vec<Value>,
}

impl Producer {
    /// Connects.
    pub(crate) async fn connect(url: &str, statements: Statements) -> anyhow::Result<Self> {
        let batch = vec![json!({ "filler": FILLER }); BATCH];
        Ok(Self { connection: PgConnection::connect(url).await?, statements, batch })
    }

    /// Enqueues `count` jobs, at most a batch.
    pub(crate) async fn batch(&mut self, count: usize) -> anyhow::Result<()> {
        sqlx::query(self.statements.enqueue)
            .bind(&self.batch[..count.min(BATCH)])
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }
}

/// Enqueues `count` jobs in batches by one producer; answers how many a second.
pub(super) async fn batches(fresh: &Fresh, count: usize) -> anyhow::Result<f64> {
    let started = Instant::now();
    let mut producer = Producer::connect(&fresh.owner_url, ENGINE_TABLES).await?;
    let mut left = count;
    while left > 0 {
        let now = left.min(BATCH);
        producer.batch(now).await?;
        left -= now;
    }
    Ok(per_second(count, started.elapsed()))
}

/// Enqueues one job a transaction by `producers` on `connections`; answers how many a second.
pub(super) async fn singles(fresh: &Fresh, producers: usize, connections: u32) -> anyhow::Result<f64> {
    let pool: PgPool = PgPoolOptions::new().max_connections(connections).connect(&fresh.owner_url).await?;
    let (enqueueing, payload) = (pool.clone(), vec![json!({ "filler": FILLER })]);
    let one = move || {
        let (pool, payload) = (enqueueing.clone(), payload.clone());
        async move {
            sqlx::query(ENGINE_TABLES.enqueue).bind(payload).execute(&pool).await?;
            Ok(())
        }
    };
    let (enqueued, elapsed) = produce(producers, one).await?;
    pool.close().await;
    Ok(per_second(enqueued, elapsed))
}
