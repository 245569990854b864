//! One job on board: when it began and ended, what it is counted with, and how it is called off.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jobs::queue::{Fate, Held};
use tokio::sync::Notify;

use crate::engine::share::Took;

/// Why a running job's future is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CalledOff {
    /// Somebody cancelled the job.
    Cancelled(String),
    /// The process is stopping.
    Stopping,
    /// The lease couldn't be renewed in time: the job is given up before somebody else may take it.
    Fenced,
    /// The lease is gone.
    Lost,
}

impl CalledOff {
    pub(crate) fn fate(self) -> Fate {
        match self {
            Self::Cancelled(reason) => Fate::Cancel(reason),
            Self::Stopping | Self::Fenced => Fate::Interrupted,
            Self::Lost => Fate::Stale,
        }
    }
}

/// A job on board, as claimer, handler, renewer and finisher see it.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) held: Held,
    pub(crate) time_limit: Duration,
    boarded: Instant,
    /// When its handler began and when it answered, in µs from when it came on board; 0 before.
    began: AtomicU64,
    ended: AtomicU64,
    /// What it was counted with in its station's share, in µs.
    counted: AtomicU64,
    /// The handler has answered; its result waits to be written.
    landed: AtomicBool,
    /// The handler is being polled, and so holds a thread.
    on_thread: AtomicBool,
    called_off: Mutex<Option<CalledOff>>,
    ring: Notify,
}

impl Flight {
    pub(super) fn new(held: Held, time_limit: Duration, counted: f64) -> Self {
        Self {
            held,
            time_limit,
            boarded: Instant::now(),
            began: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            counted: AtomicU64::new(in_micros(counted)),
            landed: AtomicBool::new(false),
            on_thread: AtomicBool::new(false),
            called_off: Mutex::new(None),
            ring: Notify::new(),
        }
    }

    /// Polls `work`, visibly.
    pub(crate) async fn show<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(move |cx| {
            self.on_thread.store(true, Ordering::Release);
            let polled = work.as_mut().poll(cx);
            self.on_thread.store(false, Ordering::Release);
            polled
        })
        .await
    }

    /// The handler begins: from now on the job takes a slot's time.
    pub(crate) fn begin(&self) {
        self.began.store(self.now(), Ordering::Relaxed);
    }

    /// Time on board, in µs; never 0.
    fn now(&self) -> u64 {
        u64::try_from(self.boarded.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// How long its handler has been running; a job that waits for it has not begun.
    pub(super) fn runs_for(&self) -> Duration {
        match self.began.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            began => Duration::from_micros(self.now().saturating_sub(began)),
        }
    }

    /// What it took of its slot, for its station's share; of one that runs, so far and no less than was thought.
    pub(super) fn took(&self, gone: bool) -> Took<'_> {
        let (began, ended) = (self.began.load(Ordering::Relaxed), self.ended.load(Ordering::Relaxed));
        let until = if ended == 0 { self.now() } else { ended };
        let mut took = if began == 0 { 0 } else { until.saturating_sub(began).max(1) };
        let counted = self.counted.load(Ordering::Relaxed);
        if !gone && ended == 0 {
            took = took.max(counted);
        }
        self.counted.store(took, Ordering::Relaxed);
        let (queue, kind) = (&self.held.queue, &self.held.kind);
        let (counted, took) = (in_seconds(counted), in_seconds(took));
        Took { queue, station: self.held.station, kind, counted, took, ended: ended != 0 && began != 0 && gone }
    }

    /// The handler has answered. The lease is kept until the result is written.
    pub(crate) fn land(&self) {
        self.ended.store(self.now(), Ordering::Relaxed);
        self.landed.store(true, Ordering::Release);
    }

    /// Why the job is to stop, if it is.
    pub(crate) fn called_off(&self) -> Option<CalledOff> {
        self.called_off.lock().expect("no holder of this lock panics").clone()
    }

    /// Waits until the job is to stop.
    pub(crate) async fn until_called_off(&self) -> CalledOff {
        loop {
            // Before the look, so that no ring is missed between the two.
            let ringing = self.ring.notified();
            if let Some(why) = self.called_off() {
                return why;
            }
            ringing.await;
        }
    }

    /// Tells the handler to stop, unless it was told before.
    pub(super) fn call_off(&self, why: CalledOff) -> bool {
        let mut called_off = self.called_off.lock().expect("no holder of this lock panics");
        if called_off.is_some() {
            return false;
        }
        *called_off = Some(why);
        drop(called_off);
        self.ring.notify_one();
        true
    }

    pub(super) fn is_landed(&self) -> bool {
        self.landed.load(Ordering::Acquire)
    }

    pub(super) fn holds_thread(&self) -> bool {
        self.on_thread.load(Ordering::Acquire)
    }
}

fn in_micros(seconds: f64) -> u64 {
    u64::try_from(Duration::from_secs_f64(seconds).as_micros()).unwrap_or(u64::MAX)
}

fn in_seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}
