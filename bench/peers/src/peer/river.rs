//! riverqueue: River's client for Rust. Finished jobs stay in the table for a day.

use std::sync::Arc;
use std::time::Duration;

use riverqueue::migrate::PostgresMigrator;
use riverqueue::sqlx::PgPool;
use riverqueue::sqlx::postgres::PgPoolOptions;
use riverqueue::{
    BoxError, Client, InsertManyItem, InsertOpts, Job, QueueConfig, RunHandle, WorkContext, WorkOutcome, Workers,
};

use super::{History, Peer, Start};
use crate::args::Settings;
use crate::board::Board;
use crate::task::Measure;

const QUEUE: &str = "default";

/// The peer and what it was told.
pub(super) struct River {
    pool: PgPool,
    settings: Settings,
    concurrency: u32,
    producer: Client,
}

impl Peer for River {
    type Worker = Option<(Client, RunHandle)>;

    const VERSION: &'static str = "0.5.0";
    const HISTORY: History = History::Sql(
        "update river_job set state = 'completed', attempt = 1, attempted_at = now(), finalized_at = now(), attempted_by = '{bench}'",
    );
    const UNFINISHED: &'static str = "select count(*) from river_job where state <> 'completed'";

    fn concurrency(settings: Settings) -> u32 {
        match settings {
            // What its own benchmark takes.
            Settings::Best => 2_000,
            // It has no default; its introduction says 10, and its published figures 100.
            Settings::Defaults => 100,
        }
    }

    async fn install(url: &str, settings: Settings, concurrency: u32) -> anyhow::Result<Self> {
        let pool = PgPoolOptions::new().max_connections(20).connect(url).await?;
        PostgresMigrator::new(pool.clone()).migrate_up().await?;
        let producer = Client::builder(pool.clone()).allow_unregistered_job_kinds().build()?;
        Ok(Self { pool, settings, concurrency, producer })
    }

    async fn enqueue_batch(&self, from: u64, count: u64) -> anyhow::Result<()> {
        let jobs = (from..from + count).map(|number| InsertManyItem::new(Measure::new(number), InsertOpts::default()));
        self.producer.insert_many(jobs).await?;
        Ok(())
    }

    async fn enqueue_single(&self, number: u64) -> anyhow::Result<()> {
        self.producer.insert(Measure::new(number)).await?;
        Ok(())
    }

    async fn prepare(&self, board: Arc<Board>) -> anyhow::Result<Start<Self::Worker>> {
        let mut workers = Workers::new();
        let handlers = Arc::clone(&board);
        workers.add_fn(move |_: WorkContext, job: Job<Measure>| {
            let board = Arc::clone(&handlers);
            async move {
                board.handle(job.args.number).await;
                Ok::<_, BoxError>(WorkOutcome::Complete)
            }
        })?;
        let queue = QueueConfig::new(self.concurrency as usize);
        let builder = Client::builder(self.pool.clone()).workers(workers);
        let client = match self.settings {
            Settings::Best => builder
                .fetch_cooldown(Duration::from_millis(2))
                .queue(QUEUE, queue.with_fetch_poll_interval(Duration::from_millis(20))),
            Settings::Defaults => builder.queue(QUEUE, queue),
        }
        .build()?;
        Ok(Box::new(move || match client.start() {
            Ok(run) => Some((client, run)),
            Err(err) => {
                board.worker_ended(err);
                None
            }
        }))
    }
}
