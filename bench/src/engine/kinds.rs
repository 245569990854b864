//! The kinds that are measured: one that does nothing, one that takes a millisecond, one that fails once, and one that
//! notes when it started. All carry some 200 bytes, as a small real job does.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jobs::{
    kinds::{Cx, Failure, Kind, Kinds, Policy, entry, new_job},
    queue::{Backoff, Fate, NewJob},
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// What a job carries.
pub(crate) const FILLER: &str = "two hundred bytes of text, give or take, so that a row weighs what the row of a small real \
    job does, and neither a toy's nor a document's; the rest of it says nothing at all.";

/// No-op jobs that this process has run, for whoever keeps a producer in step; figures are taken from the database.
pub(crate) static RUN: AtomicI64 = AtomicI64::new(0);
/// When each job of [`NoteStart`] started.
static STARTS: Mutex<Vec<(usize, Instant)>> = Mutex::new(Vec::new());

/// Does nothing.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Noop {
    filler: String,
}

impl Kind for Noop {
    const NAME: &'static str = "noop";
    const POLICY: Policy = Policy::effect("default");

    async fn run(self, _: &Cx) -> Result<Fate, Failure> {
        RUN.fetch_add(1, Ordering::Relaxed);
        Ok(Fate::Done(None))
    }
}

/// Takes a millisecond.
#[derive(Debug, Serialize, Deserialize)]
struct Nap {
    filler: String,
}

impl Kind for Nap {
    const NAME: &'static str = "nap";
    const POLICY: Policy = Policy::effect("default");

    async fn run(self, _: &Cx) -> Result<Fate, Failure> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(Fate::Done(None))
    }
}

/// Fails at the first attempt and is tried again at once.
#[derive(Debug, Serialize, Deserialize)]
struct FailOnce {
    filler: String,
}

impl Kind for FailOnce {
    const NAME: &'static str = "fail_once";
    const POLICY: Policy = Policy {
        backoff: Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(10) },
        ..Policy::effect("default")
    };

    async fn run(self, cx: &Cx) -> Result<Fate, Failure> {
        if cx.attempt.held.attempt == 1 {
            Err(anyhow::anyhow!("as it was told to").into())
        } else {
            Ok(Fate::Done(None))
        }
    }
}

/// Notes when it started.
#[derive(Debug, Serialize, Deserialize)]
struct NoteStart {
    number: usize,
    filler: String,
}

impl Kind for NoteStart {
    const NAME: &'static str = "note_start";
    const POLICY: Policy = Policy::effect("default");

    async fn run(self, _: &Cx) -> Result<Fate, Failure> {
        let started = Instant::now();
        STARTS.lock().expect("no holder of this lock panics").push((self.number, started));
        Ok(Fate::Done(None))
    }
}

/// What a worker of the benchmark knows: the released kinds and these.
pub(crate) fn known() -> Kinds {
    Kinds::released().with(entry::<Noop>()).with(entry::<Nap>()).with(entry::<FailOnce>()).with(entry::<NoteStart>())
}

/// A job that does nothing.
pub(crate) fn noop() -> anyhow::Result<NewJob> {
    Ok(new_job(&Noop { filler: FILLER.to_owned() }, None)?)
}

/// A job that takes a millisecond.
pub(crate) fn nap() -> anyhow::Result<NewJob> {
    Ok(new_job(&Nap { filler: FILLER.to_owned() }, None)?)
}

/// A job that fails once.
pub(crate) fn fail_once() -> anyhow::Result<NewJob> {
    Ok(new_job(&FailOnce { filler: FILLER.to_owned() }, None)?)
}

/// The job of that number, whose start [`starts`] tells.
pub(crate) fn note_start(number: usize) -> anyhow::Result<NewJob> {
    Ok(new_job(&NoteStart { number, filler: FILLER.to_owned() }, None)?)
}

/// The starts noted since the last call.
pub(crate) fn starts() -> Vec<(usize, Instant)> {
    std::mem::take(&mut *STARTS.lock().expect("no holder of this lock panics"))
}

/// How many starts are noted.
pub(crate) fn starts_noted() -> usize {
    STARTS.lock().expect("no holder of this lock panics").len()
}
