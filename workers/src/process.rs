//! One worker process: builds its parts, runs until it is told to stop, drains, and leaves nothing running behind.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use apalis::layers::catch_panic::CatchPanicLayer;
use apalis_core::worker::{builder::WorkerBuilder, ext::parallelize::ParallelizeExt};
use jobs::{
    Database, Wake,
    kinds::{Kinds, Services},
    workers::NewWorker,
};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    backend::Claims,
    config::{Config, pool},
    dispatch::{Room, dispatch},
    engine::{
        Engine,
        claimer::Claimer,
        finisher::{Finisher, Results},
        lookout::Lookout,
        outage::Outage,
        renewer::Renewer,
        sweeper::Sweeper,
    },
    flights::{Boarded, Counters, Flights},
    isolation::Suspects,
    layers::{fate::FateLayer, panic::caught, time_limit::TimeLimitLayer, trace::TraceLayer},
};

/// How long a process that stops waits for the database to take its last results.
const LAST_WRITES: Duration = Duration::from_secs(3);

/// What a process is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Drains its queues until it is stopped.
    Member,
    /// Runs one suspect and ends.
    Isolated,
}

/// Runs a worker process until `stop`, in a multi-threaded runtime whose threads the handlers may use. Returns when its
/// jobs have ended or were given back, and their results are written.
///
/// # Errors
/// When the process can't be set up: a malformed URL, or no thread. A database that is away is waited for.
pub async fn run(
    config: Config,
    kinds: Kinds,
    services: Services,
    role: Role,
    stop: CancellationToken,
) -> anyhow::Result<Arc<Counters>> {
    let kinds = Arc::new(kinds);
    let flights = Flights::default();
    let outage = Outage::new();
    let engine_database = Database::connect_lazy(&config.database_url, &pool("vtoc-worker-engine", 4, &config.limits))?;
    let handler_connections = u32::try_from(config.concurrency).unwrap_or(u32::MAX).clamp(2, 16);
    let room = Room {
        kinds: Kinds::clone(&kinds),
        services: Arc::new(services),
        database: Database::connect_lazy(
            &config.database_url,
            &pool("vtoc-worker-jobs", handler_connections, &config.limits),
        )?,
        wake: Wake::start(&config.database_url, &pool("vtoc-worker-wake", 1, &config.limits))?,
    };
    let capacity = config.concurrency.max(config.limits.finish_max);
    let (results, finisher) = Finisher::new(
        engine_database.clone(),
        flights.clone(),
        Arc::clone(&kinds),
        outage.clone(),
        config.limits.finish_max,
        capacity,
    );
    let ended = CancellationToken::new();
    let parts = Parts {
        config,
        kinds,
        flights: flights.clone(),
        outage,
        database: engine_database,
        stop,
        ended: ended.clone(),
        results,
    };
    let renewer = parts.start_renewer()?;
    let (jobs, lane) = mpsc::channel(parts.config.concurrency);
    let engine = parts.start_engine(finisher, jobs, role)?;
    parts.work(lane, room).await?;
    // Every sender of results is gone with the worker and the claimer, so the finisher ends when all is written.
    let stop = parts.stop.clone();
    stop.cancel();
    drop(parts);
    if tokio::time::timeout(LAST_WRITES, joined(engine)).await.is_err() {
        tracing::error!(
            jobs = flights.len(),
            "results can't be written: the database is away; their jobs run again when their leases end"
        );
    }
    ended.cancel();
    let _ = tokio::time::timeout(LAST_WRITES, joined(renewer)).await;
    Ok(flights.counters)
}

/// Waits for a thread without holding one of the runtime's.
async fn joined(thread: std::thread::JoinHandle<()>) {
    let joining = tokio::task::spawn_blocking(move || thread.join());
    if !matches!(joining.await, Ok(Ok(()))) {
        tracing::error!("a thread of this process panicked");
    }
}

/// What the parts of a process share.
struct Parts {
    config: Config,
    kinds: Arc<Kinds>,
    flights: Flights,
    outage: Outage,
    database: Database,
    stop: CancellationToken,
    ended: CancellationToken,
    results: Results,
}

impl Parts {
    fn start_renewer(&self) -> anyhow::Result<std::thread::JoinHandle<()>> {
        let renewer = Renewer {
            url: self.config.database_url.clone(),
            options: pool("vtoc-worker-renewer", 1, &self.config.limits),
            worker: self.config.worker_id,
            limits: self.config.limits,
            flights: self.flights.clone(),
            outage: self.outage.clone(),
            ended: self.ended.clone(),
        };
        let threads = tokio::runtime::Handle::current().metrics().num_workers();
        renewer.start(Arc::clone(&self.kinds), threads).context("no thread for the renewer")
    }

