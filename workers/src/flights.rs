//! Jobs in flight: claimed by this process and not yet written down as ended. The one place where claimer, handlers,
//! finisher and renewer meet.

mod flight;

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jobs::{
    StationId,
    queue::{Claimed, Held},
};
use tokio::sync::{Notify, OwnedSemaphorePermit};

pub(crate) use self::flight::{CalledOff, Flight};
use crate::engine::share::Shares;

/// A claimed job on its way through the handlers. Dropping `room` lets another be claimed, dropping `slot` lets one start.
#[derive(Debug)]
pub(crate) struct Boarded {
    pub(crate) claimed: Claimed,
    pub(crate) flight: Arc<Flight>,
    pub(crate) room: Option<OwnedSemaphorePermit>,
    pub(crate) slot: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Lease {
    jobs: usize,
    renewed: Instant,
}

#[derive(Debug, Default)]
struct State {
    /// By job and token: a job may be back in the process before its last attempt has left.
    flights: HashMap<(i64, i64), Arc<Flight>>,
    leases: HashMap<i64, Lease>,
    /// Handlers that were overruled and may still hold their threads.
    stuck: Vec<Arc<Flight>>,
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
    /// Rung when jobs come on board and none was there.
    busy: Arc<Notify>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) shares: Shares,
}

impl Flights {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Takes claimed jobs on board. `since` is when the claim was sent, so that the lease is never thought longer.
    pub(crate) fn board(
        &self,
        claimed: Vec<Claimed>,
        time_limit: impl Fn(&str) -> Duration,
        since: Instant,
    ) -> Vec<(Claimed, Arc<Flight>)> {
        self.counters.claimed.fetch_add(claimed.len() as u64, Ordering::Relaxed);
        // The jobs of a claim are of few kinds, and side by side.
        let mut last: Option<(Arc<str>, Option<StationId>, f64)> = None;
        let mut state = self.state();
        let board = |claimed: Claimed| {
            let held = &claimed.held;
            state.leases.entry(held.token).or_insert(Lease { jobs: 0, renewed: since }).jobs += 1;
            let known = last.as_ref().filter(|(kind, station, _)| *kind == held.kind && *station == held.station);
            let seconds = known.map_or_else(|| self.shares.counted(&held.kind, held.station), |(.., seconds)| *seconds);
            last = Some((Arc::clone(&held.kind), held.station, seconds));
            let flight = Arc::new(Flight::new(held.clone(), time_limit(&held.kind), seconds));
            state.flights.insert((held.key, held.token), Arc::clone(&flight));
            (claimed, flight)
        };
        let boarded = claimed.into_iter().map(board).collect();
        drop(state);
        self.busy.notify_waiters();
        boarded
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

    /// The jobs' results are written, or refused: they are off board, and with its last job a lease is no longer renewed.
    /// Leaving twice is leaving once.
    pub(crate) fn leave<'a>(&self, jobs: impl IntoIterator<Item = &'a Held>) {
        let mut state = self.state();
        let mut gone = Vec::new();
        for held in jobs {
            let Some(flight) = state.flights.remove(&(held.key, held.token)) else { continue };
            gone.push(flight);
            if let Some(lease) = state.leases.get_mut(&held.token) {
                lease.jobs = lease.jobs.saturating_sub(1);
                if lease.jobs == 0 {
                    state.leases.remove(&held.token);
                }
            }
        }
        drop(state);
        self.shares.count(gone.iter().map(|flight| flight.took(true)));
    }

    /// Counts what running jobs have taken so far, for the shares of their stations.
    pub(crate) fn count(&self) {
        let running: Vec<Arc<Flight>> = self.state().flights.values().cloned().collect();
        self.shares.count(running.iter().map(|flight| flight.took(false)));
    }

    /// Which of these leases have no more jobs on board than so many.
    pub(crate) fn with_at_most(&self, leases: impl Iterator<Item = (i64, usize)>) -> HashSet<i64> {
        let state = self.state();
        let last = |(token, jobs): &(i64, usize)| state.leases.get(token).is_none_or(|lease| lease.jobs <= *jobs);
        leases.filter(last).map(|(token, _)| token).collect()
    }

    /// The tokens to renew.
    pub(crate) fn tokens(&self) -> Vec<i64> {
        self.state().leases.keys().copied().collect()
    }

    /// Notes which of `asked` still stood when they were renewed at `since`, and calls off the jobs of the others.
    pub(crate) fn renewed(&self, asked: &[i64], held: &HashSet<i64>, since: Instant) {
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
    pub(crate) fn overdue(&self, overtime: Duration) -> Vec<Arc<Flight>> {
        let late = |flight: &&Arc<Flight>| {
            !flight.is_landed() && flight.holds_thread() && flight.runs_for() > flight.time_limit + overtime
        };
        self.state().flights.values().filter(late).cloned().collect()
    }

    /// A result was written in place of a handler that holds its thread: the job leaves, the handler stays.
    pub(crate) fn overruled(&self, flight: &Arc<Flight>) {
        self.state().stuck.push(Arc::clone(flight));
        flight.call_off(CalledOff::Lost);
        self.leave([&flight.held]);
    }

    /// How many threads overruled handlers still hold.
    pub(crate) fn stuck(&self) -> usize {
        let mut state = self.state();
        state.stuck.retain(|flight| flight.holds_thread());
        state.stuck.len()
    }

    /// Jobs whose handler hasn't answered.
    pub(crate) fn unanswered(&self) -> Vec<Arc<Flight>> {
        self.state().flights.values().filter(|flight| !flight.is_landed()).cloned().collect()
    }

    /// Tells one job's handler to stop.
    pub(crate) fn cancel(&self, key: i64, reason: &str) {
        for flight in self.state().flights.values().filter(|flight| flight.held.key == key) {
            flight.call_off(CalledOff::Cancelled(reason.to_owned()));
        }
    }

    /// Tells every handler to stop.
    pub(crate) fn stop_all(&self) {
        for flight in self.state().flights.values() {
            flight.call_off(CalledOff::Stopping);
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
        let running = |flight: &&Arc<Flight>| flight.held.token == token && !flight.is_landed();
        self.flights.values().filter(running).fold(false, |any, flight| flight.call_off(why.clone()) | any)
    }
}

/// Jobs for tests of what only looks at them.
#[cfg(test)]
pub(crate) mod sample {
    use std::sync::Arc;

    use jobs::{
        JobId, StationId,
        queue::{Claimed, Held},
    };

    pub(crate) fn claimed(queue: &Arc<str>, kind: &str, station: Option<StationId>) -> Claimed {
        let enqueued_at = "2026-03-04T05:06:07Z".parse().unwrap();
        let held = Held {
            key: 1,
            token: 7,
            batch: 1,
            queue: Arc::clone(queue),
            kind: kind.into(),
            station,
            priority: 0,
            attempt: 1,
            attempts_max: 25,
            keyed: false,
            awaited: false,
        };
        Claimed {
            held,
            id: JobId::new(1, enqueued_at),
            enqueued_at,
            run_at: enqueued_at,
            trace_parent: None,
            payload: serde_json::value::to_raw_value(&()).unwrap(),
        }
    }
}
