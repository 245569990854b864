//! What a peer has to be able to do, and which peers this program was built with.

#[cfg(feature = "apalis")]
mod apalis;
#[cfg(feature = "awa")]
mod awa;
#[cfg(feature = "graphile")]
mod graphile;
#[cfg(feature = "river")]
mod river;
#[cfg(feature = "underway")]
mod underway;

use std::sync::Arc;

use crate::args::{Args, Settings};
use crate::board::Board;
use crate::{answer, figure};

/// Why there is no answer.
pub(crate) enum Failure {
    /// The command asks for what isn't there: another peer, or what the peer doesn't do.
    Refused(String),
    /// It was tried and went wrong.
    Broken(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(err: anyhow::Error) -> Self {
        Self::Broken(err)
    }
}

/// Starts a worker that has its connections and knows its kinds, so that the clock doesn't measure those.
pub(crate) type Start<W> = Box<dyn FnOnce() -> W>;

/// How history comes to be there before the clock starts.
#[allow(dead_code, reason = "each peer takes one of them, and not every peer is built in")]
pub(crate) enum History {
    /// The peer keeps no finished jobs.
    None,
    /// This statement turns every waiting job into one that was done.
    Sql(&'static str),
    /// The peer's tables are written by its own worker only.
    Drained,
}

/// One queue, installed in an empty database.
pub(crate) trait Peer: Sized {
    /// A running worker, alive as long as this is held.
    type Worker;

    const VERSION: &'static str;
    const HISTORY: History;
    /// Counts the jobs that the database doesn't hold as finished.
    const UNFINISHED: &'static str;

    /// Handlers at once when the command line doesn't say.
    fn concurrency(settings: Settings) -> u32;

    /// Creates the peer's tables and everything an enqueue needs.
    async fn install(url: &str, settings: Settings, concurrency: u32) -> anyhow::Result<Self>;

    /// Enqueues the jobs numbered `from .. from + count` in one call of the peer's batch API.
    async fn enqueue_batch(&self, from: u64, count: u64) -> anyhow::Result<()>;

    /// Enqueues one job in a transaction of its own.
    async fn enqueue_single(&self, number: u64) -> anyhow::Result<()>;

    /// Makes one worker process' worth of the peer ready; its handlers write on the board.
    async fn prepare(&self, board: Arc<Board>) -> anyhow::Result<Start<Self::Worker>>;

    /// Stops a worker, so that another one may be measured.
    async fn stop(&self, worker: Self::Worker) {
        drop(worker);
    }

    /// How many jobs the database doesn't hold as finished.
    async fn unfinished(&self, database: &mut crate::database::Database) -> anyhow::Result<u64> {
        database.count(Self::UNFINISHED).await
    }
}

/// Measures the peer that the command names.
pub(crate) async fn run(args: &Args) -> Result<String, Failure> {
    match args.peer.as_str() {
        #[cfg(feature = "graphile")]
        "graphile_worker" => run_one::<graphile::Graphile>(args).await,
        #[cfg(feature = "river")]
        "riverqueue" => run_one::<river::River>(args).await,
        #[cfg(feature = "awa")]
        "awa" => run_one::<awa::Awa>(args).await,
        #[cfg(feature = "apalis")]
        "apalis-postgres" => run_one::<apalis::Apalis>(args).await,
        #[cfg(feature = "underway")]
        "underway" => run_one::<underway::Underway>(args).await,
        other => Err(Failure::Refused(format!("unknown peer {other:?}; built in: {}", built_in().join(", ")))),
    }
}

fn built_in() -> Vec<&'static str> {
    [
        ("graphile_worker", cfg!(feature = "graphile")),
        ("riverqueue", cfg!(feature = "river")),
        ("awa", cfg!(feature = "awa")),
        ("apalis-postgres", cfg!(feature = "apalis")),
        ("underway", cfg!(feature = "underway")),
    ]
    .into_iter()
    .filter_map(|(name, built_in)| built_in.then_some(name))
    .collect()
}

async fn run_one<P: Peer>(args: &Args) -> Result<String, Failure> {
    if args.finished > 0 && matches!(P::HISTORY, History::None) {
        return Err(Failure::Refused(format!("{} keeps no finished jobs: --finished has no meaning", args.peer)));
    }
    let concurrency = args.concurrency.unwrap_or_else(|| P::concurrency(args.settings));
    let measured = figure::measure::<P>(args, concurrency).await?;
    answer::line(args, P::VERSION, concurrency, &measured).map_err(|err| Failure::Broken(err.into()))
}