    /// Runs claimer, lookout, sweeper and finisher on a thread of their own.
    fn start_engine(
        &self,
        finisher: Finisher,
        jobs: mpsc::Sender<Boarded>,
        role: Role,
    ) -> anyhow::Result<std::thread::JoinHandle<()>> {
        let (bell, sweeper_bell) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let engine = Engine {
            claimer: self.claimer(Arc::clone(&bell), jobs),
            sweeper: Sweeper {
                database: self.database.clone(),
                limits: self.config.limits,
                outage: self.outage.clone(),
                bell: Arc::clone(&sweeper_bell),
                stopping: self.stop.clone(),
            },
            lookout: self.lookout(Arc::clone(&bell), sweeper_bell, role),
            listener: (!self.config.poll_only).then(|| {
                (self.config.database_url.clone(), pool("vtoc-worker-listener", 1, &self.config.limits), bell)
            }),
            finisher,
            database: self.database.clone(),
            newcomer: self.newcomer(role),
            role,
            stop: self.stop.clone(),
            ended: self.ended.clone(),
        };
        engine.start().context("no thread for the engine")
    }

    fn claimer(&self, bell: Arc<Notify>, jobs: mpsc::Sender<Boarded>) -> Claimer {
        Claimer {
            database: self.database.clone(),
            worker: self.config.worker_id,
            queues: self.config.queues.clone(),
            kinds: Arc::clone(&self.kinds),
            limits: self.config.limits,
            concurrency: self.config.concurrency,
            flights: self.flights.clone(),
            outage: self.outage.clone(),
            results: self.results.clone(),
            bell,
            slots: Arc::new(Semaphore::new(self.config.concurrency)),
            jobs,
            stopping: self.stop.clone(),
        }
    }

    fn lookout(&self, bell: Arc<Notify>, sweeper: Arc<Notify>, role: Role) -> Lookout {
        let isolation = self.config.isolation.clone().filter(|_| role == Role::Member);
        let suspects = isolation.map(|isolation| {
            Suspects::new(isolation, self.database.clone(), sweeper, self.stop.clone(), self.config.limits.drain)
        });
        Lookout {
            database: self.database.clone(),
            worker: self.config.worker_id,
            queues: self.config.queues.clone(),
            kinds: self.kinds.names(),
            poll: self.config.limits.poll,
            flights: self.flights.clone(),
            outage: self.outage.clone(),
            bell,
            suspects,
            stopping: self.ended.clone(),
        }
    }

    /// Runs the apalis worker until the process is told to stop and its jobs have ended or were called off.
    async fn work(&self, lane: mpsc::Receiver<Boarded>, room: Room) -> anyhow::Result<()> {
        let worker = WorkerBuilder::new(self.config.worker_id.to_string())
            .backend(Claims::new(lane, self.results.clone()))
            .parallelize(tokio::spawn)
            .layer(FateLayer { results: self.results.clone() })
            .layer(TraceLayer)
            .layer(CatchPanicLayer::with_panic_handler(caught))
            .layer(TimeLimitLayer)
            .data(Arc::new(room))
            .build(dispatch);
        let (stop, flights, drain) = (self.stop.clone(), self.flights.clone(), self.config.limits.drain);
        let signal = async move {
            stop.cancelled().await;
            tracing::info!(
                jobs = flights.len(),
                "stopping: no new jobs, and those that run have {} s",
                drain.as_secs()
            );
            tokio::spawn(async move {
                tokio::time::sleep(drain).await;
                flights.stop_all();
            });
            Ok::<(), std::io::Error>(())
        };
        worker.run_until(signal).await.map_err(|error| anyhow::anyhow!("the worker ended: {error}"))
    }

    fn newcomer(&self, role: Role) -> NewWorker {
        let pid = std::process::id();
        let host = nix::unistd::gethostname()
            .map_or_else(|_| "localhost".to_owned(), |name| name.to_string_lossy().into_owned());
        NewWorker {
            id: self.config.worker_id,
            name: format!("{host}:{pid}"),
            pid: i32::try_from(pid).unwrap_or(0),
            queues: self.config.queues.clone(),
            kinds: self.kinds.names(),
            concurrency: i32::try_from(self.config.concurrency).unwrap_or(i32::MAX),
            isolated: role == Role::Isolated,
        }
    }
}
