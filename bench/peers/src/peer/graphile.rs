//! graphile_worker: the Rust rewrite of Graphile Worker. Finished jobs are deleted.

use std::sync::Arc;
use std::time::Duration;

use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, TaskHandler, Worker as Runner, WorkerContext, WorkerOptions,
    WorkerUtils,
};

use tokio::task::JoinHandle;

use super::{History, Peer, Start};
use crate::args::Settings;
use crate::board::Board;
use crate::task::Measure;

const KIND: &str = "measure";

impl TaskHandler for Measure {
    const IDENTIFIER: &'static str = KIND;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let board = context.get_ext::<Arc<Board>>().ok_or_else(|| "no board".to_owned())?;
        board.handle(self.number).await;
        Ok::<(), String>(())
    }
}

/// The peer and what it was told.
pub(super) struct Graphile {
    url: String,
    settings: Settings,
    concurrency: u32,
    utils: WorkerUtils,
}

impl Graphile {
    fn options(url: &str, settings: Settings, concurrency: u32) -> WorkerOptions {
        let options =
            WorkerOptions::default().database_url(url).concurrency(concurrency as usize).define_job::<Measure>();
        match settings {
            Settings::Best => options
                .local_queue(LocalQueueConfig::default().with_size(500))
                .complete_job_batch_delay(Duration::from_millis(5))
                .fail_job_batch_delay(Duration::from_millis(5)),
            Settings::Defaults => options,
        }
    }
}

impl Peer for Graphile {
    type Worker = JoinHandle<()>;

    const VERSION: &'static str = "0.14.1";
    const HISTORY: History = History::None;
    const UNFINISHED: &'static str = "select count(*) from graphile_worker._private_jobs";

    fn concurrency(settings: Settings) -> u32 {
        match settings {
            Settings::Best => 100,
            // As many as there are processors.
            Settings::Defaults => std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
        }
    }

    async fn install(url: &str, settings: Settings, concurrency: u32) -> anyhow::Result<Self> {
        let runner: Runner = Self::options(url, settings, concurrency).init().await?;
        Ok(Self { url: url.to_owned(), settings, concurrency, utils: runner.create_utils() })
    }

    async fn enqueue_batch(&self, from: u64, count: u64) -> anyhow::Result<()> {
        let spec = JobSpec::default();
        let jobs: Vec<_> = (from..from + count).map(|number| (Measure::new(number), &spec)).collect();
        self.utils.add_jobs(&jobs).await?;
        Ok(())
    }

    async fn enqueue_single(&self, number: u64) -> anyhow::Result<()> {
        self.utils.add_job(Measure::new(number), JobSpec::default()).await?;
        Ok(())
    }

    async fn prepare(&self, board: Arc<Board>) -> anyhow::Result<Start<Self::Worker>> {
        let options = Self::options(&self.url, self.settings, self.concurrency);
        let runner = options.add_extension(Arc::clone(&board)).init().await?;
        Ok(Box::new(move || {
            tokio::spawn(async move {
                match runner.run().await {
                    Ok(()) => board.worker_ended("in good order"),
                    Err(err) => board.worker_ended(err),
                }
            })
        }))
    }
}
