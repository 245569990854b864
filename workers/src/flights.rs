//! Jobs in flight: claimed by this process and not yet written down as ended. The one place where claimer, handlers,
//! finisher and renewer meet.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jobs::queue::{Claimed, Fate};
use tokio::sync::{Notify, OwnedSemaphorePermit, watch};

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

/// A claimed job on its way through the handlers. Dropping `slot` frees one.
#[derive(Debug)]
pub(crate) struct Boarded {
    pub(crate) claimed: Claimed,
    pub(crate) called_off: watch::Receiver<Option<CalledOff>>,
    pub(crate) slot: Option<OwnedSemaphorePermit>,
    pub(crate) time_limit: Duration,
    /// Whether the handler holds a thread at this moment.
    pub(crate) on_thread: OnThread,
}

/// Whether a handler is being polled, and so holds a thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct OnThread(Arc<AtomicBool>);

impl OnThread {
    /// Polls `work`, visibly.
    pub(crate) async fn show<F: Future>(self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(move |cx| {
            self.0.store(true, Ordering::Release);
            let polled = work.as_mut().poll(cx);
            self.0.store(false, Ordering::Release);
            polled
        })
        .await
    }

    fn holds(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What is known of a job wherever its result is decided.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) key: i64,
    pub(crate) token: i64,
    pub(crate) kind: String,
    pub(crate) attempt: i16,
    pub(crate) attempts_max: i16,
}

impl Facts {
    pub(crate) fn of(claimed: &Claimed) -> Self {
        let Claimed { key, token, kind, attempt, attempts_max, .. } = claimed;
        Self { key: *key, token: *token, kind: kind.clone(), attempt: *attempt, attempts_max: *attempts_max }
    }
}

#[derive(Debug)]
struct Flight {
    facts: Facts,
    started: Instant,
    time_limit: Duration,
    /// The handler has answered; its result waits to be written.
    landed: bool,
    on_thread: OnThread,
    call_off: watch::Sender<Option<CalledOff>>,
}

#[derive(Debug)]
struct Lease {
    jobs: usize,
    renewed: Instant,
}

#[derive(Debug, Default)]
struct State {
    /// By job and token: a job may be back in the process before its last attempt has left.
    flights: HashMap<(i64, i64), Flight>,
    leases: HashMap<i64, Lease>,
    /// Handlers that were overruled and may still hold their threads.
    stuck: Vec<OnThread>,
}

/// What the process counts.
#[derive(Debug, Default)]
pub struct Counters {
    /// `vtoc_stale_attempts_total`: results refused because their lease was gone.
    pub stale: AtomicU64,
    /// Jobs claimed.
    pub claimed: AtomicU64,
    /// Results written.
    pub finished: AtomicU64,
    /// Leases given up because they couldn't be renewed in time.
    pub fenced: AtomicU64,
}

/// The registry. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flights {
    state: Arc<Mutex<State>>,
    /// Rung when a job comes on board and none was there.
    busy: Arc<Notify>,
    pub(crate) counters: Arc<Counters>,
}

impl Flights {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Takes claimed jobs on board. `since` is when the claim was sent, so that the lease is never thought longer.
    pub(crate) fn board(
        &self,
        claimed: Claimed,
        slot: OwnedSemaphorePermit,
        time_limit: Duration,
        since: Instant,
    ) -> Boarded {
        let (call_off, called_off) = watch::channel(None);
        let mut state = self.state();
        state.leases.entry(claimed.token).or_insert(Lease { jobs: 0, renewed: since }).jobs += 1;
        let (facts, on_thread) = (Facts::of(&claimed), OnThread::default());
        let flight = Flight {
            facts,
            started: Instant::now(),
            time_limit,
            landed: false,
            on_thread: on_thread.clone(),
            call_off,
        };
        if state.flights.is_empty() {
            self.busy.notify_waiters();
        }
        state.flights.insert((claimed.key, claimed.token), flight);
        self.counters.claimed.fetch_add(1, Ordering::Relaxed);
        Boarded { claimed, called_off, slot: Some(slot), time_limit, on_thread }
    }

    /// Returns at once while a job is on board, and otherwise when one comes.
    pub(crate) async fn busy(&self) {
        let mut rung = pin!(self.busy.notified());
        // Listens before it looks, so that no job comes unseen in between.
        rung.as_mut().enable();
        if self.len() == 0 {
            rung.await;
        }
    }

