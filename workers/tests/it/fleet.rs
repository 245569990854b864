//! What a test starts: a database of its own, a receiver, worker processes, and the verbs to feed and watch them.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use jobs::{
    JobId,
    queue::{NewJob, enqueue},
    stations::{Role, Station},
    testing::{TestDatabase, eventually},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::receiver::Receiver;

/// Longest wait for anything in these tests.
pub(crate) const SOON: Duration = Duration::from_secs(40);

pub(crate) struct Fleet {
    pub(crate) db: TestDatabase,
    pub(crate) receiver: Receiver,
    pub(crate) station: Station,
}

/// A worker process; killed with the test.
pub(crate) struct Worker(Child);

impl Fleet {
    pub(crate) async fn new() -> Self {
        let db = TestDatabase::new().await;
        let station = db.station("toc-s1", Role::Ops).await;
        Self { db, receiver: Receiver::start().await, station }
    }

    /// Starts a worker process with kinds that misbehave.
    pub(crate) fn worker(&self) -> Worker {
        self.worker_with(&[])
    }

    pub(crate) fn worker_with(&self, settings: &[(&str, &str)]) -> Worker {
        let program =
            PathBuf::from(env!("CARGO_BIN_EXE_vtoc-worker")).with_file_name("examples").join("troublesome_worker");
        let mut command = Command::new(program);
        command.env("DATABASE_URL", &self.db.url).env("CHATKIT_BASE_URL", &self.receiver.url).env("RUST_LOG", "warn");
        command.envs(settings.iter().copied()).stdin(Stdio::null());
        Worker(command.spawn().expect("cargo builds the examples for the tests"))
    }

    /// Enqueues a job of the test's kinds.
    pub(crate) async fn enqueue(&self, kind: &str, payload: Value) -> JobId {
        self.enqueue_many(kind, vec![payload]).await[0]
    }

    pub(crate) async fn enqueue_many(&self, kind: &str, payloads: Vec<Value>) -> Vec<JobId> {
        let jobs: Vec<NewJob> = payloads.into_iter().map(|payload| self.new_job(kind, payload)).collect();
        let mut tx = self.db.begin().await;
        let enqueued = enqueue(&mut tx, &jobs).await.unwrap();
        tx.commit().await.unwrap();
        enqueued.into_iter().map(|job| job.id).collect()
    }

    /// A job of the test's kinds, to be enqueued.
    pub(crate) fn new_job(&self, kind: &str, payload: Value) -> NewJob {
        NewJob {
            queue: "default".to_owned(),
            kind: kind.to_owned(),
            station: Some(self.station.id),
            priority: 0,
            delay: Duration::ZERO,
            attempts_max: match kind {
                "tell_receiver" => 5,
                "block_thread" | "block_and_return" => 1,
                _ => 3,
            },
            dedupe: None,
            parent: None,
            trace_parent: None,
            payload,
        }
    }

    /// A payload of `tell_receiver`.
    pub(crate) fn tell(&self, takes_ms: u64) -> Value {
        json!({ "url": format!("{}/told", self.receiver.url), "takes_ms": takes_ms })
    }

    /// How many jobs stand in this state of the history.
    pub(crate) async fn finished(&self, state: &str) -> i64 {
        self.db.count(&format!("select count(*) from vtoc.job_finished where state = '{state}'")).await
    }

    /// Waits until so many jobs stand in this state.
    pub(crate) async fn until_finished(&self, state: &str, jobs: i64) {
        eventually(&format!("{jobs} jobs {state}"), SOON, || async { self.finished(state).await == jobs }).await;
    }

    /// Waits until a statement that counts answers at least `least`.
    pub(crate) async fn until(&self, sql: &str, least: i64) {
        eventually(sql, SOON, || async { self.db.count(sql).await >= least }).await;
    }

    /// Whether nothing is left in flight.
    pub(crate) async fn is_quiet(&self) -> bool {
        self.db.count("select (select count(*) from vtoc.job_ready) + (select count(*) from vtoc.job_running)").await
            == 0
    }

    pub(crate) async fn until_quiet(&self) {
        eventually("no job left", SOON, || self.is_quiet()).await;
    }
}

impl Worker {
    /// Waits until it has ended, in good order or not.
    pub(crate) async fn until_ended(&mut self) -> std::process::ExitStatus {
        let started = std::time::Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(started.elapsed() < SOON, "the process doesn't end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
    }

    /// kill -9, and the process is gone.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Whether it has ended, and how.
    pub(crate) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.0.try_wait().unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
