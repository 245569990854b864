//! apalis-postgres: apalis' own storage on Postgres. Finished jobs stay in the table until somebody deletes them.

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::*;
use apalis_postgres::{Config, PgPool, PostgresStorage, Pubsub};
use futures::{FutureExt as _, stream};
use sqlx::postgres::PgPoolOptions;

use tokio::task::JoinHandle;

use super::{History, Peer, Start};
use crate::args::Settings;
use crate::board::Board;
use crate::task::Measure;

const QUEUE: &str = "measure";

/// The peer and what it was told.
pub(super) struct Apalis {
    pool: PgPool,
    settings: Settings,
    concurrency: u32,
}

impl Apalis {
    fn storage(&self) -> PostgresStorage<Measure> {
        let config = Config::default().queue(QUEUE);
        PostgresStorage::new(&self.pool).with_config(match self.settings {
            Settings::Best => config.batch_size(500),
            Settings::Defaults => config,
        })
    }
}

async fn handle(job: Measure, board: Data<Arc<Board>>) -> Result<(), BoxDynError> {
    board.handle(job.number).await;
    Ok(())
}

impl Peer for Apalis {
    type Worker = JoinHandle<()>;

    const VERSION: &'static str = "1.0.0";
    const HISTORY: History = History::Sql(
        "update apalis.jobs set status = 'Done', attempts = 1, lock_at = now(), done_at = now(), lock_by = null",
    );
    const UNFINISHED: &'static str = "select count(*) from apalis.jobs where status <> 'Done'";

    fn concurrency(settings: Settings) -> u32 {
        match settings {
            Settings::Best => 100,
            // No limit but the batch it fetches.
            Settings::Defaults => Config::default().batch_size as u32,
        }
    }

    async fn install(url: &str, settings: Settings, concurrency: u32) -> anyhow::Result<Self> {
        let pool = PgPoolOptions::new().max_connections(20).connect(url).await?;
        PostgresStorage::setup(&pool).await?;
        Ok(Self { pool, settings, concurrency })
    }

    async fn enqueue_batch(&self, from: u64, count: u64) -> anyhow::Result<()> {
        let jobs: Vec<_> = (from..from + count).map(Measure::new).collect();
        self.storage().push_stream(&mut stream::iter(jobs)).await?;
        Ok(())
    }

    async fn enqueue_single(&self, number: u64) -> anyhow::Result<()> {
        self.storage().push(Measure::new(number)).await?;
        Ok(())
    }

    async fn prepare(&self, board: Arc<Board>) -> anyhow::Result<Start<Self::Worker>> {
        let ended = Arc::clone(&board);
        let storage = self.storage();
        let wake = Strategy::new().stream(Pubsub::new(self.pool.clone(), QUEUE.to_owned()));
        let (concurrency, settings) = (self.concurrency as usize, self.settings);
        Ok(Box::new(move || {
            let run = match settings {
                Settings::Best => WorkerBuilder::new("bench")
                    .backend(storage.poll_with_strategy(wake.interval(Duration::from_millis(100))))
                    .data(board)
                    .concurrency(concurrency)
                    .parallelize(tokio::spawn)
                    .build(handle)
                    .run()
                    .boxed(),
                Settings::Defaults => WorkerBuilder::new("bench")
                    .backend(storage.poll_with_strategy(wake))
                    .data(board)
                    .build(handle)
                    .run()
                    .boxed(),
            };
            tokio::spawn(async move {
                match run.await {
                    Ok(()) => ended.worker_ended("in good order"),
                    Err(err) => ended.worker_ended(err),
                }
            })
        }))
    }
}