    /// The handler has answered. The lease is kept until the result is written.
    pub(crate) fn land(&self, key: i64, token: i64) {
        if let Some(flight) = self.state().flights.get_mut(&(key, token)) {
            flight.landed = true;
        }
    }

    /// The job's result is written, or refused: it is off board, and with its last job a lease is no longer renewed.
    /// Leaving twice is leaving once.
    pub(crate) fn leave(&self, key: i64, token: i64) {
        let mut state = self.state();
        if state.flights.remove(&(key, token)).is_none() {
            return;
        }
        if let Some(lease) = state.leases.get_mut(&token) {
            lease.jobs = lease.jobs.saturating_sub(1);
            if lease.jobs == 0 {
                state.leases.remove(&token);
            }
        }
    }

    /// The tokens to renew.
    pub(crate) fn tokens(&self) -> Vec<i64> {
        self.state().leases.keys().copied().collect()
    }

    /// Notes which of `asked` still stood when they were renewed at `since`, and calls off the jobs of the others.
    pub(crate) fn renewed(&self, asked: &[i64], held: &std::collections::HashSet<i64>, since: Instant) {
        let mut state = self.state();
        for token in asked {
            if held.contains(token) {
                if let Some(lease) = state.leases.get_mut(token) {
                    lease.renewed = since;
                }
            } else {
                state.call_off(*token, &CalledOff::Lost);
            }
        }
    }

    /// Gives up what couldn't be renewed within `fence`. Answers how many leases.
    pub(crate) fn fence(&self, fence: Duration) -> u64 {
        let mut state = self.state();
        let late: Vec<i64> =
            state.leases.iter().filter(|(_, lease)| lease.renewed.elapsed() > fence).map(|(token, _)| *token).collect();
        let given_up = late.iter().filter(|token| state.call_off(**token, &CalledOff::Fenced)).count() as u64;
        self.counters.fenced.fetch_add(given_up, Ordering::Relaxed);
        given_up
    }

    /// Jobs whose handler holds its thread `overtime` after its time limit. One that waits for a thread is not to blame.
    pub(crate) fn overdue(&self, overtime: Duration) -> Vec<Facts> {
        let late = |flight: &&Flight| {
            !flight.landed && flight.on_thread.holds() && flight.started.elapsed() > flight.time_limit + overtime
        };
        self.state().flights.values().filter(late).map(|flight| flight.facts.clone()).collect()
    }

    /// A result was written in place of a handler that holds its thread: the job leaves, the handler stays.
    pub(crate) fn overruled(&self, facts: &Facts) {
        let mut state = self.state();
        if let Some(flight) = state.flights.get(&(facts.key, facts.token)) {
            let on_thread = flight.on_thread.clone();
            state.stuck.push(on_thread);
        }
        drop(state);
        self.leave(facts.key, facts.token);
    }

    /// How many threads overruled handlers still hold.
    pub(crate) fn stuck(&self) -> usize {
        let mut state = self.state();
        state.stuck.retain(OnThread::holds);
        state.stuck.len()
    }

    /// Jobs whose handler hasn't answered.
    pub(crate) fn unanswered(&self) -> Vec<Facts> {
        self.state().flights.values().filter(|flight| !flight.landed).map(|flight| flight.facts.clone()).collect()
    }

    /// Tells one job's handler to stop.
    pub(crate) fn cancel(&self, key: i64, reason: &str) {
        for flight in self.state().flights.values().filter(|flight| flight.facts.key == key) {
            flight.call_off.send_replace(Some(CalledOff::Cancelled(reason.to_owned())));
        }
    }

    /// Tells every handler to stop.
    pub(crate) fn stop_all(&self) {
        for flight in self.state().flights.values() {
            flight.call_off.send_if_modified(|called_off| {
                let first = called_off.is_none();
                called_off.get_or_insert(CalledOff::Stopping);
                first
            });
        }
    }

    /// How many jobs are on board.
    pub(crate) fn len(&self) -> usize {
        self.state().flights.len()
    }
}

impl State {
    /// Calls off the running jobs of a lease that is gone or going; true when there was one.
    fn call_off(&mut self, token: i64, why: &CalledOff) -> bool {
        let mut any = false;
        for flight in self.flights.values().filter(|flight| flight.facts.token == token && !flight.landed) {
            any |= flight.call_off.send_if_modified(|called_off| {
                let first = called_off.is_none();
                called_off.get_or_insert_with(|| why.clone());
                first
            });
        }
        any
    }
}
