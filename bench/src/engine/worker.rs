//! A worker of the engine inside this process: all the parts of `vtoc-worker`, on threads and a runtime of their own, so
//! that whoever measures doesn't get in their way.

use std::sync::Arc;

use agents::{
    chat::Chat,
    outbound::{Client, Policy},
};
use anyhow::Context;
use jobs::installation;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use workers::{Config, Counters, Limits, Role, run};

use super::kinds;

/// A worker that runs.
#[derive(Debug)]
pub(crate) struct InProcess {
    stop: CancellationToken,
    thread: std::thread::JoinHandle<anyhow::Result<()>>,
}

impl InProcess {
    /// Starts it.
    pub(crate) fn start(url: &str, concurrency: usize) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let (url, stopped) = (url.to_owned(), stop.clone());
        let thread = std::thread::Builder::new().name("worker".to_owned()).spawn(move || {
            // As many threads as `vtoc-worker` has.
            let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).max(2);
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
            runtime.block_on(serve(config(url, concurrency), Role::Member, stopped))?;
            Ok(())
        })?;
        Ok(Self { stop, thread })
    }

    /// Lets it end its jobs and waits until it has.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await?;
        joined.map_err(|_| anyhow::anyhow!("the worker panicked"))?.context("the worker")
    }
}

/// The settings of an ordinary worker: the defaults, and nobody for suspects, since nobody dies.
pub(super) fn config(url: String, concurrency: usize) -> Config {
    Config {
        database_url: url,
        queues: vec!["default".to_owned()],
        concurrency,
        limits: Limits::default(),
        isolation: None,
        poll_only: false,
        worker_id: Uuid::now_v7(),
    }
}

/// Runs a worker until `stop`; answers with what it counted.
pub(super) async fn serve(config: Config, role: Role, stop: CancellationToken) -> anyhow::Result<Arc<Counters>> {
    // No job of the benchmark calls out.
    let nobody = "http://127.0.0.1:9/chatkit".parse().context("an address")?;
    let chat = Chat::new(Client::new(Policy::default())?, nobody, String::new(), None);
    let services = installation::services(installation::files(None), chat)?;
    run(config, kinds::known(), services, role, stop).await
}
