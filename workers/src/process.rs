//! One worker process: builds its parts, runs until it is told to stop, drains, and leaves nothing running behind.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use apalis_core::worker::{builder::WorkerBuilder, ext::parallelize::ParallelizeExt};
use futures::TryFutureExt;
use jobs::{
    ConnectOptions, Database, Wake,
    kinds::{Kinds, Services},
    queue::{Fate, prune::Detaching},
    workers::NewWorker,
};
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    backend::Claims,
    config::Config,
    dispatch::{Room, dispatch},
    engine::{
        Engine,
        alarm::Alarm,
        claimer::Claimer,
        finisher::{Finisher, Results},
        lookout::Lookout,
        outage::Outage,
        pruner::Pruner,
        renewer::Renewer,
        sharer::Sharer,
        sweeper::Sweeper,
        ticker::Ticker,
    },
    flights::{Boarded, Counters, Flights},
    isolation::Suspects,
    layers::{fate::FateLayer, guards},
};

/// How long a process that stops waits, after the drain, for the database to take its last results.
const LAST_WRITES: Duration = Duration::from_secs(4);
/// How long a job that is called off has to let its thread go.
const HEARD_WITHIN: Duration = Duration::from_secs(1);

/// What a process is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Drains its queues until it is stopped.
    Member,
    /// Runs suspects, one after another, and ends.
    Isolated,
}

/// Runs a worker process until `stop`, in a multi-threaded runtime whose threads the handlers may use. Returns when its
/// jobs have ended or were given back, and their results are written; after `drain` and five seconds more whatever is
/// left has been given back, or runs again when its lease ends.
///
/// # Errors
/// When the process can't be set up: a malformed URL, or no thread. When a part of the engine panicked. A database that is
/// away is waited for.
pub async fn run(
    mut config: Config,
    kinds: Kinds,
    services: Services,
    role: Role,
    stop: CancellationToken,
) -> anyhow::Result<Arc<Counters>> {
    if role == Role::Isolated {
        // Its parent waits for it no longer than its own drain.
        config.limits.drain = config.limits.drain.mul_f64(0.75);
    }
    let drain = config.limits.drain;
    let stopped = tokio::spawn(moment_of(stop.clone()));
    let (parts, finisher, room) = Parts::new(config, kinds, services, stop)?;
    let renewer = parts.start_renewer(role)?;
    let (jobs, claims) = mpsc::channel(parts.config.concurrency + 2 * parts.config.limits.claim_max as usize);
    let engine = parts.start_engine(finisher, jobs, role, room.wake.clone())?;
    // On the runtime's own threads: handlers that are started from outside it would each wake one.
    let working = AbortOnDropHandle::new(tokio::spawn(parts.work(claims, room)));
    tokio::select! {
        worked = working => worked.context("the worker's task")??,
        () = parts.overrun() => parts.abandon().await,
    }
    parts.stop.cancel();
    parts.closing.cancel();
    let deadline = stopped.await? + drain + LAST_WRITES;
    if tokio::time::timeout_at(deadline, joined(engine)).await.is_err() {
        let jobs = parts.flights.len();
        tracing::error!(jobs, "not everything could be written in time: what is left runs again when its lease ends");
    }
    parts.ended.cancel();
    let _ = tokio::time::timeout_at(deadline, joined(renewer)).await;
    if let Some(part) = parts.alarm.raised_by() {
        anyhow::bail!(
            "the {part} panicked: its message stands above; the jobs were given back or run again when their leases end"
        );
    }
    Ok(Arc::clone(&parts.flights.counters))
}

/// When `stop` was asked for.
async fn moment_of(stop: CancellationToken) -> Instant {
    stop.cancelled().await;
    Instant::now()
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
    alarm: Alarm,
    database: Database,
    claims: Database,
    stop: CancellationToken,
    closing: CancellationToken,
    ended: CancellationToken,
    results: Results,
}

impl Parts {
    fn new(
        config: Config,
        kinds: Kinds,
        services: Services,
        stop: CancellationToken,
    ) -> anyhow::Result<(Self, Finisher, Room)> {
        let (url, limits) = (&config.database_url, &config.limits);
        let connections = u32::try_from(config.concurrency).unwrap_or(u32::MAX).clamp(2, 16);
        let room = Room {
            kinds: kinds.clone(),
            services: Arc::new(services),
            database: Database::connect_lazy(url, &config.pool("vtoc-worker-jobs", connections))?,
            wake: Wake::start(url, &config.pool("vtoc-worker-wake", 1))?,
        };
        // Connections of their own: what a server process has planned and cached for claims is of no use for results.
        let apart = |name, connections| Database::connect_lazy(url, &config.pool(name, connections));
        let (database, claims) = (apart("vtoc-worker-engine", 2)?, apart("vtoc-worker-claims", 2)?);
        let (kinds, flights, outage) = (Arc::new(kinds), Flights::default(), Outage::new());
        let capacity = config.concurrency.max(limits.finish_max);
        let (results, finisher) = Finisher::new(
            apart("vtoc-worker-results", 2)?,
            flights.clone(),
            Arc::clone(&kinds),
            outage.clone(),
            limits.finish_max,
            capacity,
        );
        let (closing, ended) = (CancellationToken::new(), CancellationToken::new());
        let alarm = Alarm::new(stop.clone());
        Ok((
            Self { config, kinds, flights, outage, alarm, database, claims, stop, closing, ended, results },
            finisher,
            room,
        ))
    }

