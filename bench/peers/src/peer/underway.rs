//! underway: durable step functions. A task is run inside a transaction of its own; finished ones stay for 14 days.

use jiff::{Span, ToSpan as _};
use std::sync::Arc;

use sqlx08::postgres::PgPoolOptions;
use sqlx08::{PgPool, Postgres, Transaction};
use underway::task::{Result as TaskResult, Task};
use underway::{Queue, Worker};

use tokio::task::JoinHandle;

use super::{History, Peer, Start};
use crate::args::Settings;
use crate::board::Board;
use crate::task::Measure;

const KIND: &str = "measure";

/// Writes on the board; a producer has none.
#[derive(Clone)]
struct MeasureTask(Option<Arc<Board>>);

impl Task for MeasureTask {
    type Input = Measure;
    type Output = ();

    async fn execute(&self, tx: Transaction<'_, Postgres>, job: Measure) -> TaskResult<()> {
        if let Some(board) = &self.0 {
            board.handle(job.number).await;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// The peer and what it was told.
pub(super) struct Underway {
    pool: PgPool,
    queue: Arc<Queue<MeasureTask>>,
    settings: Settings,
    concurrency: u32,
}

impl Peer for Underway {
    type Worker = JoinHandle<()>;

    const VERSION: &'static str = "0.2.0";
    const HISTORY: History = History::Sql(
        "insert into underway.task_attempt (task_id, task_queue_name, attempt_number, state, completed_at)
             select id, task_queue_name, 1, 'succeeded', now() from underway.task;
         update underway.task set state = 'succeeded', last_attempt_at = now(), completed_at = now()",
    );
    const UNFINISHED: &'static str = "select count(*) from underway.task where state <> 'succeeded'";

    fn concurrency(settings: Settings) -> u32 {
        match settings {
            Settings::Best => 16,
            // As many as there are processors.
            Settings::Defaults => std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
        }
    }

    async fn install(url: &str, settings: Settings, concurrency: u32) -> anyhow::Result<Self> {
        // A running task holds one connection and its heartbeat asks for another; a pool as it comes has 10.
        let connections = match settings {
            Settings::Best => concurrency * 2 + 4,
            Settings::Defaults => 10,
        };
        let pool = PgPoolOptions::new().max_connections(connections).connect(url).await?;
        underway::run_migrations(&pool).await?;
        let queue = Arc::new(Queue::builder().name(KIND).pool(pool.clone()).build().await?);
        Ok(Self { pool, queue, settings, concurrency })
    }

    async fn enqueue_batch(&self, from: u64, count: u64) -> anyhow::Result<()> {
        let jobs: Vec<_> = (from..from + count).map(Measure::new).collect();
        self.queue.enqueue_multi(&self.pool, &MeasureTask(None), &jobs).await?;
        Ok(())
    }

    async fn enqueue_single(&self, number: u64) -> anyhow::Result<()> {
        self.queue.enqueue(&self.pool, &MeasureTask(None), &Measure::new(number)).await?;
        Ok(())
    }

    async fn prepare(&self, board: Arc<Board>) -> anyhow::Result<Start<Self::Worker>> {
        let mut worker = Worker::new(Arc::clone(&self.queue), MeasureTask(Some(Arc::clone(&board))));
        worker.set_concurrency_limit(self.concurrency as usize);
        let settings = self.settings;
        Ok(Box::new(move || {
            tokio::spawn(async move {
                let ended = match settings {
                    // Each poll adds one loop that drains, up to the limit; as it comes, it polls once a minute.
                    Settings::Best => worker.run_every(poll_interval()).await,
                    Settings::Defaults => worker.run().await,
                };
                match ended {
                    Ok(()) => board.worker_ended("in good order"),
                    Err(err) => board.worker_ended(err),
                }
            })
        }))
    }
}

fn poll_interval() -> Span {
    10.milliseconds()
}
