//! Where handlers write down that they started, and workers that they ended. It says when it pays to ask the database; it is never
//! the proof that a job is finished.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shared by all handlers of a run.
#[derive(Debug)]
pub(crate) struct Board {
    opened: Instant,
    work: Duration,
    starts: AtomicU64,
    /// Nanoseconds since `opened` at the first start of each job; 0 while it hasn't started.
    started_ns: Vec<AtomicU64>,
    ended: Mutex<Option<String>>,
}

impl Board {
    /// A board for jobs numbered from 0 to `jobs`, whose handlers sleep for `work`.
    pub(crate) fn new(jobs: u64, work: Duration) -> Arc<Self> {
        let started_ns = (0..jobs).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { opened: Instant::now(), work, starts: AtomicU64::new(0), started_ns, ended: Mutex::new(None) })
    }

    /// What every handler does.
    pub(crate) async fn handle(&self, number: u64) {
        let now_ns = u64::try_from(self.opened.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let slot = usize::try_from(number).ok().and_then(|number| self.started_ns.get(number));
        let first =
            slot.is_some_and(|slot| slot.compare_exchange(0, now_ns, Ordering::Relaxed, Ordering::Relaxed).is_ok());
        if first {
            self.starts.fetch_add(1, Ordering::Relaxed);
        }
        if !self.work.is_zero() {
            tokio::time::sleep(self.work).await;
        }
    }

    /// How many jobs have started at least once.
    pub(crate) fn starts(&self) -> u64 {
        self.starts.load(Ordering::Relaxed)
    }

    /// When a job first started.
    pub(crate) fn started_at(&self, number: usize) -> Option<Instant> {
        match self.started_ns.get(number)?.load(Ordering::Relaxed) {
            0 => None,
            ns => Some(self.opened + Duration::from_nanos(ns)),
        }
    }

    /// A worker that ended before it was asked to says why.
    pub(crate) fn worker_ended(&self, why: impl Display) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_string());
    }

    /// An error once a worker has ended.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        match &*self.ended.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(why) => Err(anyhow::anyhow!("the worker ended: {why}")),
            None => Ok(()),
        }
    }
}
