//! awa: its queue storage, the engine of a fresh install. Its tables are written by its own code only.

use std::sync::Arc;
use std::time::Duration;

use awa::model::migrations;
use awa::{Client, InsertOpts, InsertParams, JobResult, QueueConfig, QueueStorage};
use sqlx08::PgPool;
use sqlx08::postgres::PgPoolOptions;

use tokio::task::JoinHandle;

use super::{History, Peer, Start};
use crate::args::Settings;
use crate::board::Board;
use crate::database::Database;
use crate::task::Measure;

const KIND: &str = "measure";
const QUEUE: &str = "default";
const SCHEMA: &str = "awa";

/// The peer and what it was told.
pub(super) struct Awa {
    pool: PgPool,
    store: QueueStorage,
    settings: Settings,
    concurrency: u32,
}

fn params(number: u64) -> anyhow::Result<InsertParams> {
    let args = serde_json::to_value(Measure::new(number))?;
    Ok(InsertParams { kind: KIND.to_owned(), args, opts: InsertOpts::default() })
}

impl Peer for Awa {
    type Worker = (Arc<Client>, JoinHandle<()>);

    const VERSION: &'static str = "0.6.9";
    const HISTORY: History = History::Drained;
    // Not asked: see `unfinished`.
    const UNFINISHED: &'static str = "";

    fn concurrency(settings: Settings) -> u32 {
        match settings {
            Settings::Best => 200,
            Settings::Defaults => QueueConfig::default().max_workers,
        }
    }

    async fn install(url: &str, settings: Settings, concurrency: u32) -> anyhow::Result<Self> {
        let pool = PgPoolOptions::new().max_connections(20).connect(url).await?;
        migrations::run(&pool).await?;
        Ok(Self { pool, store: QueueStorage::from_existing_schema(SCHEMA)?, settings, concurrency })
    }

    async fn enqueue_batch(&self, from: u64, count: u64) -> anyhow::Result<()> {
        let jobs = (from..from + count).map(params).collect::<anyhow::Result<Vec<_>>>()?;
        match self.settings {
            Settings::Best => self.store.enqueue_params_copy(&self.pool, &jobs).await.map(|_| ())?,
            Settings::Defaults => awa::insert_many(&self.pool, &jobs).await.map(|_| ())?,
        }
        Ok(())
    }

    async fn enqueue_single(&self, number: u64) -> anyhow::Result<()> {
        awa::insert(&self.pool, &Measure::new(number)).await?;
        Ok(())
    }

    async fn prepare(&self, board: Arc<Board>) -> anyhow::Result<Start<Self::Worker>> {
        let handlers = Arc::clone(&board);
        let defaults = QueueConfig { max_workers: self.concurrency, ..QueueConfig::default() };
        let queue = match self.settings {
            // What its own benchmark of this storage takes.
            Settings::Best => QueueConfig {
                claimers: 1,
                claim_batch_size: 512,
                poll_interval: Duration::from_millis(50),
                deadline_duration: Duration::ZERO,
                ..defaults
            },
            Settings::Defaults => defaults,
        };
        let client = Client::builder(self.pool.clone())
            .queue(QUEUE, queue)
            .register::<Measure, _, _>(move |job: Measure, _| {
                let board = Arc::clone(&handlers);
                async move {
                    board.handle(job.number).await;
                    Ok(JobResult::Completed)
                }
            })
            .build()?;
        Ok(Box::new(move || {
            let client = Arc::new(client);
            let starting = Arc::clone(&client);
            let task = tokio::spawn(async move {
                if let Err(err) = starting.start().await {
                    board.worker_ended(err);
                }
            });
            (client, task)
        }))
    }

    async fn stop(&self, (client, _): Self::Worker) {
        client.shutdown(Duration::from_secs(10)).await;
    }

    async fn unfinished(&self, _: &mut Database) -> anyhow::Result<u64> {
        // What is waiting, claimed or done is spread over rings of partitions and packed receipts: its own exact count reads them.
        let counts = self.store.queue_counts(&self.pool, QUEUE).await?;
        Ok(u64::try_from(counts.available + counts.running).unwrap_or(0))
    }
}