    /// Returns when jobs have had their time to end and to hear that they are called off.
    async fn overrun(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(self.config.limits.drain + HEARD_WITHIN).await;
    }

    /// Gives back the jobs of handlers that hold their threads: nobody waits for those.
    async fn abandon(&self) {
        let left = self.flights.unanswered();
        tracing::error!(jobs = left.len(), "handlers hold their threads beyond the drain: their jobs are given back");
        for flight in left {
            self.results.settle(&flight, Fate::Interrupted).await;
        }
    }

    fn start_renewer(&self, role: Role) -> anyhow::Result<std::thread::JoinHandle<()>> {
        let renewer = Renewer {
            url: self.config.database_url.clone(),
            options: self.config.pool("vtoc-worker-renewer", 1),
            worker: self.config.worker_id,
            limits: self.config.limits,
            flights: self.flights.clone(),
            outage: self.outage.clone(),
            ended: self.ended.clone(),
        };
        // A process for one job at a time has nothing left to do once that job can't be stopped.
        let threads = match role {
            Role::Member => tokio::runtime::Handle::current().metrics().num_workers(),
            Role::Isolated => 1,
        };
        renewer.start(Arc::clone(&self.kinds), threads, self.alarm.clone()).context("no thread for the renewer")
    }

    /// Runs claimer, lookout, sweeper, pruner, ticker and finisher on a thread of their own.
    fn start_engine(
        &self,
        finisher: Finisher,
        jobs: mpsc::Sender<Boarded>,
        role: Role,
        wake: Wake,
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
            pruner: self.pruner()?,
            sharer: Sharer {
                database: self.database.clone(),
                queues: self.config.queues.clone(),
                flights: self.flights.clone(),
                outage: self.outage.clone(),
                stopping: self.stop.clone(),
            },
            ticker: Ticker {
                database: self.database.clone(),
                outage: self.outage.clone(),
                wake,
                stopping: self.stop.clone(),
            },
            lookout: self.lookout(Arc::clone(&bell), sweeper_bell, role),
            listener: (!self.config.poll_only)
                .then(|| (self.config.database_url.clone(), self.config.pool("vtoc-worker-listener", 1), bell)),
            finisher,
            database: self.database.clone(),
            newcomer: self.newcomer(role),
            role,
            alarm: self.alarm.clone(),
            stop: self.stop.clone(),
            closing: self.closing.clone(),
            ended: self.ended.clone(),
        };
        engine.start().context("no thread for the engine")
    }

    fn pruner(&self) -> anyhow::Result<Pruner> {
        // Days take longer than the jobs' calls may.
        let ConnectOptions { statement_timeout, deadline, .. } = ConnectOptions::default();
        let options = ConnectOptions { statement_timeout, deadline, ..self.config.pool("vtoc-worker-pruner", 2) };
        Ok(Pruner {
            database: Database::connect_lazy(&self.config.database_url, &options)?,
            detaching: if self.config.poll_only { Detaching::AtOnce } else { Detaching::Concurrently },
            stopping: self.stop.clone(),
        })
    }

    fn claimer(&self, bell: Arc<Notify>, jobs: mpsc::Sender<Boarded>) -> Claimer {
        Claimer {
            database: self.claims.clone(),
            worker: self.config.worker_id,
            queues: self.config.queues.clone(),
            kinds: Arc::clone(&self.kinds),
            limits: self.config.limits,
            concurrency: self.config.concurrency,
            flights: self.flights.clone(),
            outage: self.outage.clone(),
            results: self.results.clone(),
            bell,
            room: Arc::new(Semaphore::new(self.config.concurrency)),
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
    fn work(
        &self,
        lane: mpsc::Receiver<Boarded>,
        room: Room,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + use<> {
        let room = Arc::new(room);
        let worker = WorkerBuilder::new(self.config.worker_id.to_string())
            .backend(Claims::new(lane, self.config.concurrency, self.results.clone()))
            .parallelize(tokio::spawn)
            .layer(FateLayer { results: self.results.clone() })
            .layer(guards())
            .build(move |job| dispatch(job, Arc::clone(&room)));
        let (stop, flights, drain) = (self.stop.clone(), self.flights.clone(), self.config.limits.drain);
        let signal = async move {
            stop.cancelled_owned().await;
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
        worker.run_until(signal).map_err(|error| anyhow::anyhow!("the worker ended: {error}"))
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
