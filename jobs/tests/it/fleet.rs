//! A fleet in miniature: one database, one worker process that never runs anything, and the verbs of the queue in the
//! fewest words. What a test asserts is in the test.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use jobs::{
    Database, Tx, Wake,
    queue::{
        Attempt, Claim, Claimed, Dedupe, Ending, Enqueued, NewJob, Outcome,
        claim::{claim, claim_suspect},
        enqueue,
        finish::finish,
        sweep::{Swept, sweep},
    },
    testing::TestDatabase,
    workers::{self, NewWorker},
};
use serde_json::json;
use uuid::Uuid;

/// The fleet's lease; tests move the clock past it.
pub(crate) const LEASE: Duration = Duration::from_secs(30);
const QUEUE: &str = "bench";
const KIND: &str = "weigh";

pub(crate) struct Fleet {
    pub(crate) base: TestDatabase,
    pub(crate) worker: Uuid,
    clock_s: AtomicI64,
}

impl Fleet {
    pub(crate) async fn new() -> Self {
        let base = TestDatabase::new().await;
        let mut fleet = Self { base, worker: Uuid::nil(), clock_s: AtomicI64::new(0) };
        fleet.worker = fleet.process().await;
        fleet
    }

    pub(crate) fn database(&self) -> &Database {
        &self.base.database
    }

    /// Registers one more worker process.
    pub(crate) async fn process(&self) -> Uuid {
        let id = Uuid::now_v7();
        let new = NewWorker {
            id,
            name: format!("host:{id}"),
            pid: 1,
            queues: vec![QUEUE.to_owned()],
            kinds: vec![KIND.to_owned()],
            concurrency: 8,
            isolated: false,
        };
        workers::register(self.database(), &new).await.unwrap();
        id
    }

    /// A transaction over the whole control plane, as callers of `enqueue` have one.
    pub(crate) async fn begin(&self) -> Tx {
        self.base.begin().await
    }

    pub(crate) async fn enqueue(&self, jobs: &[NewJob]) -> Vec<Enqueued> {
        let mut tx = self.begin().await;
        let enqueued = enqueue(&mut tx, jobs).await.unwrap();
        tx.commit().await.unwrap();
        enqueued
    }

    pub(crate) async fn claim(&self, limit: u32) -> Vec<Claimed> {
        self.claim_as(self.worker, limit).await
    }

    pub(crate) async fn claim_as(&self, worker: Uuid, limit: u32) -> Vec<Claimed> {
        claim(self.database(), &wish(worker, limit)).await.unwrap()
    }

    pub(crate) async fn claim_suspect_as(&self, worker: Uuid) -> Option<Claimed> {
        claim_suspect(self.database(), &wish(worker, 1)).await.unwrap()
    }

    /// Enqueues one job and claims it.
    pub(crate) async fn running(&self, job: NewJob) -> Claimed {
        self.enqueue(&[job]).await;
        self.claim(1).await.remove(0)
    }

    pub(crate) fn attempt(&self, claimed: &Claimed) -> Attempt {
        Attempt::new(claimed, self.database().clone(), Wake::silent())
    }

    pub(crate) async fn finish(&self, outcomes: &[Outcome]) -> HashSet<(i64, i64)> {
        finish(self.database(), outcomes, &[]).await.unwrap()
    }

    pub(crate) async fn sweep(&self) -> Swept {
        sweep(self.database(), LEASE, true).await.unwrap()
    }

    /// Lets `seconds` pass on the queue's clock.
    pub(crate) async fn pass(&self, seconds: i64) {
        let ahead = self.clock_s.fetch_add(seconds, Ordering::SeqCst) + seconds;
        self.base.set_clock_ahead(ahead).await;
    }

    /// Ready, running and finished jobs.
    pub(crate) async fn census(&self) -> (i64, i64, i64) {
        let count = async |table: &str| self.base.count(&format!("select count(*) from vtoc.{table}")).await;
        (count("job_ready").await, count("job_running").await, count("job_finished").await)
    }

    /// How the job ended, if it did.
    pub(crate) async fn end_of(&self, key: i64) -> Option<String> {
        self.base.text(&format!("select state from vtoc.job_finished where id = {key}")).await
    }
}

pub(crate) fn wish(worker: Uuid, limit: u32) -> Claim<'static> {
    static QUEUES: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| vec![QUEUE.to_owned()]);
    static KINDS: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| vec![KIND.to_owned()]);
    Claim { worker, queues: &QUEUES, kinds: &KINDS, limit, lease: LEASE }
}

/// The queue and kind of [`job`].
pub(crate) fn lane() -> (Vec<String>, Vec<String>) {
    (vec![QUEUE.to_owned()], vec![KIND.to_owned()])
}

/// A job that may run at once.
pub(crate) fn job() -> NewJob {
    NewJob {
        queue: QUEUE.to_owned(),
        kind: KIND.to_owned(),
        station: None,
        priority: 0,
        delay: Duration::ZERO,
        attempts_max: 25,
        dedupe: None,
        parent: None,
        trace_parent: None,
        payload: json!({}),
    }
}

pub(crate) fn keyed(key: &str, keep_for: Option<Duration>) -> NewJob {
    NewJob { dedupe: Some(Dedupe { key: key.to_owned(), keep_for }), ..job() }
}

pub(crate) fn ended(claimed: &Claimed, ending: Ending) -> Outcome {
    Outcome { held: claimed.held.clone(), ending }
}

/// A result that comes under a token of no lease.
pub(crate) fn stale(claimed: &Claimed, ending: Ending) -> Outcome {
    let mut outcome = ended(claimed, ending);
    outcome.held.token += 1_000;
    outcome
}

pub(crate) fn done(claimed: &Claimed) -> Outcome {
    ended(claimed, Ending::Done(None))
}
