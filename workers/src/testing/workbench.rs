//! Where a test performs jobs: one worker that takes them one at a time, in the test's own process.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use apalis_core::task::{builder::TaskBuilder, task_fn::task_fn};
use jobs::{
    JobId, Scope, Wake, inspect,
    kinds::{Kind, Kinds, Services, new_job},
    queue::{Claimed, Fate, NewJob, enqueue},
    stations::Station,
    testing::{TestDatabase, claim_job, newest_key, queued},
    workers::{NewWorker, register},
};
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service};
use uuid::Uuid;

use super::Performed;
use crate::{
    dispatch::{Room, dispatch},
    engine::{finisher::Finisher, outage::Outage},
    flights::{Boarded, Flights},
    layers::{fate::fate_of, guards},
};

/// How much longer a lease is than the time limit it must outlast.
const LEASE_SPARE: Duration = Duration::from_secs(60);

/// See the module.
///
/// ```no_run
/// # use jobs::{kinds::{Kinds, post_chat::PostChat}, queue::Fate, testing::{TestDatabase, services}};
/// # use workers::testing::Workbench;
/// # async fn example() {
/// let db = TestDatabase::new().await;
/// let workbench = Workbench::new(&db, Kinds::released(), services()).await;
/// let post = PostChat { channel: "ops".to_owned(), thread: None, text: "all well".to_owned(), audit_id: None };
/// let performed = workbench.perform(&post).await;
/// assert!(matches!(performed.fate, Fate::Retry { .. }));
/// # }
/// ```
#[derive(Debug)]
pub struct Workbench {
    pub(super) db: TestDatabase,
    pub(super) kinds: Arc<Kinds>,
    services: Arc<Services>,
    pub(super) worker: Uuid,
    time_limit: Option<Duration>,
}

impl Workbench {
    /// A workbench for these kinds, registered as a worker.
    pub async fn new(db: &TestDatabase, kinds: Kinds, services: Arc<Services>) -> Self {
        let worker = Uuid::now_v7();
        let newcomer = NewWorker {
            id: worker,
            name: "workbench".to_owned(),
            pid: i32::try_from(std::process::id()).unwrap_or(0),
            queues: Vec::new(),
            kinds: kinds.names(),
            concurrency: 1,
            isolated: false,
        };
        register(&db.database, &newcomer).await.expect("the test cluster answers");
        Self { db: db.clone(), kinds: Arc::new(kinds), services, worker, time_limit: None }
    }

    /// Gives every attempt this long instead of what its kind may take, so that a test of a time limit needn't wait.
    #[must_use]
    pub fn with_time_limit(self, limit: Duration) -> Self {
        Self { time_limit: Some(limit), ..self }
    }

    /// Enqueues a job of no station and performs its first attempt.
    ///
    /// # Panics
    /// When its kind isn't among the workbench's.
    pub async fn perform<K: Kind>(&self, payload: &K) -> Performed {
        let job = new_job(payload, None).expect("the payload is JSON");
        self.perform_job(self.enqueue(job).await).await
    }

    /// Enqueues a job of `station` and performs its first attempt.
    ///
    /// # Panics
    /// When its kind isn't among the workbench's.
    pub async fn perform_for<K: Kind>(&self, station: &Station, payload: &K) -> Performed {
        let job = new_job(payload, Some(station.id)).expect("the payload is JSON");
        self.perform_job(self.enqueue(job).await).await
    }

    /// Performs the next attempt of a job that waits, whether its time has come or not.
    ///
    /// # Panics
    /// When it doesn't wait, or its kind isn't among the workbench's.
    pub async fn perform_job(&self, job: JobId) -> Performed {
        let claimed = claim_job(&self.db, self.worker, self.lease(), job).await;
        self.run(claimed).await
    }

    /// Enqueues a job; one whose key is taken is the one that holds it.
    pub async fn enqueue(&self, job: NewJob) -> JobId {
        let mut tx = self.db.begin().await;
        let enqueued = enqueue(&mut tx, &[job]).await.expect("the job is well-formed");
        tx.commit().await.expect("the test cluster answers");
        enqueued[0].id
    }

    /// No attempt outlasts it: nobody renews.
    pub(super) fn lease(&self) -> Duration {
        let limits = self.kinds.names().into_iter().filter_map(|name| Some(self.kinds.get(&name)?.policy.time_limit));
        limits.chain(self.time_limit).max().unwrap_or_default() + LEASE_SPARE
    }

    /// Runs a claimed job to its end and writes down what came of it.
    pub(super) async fn run(&self, claimed: Claimed) -> Performed {
        let (id, attempt, kind) = (claimed.id, claimed.attempt, claimed.kind.to_string());
        let entry =
            self.kinds.get(&kind).unwrap_or_else(|| panic!("no kind {kind:?} on this workbench: add it to its kinds"));
        let time_limit = self.time_limit.unwrap_or(entry.policy.time_limit);
        let newest = newest_key(&self.db).await;
        let fate = self.write_fate(claimed, time_limit).await;
        let enqueued = queued(&self.db).await.into_iter().filter(|job| job.id.key() > newest).collect();
        let found = inspect::job(&self.db.database, Scope::Fleet, id).await.expect("the test cluster answers");
        let state = found.expect("a job that ran is kept").job.state;
        Performed { id, kind, attempt, fate, state, enqueued }
    }

    async fn write_fate(&self, claimed: Claimed, time_limit: Duration) -> Fate {
        let flights = Flights::default();
        let (kinds, database) = (Arc::clone(&self.kinds), self.db.database.clone());
        let (results, finisher) = Finisher::new(database, flights.clone(), kinds, Outage::new(), 1, 1);
        let (claimed, flight) =
            flights.board(vec![claimed], |_| time_limit, Instant::now()).pop().expect("what boards is answered");
        let boarded = Boarded { claimed, flight: Arc::clone(&flight), room: None, slot: None };
        let room = self.room();
        let mut handler = guards().layer(task_fn(move |job| dispatch(job, Arc::clone(&room))));
        let fate = fate_of(&flight, handler.call(TaskBuilder::new(boarded).build())).await;
        results.settle(&flight, fate.clone()).await;
        drop(results);
        finisher.run(CancellationToken::new()).await;
        if flights.counters.stale.load(Ordering::Relaxed) > 0 { Fate::Stale } else { fate }
    }

    fn room(&self) -> Arc<Room> {
        Arc::new(Room {
            kinds: (*self.kinds).clone(),
            services: Arc::clone(&self.services),
            database: self.db.database.clone(),
            wake: Wake::silent(),
        })
    }
}
