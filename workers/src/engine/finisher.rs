//! The finisher: gathers results and writes them in batches. It keeps what it couldn't write until it can: a database that
//! is away neither loses a result nor ends the process. Its channel is bounded, so a long outage stops new claims.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use jobs::{
    Database, Error,
    kinds::Kinds,
    queue::{Ending, Fate, Held, Outcome, finish, lease},
};
use tokio::{sync::mpsc, time::sleep_until};
use tokio_util::sync::CancellationToken;

use super::outage::Outage;
use crate::flights::{Flight, Flights};

/// Waits between tries while the database is away, at most.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How the error of a job begins whose result the database can't take.
const UNSTORABLE: &str = "its result can't be stored";

/// How long results wait for the next one of their lease: one that ends as a whole is written with the least work.
const HOLD: Duration = Duration::from_millis(5);
/// How long they wait while others keep coming.
const HOLD_MAX: Duration = Duration::from_millis(25);

/// One job's end, on its way to the database.
#[derive(Debug)]
struct Landed {
    held: Held,
    ending: Option<Ending>,
    stale: bool,
}

/// The way to the finisher. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Results {
    sender: mpsc::Sender<Landed>,
    kinds: Arc<Kinds>,
}

impl Results {
    /// Hands a job's fate over; waits while the finisher is behind.
    pub(crate) async fn settle(&self, flight: &Flight, fate: Fate) {
        let held = &flight.held;
        let Some(kind) = self.kinds.get(&held.kind) else { return };
        let stale = fate == Fate::Stale;
        let ending = fate.ending(&kind.policy.backoff, held.attempt, held.attempts_max, rand::random());
        flight.land();
        // The finisher outlives every handler.
        let _ = self.sender.send(Landed { held: held.clone(), ending, stale }).await;
    }
}

/// The landed jobs of one lease.
#[derive(Debug)]
struct Gathered {
    jobs: Vec<Landed>,
    since: Instant,
    latest: Instant,
}

impl Gathered {
    fn new(now: Instant) -> Self {
        Self { jobs: Vec::new(), since: now, latest: now }
    }

    /// When they wait no longer.
    fn due(&self) -> Instant {
        (self.latest + HOLD).min(self.since + HOLD_MAX)
    }
}

/// The finisher's own end.
#[derive(Debug)]
pub(crate) struct Finisher {
    received: mpsc::Receiver<Landed>,
    gathered: HashMap<i64, Gathered>,
    database: Database,
    flights: Flights,
    outage: Outage,
    batch_max: usize,
}

impl Finisher {
    /// A finisher and the way to it, with room for `capacity` results.
    pub(crate) fn new(
        database: Database,
        flights: Flights,
        kinds: Arc<Kinds>,
        outage: Outage,
        batch_max: usize,
        capacity: usize,
    ) -> (Results, Self) {
        let (sender, received) = mpsc::channel(capacity);
        (Results { sender, kinds }, Self { received, gathered: HashMap::new(), database, flights, outage, batch_max })
    }

    /// Writes until it is told that no more results come, and then what has come. A handler that holds its thread for
    /// ever can't keep it.
    pub(crate) async fn run(mut self, closing: CancellationToken) {
        let mut landed = Vec::new();
        let mut open = true;
        while open || !self.gathered.is_empty() {
            let due = self.gathered.values().map(Gathered::due).min();
            tokio::select! {
                biased;
                received = self.received.recv_many(&mut landed, self.batch_max), if open => open = received > 0,
                () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {}
                () = closing.cancelled(), if !self.received.is_closed() => self.received.close(),
            }
            let now = Instant::now();
            for job in landed.drain(..) {
                let gathered = self.gathered.entry(job.held.token).or_insert_with(|| Gathered::new(now));
                gathered.latest = now;
                gathered.jobs.push(job);
            }
            while let Some((batch, retired)) = self.next_batch(!open) {
                let stale = self.land(batch, &retired).await;
                self.report(&stale).await;
            }
        }
    }

    /// Results that needn't wait for others of their lease, as many as fit into a batch, and the leases that end with them.
    fn next_batch(&mut self, closing: bool) -> Option<(Vec<Landed>, Vec<i64>)> {
        let now = Instant::now();
        let counts = self.gathered.iter().map(|(token, gathered)| (*token, gathered.jobs.len()));
        let complete = self.flights.with_at_most(counts);
        let due = |(token, gathered): (&i64, &Gathered)| {
            (closing || complete.contains(token) || gathered.due() <= now).then_some(*token)
        };
        let due: Vec<i64> = self.gathered.iter().filter_map(due).collect();
        let (mut batch, mut retired) = (Vec::new(), Vec::new());
        for token in due {
            let jobs = self.gathered.get(&token).map_or(0, |gathered| gathered.jobs.len());
            if !batch.is_empty() && batch.len() + jobs > self.batch_max {
                break;
            }
            let Some(gathered) = self.gathered.remove(&token) else { continue };
            let whole = gathered.jobs.iter().filter(|job| job.ending.is_some()).count();
            if complete.contains(&token) && gathered.jobs.iter().any(|job| usize::try_from(job.held.batch) != Ok(whole))
            {
                retired.push(token);
            }
            batch.extend(gathered.jobs);
        }
        (!batch.is_empty()).then_some((batch, retired))
    }

    /// Writes what has landed. Answers with the attempts whose result came too late.
    async fn land(&self, batch: Vec<Landed>, retired: &[i64]) -> Vec<(i64, i64)> {
        let mut stale: Vec<(i64, i64)> =
            batch.iter().filter(|job| job.stale).map(|job| job.held.attempt_key()).collect();
        let (mut outcomes, mut written) = (Vec::with_capacity(batch.len()), Vec::new());
        for Landed { held, ending, .. } in batch {
            match ending {
                Some(ending) => outcomes.push(Outcome { held, ending }),
                None => written.push(held),
            }
        }
        self.flights.leave(&written);
        if !outcomes.is_empty() || !retired.is_empty() {
            stale.extend(self.write(outcomes, retired).await);
        }
        stale
    }

    /// Writes a batch, however long it takes. Answers with those that were refused.
    async fn write(&self, outcomes: Vec<Outcome>, leases: &[i64]) -> Vec<(i64, i64)> {
        let mut pause = Duration::from_millis(50);
        loop {
            match finish::finish(&self.database, &outcomes, leases).await {
                Ok(written) => {
                    self.flights.counters.finished.fetch_add(written.len() as u64, Ordering::Relaxed);
                    self.flights.leave(outcomes.iter().map(|outcome| &outcome.held));
                    let refused = outcomes.iter().filter(|outcome| !written.contains(&outcome.held.attempt_key()));
                    return refused.map(|outcome| outcome.held.attempt_key()).collect();
                }
                Err(Error::Unstorable(why)) => return self.write_one_by_one(outcomes, leases, &why).await,
                Err(error) => {
                    self.outage.note(&error);
                    tracing::warn!(%error, results = outcomes.len(), "results can't be written now and are kept");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// A batch that the database refuses holds a result that it can't take: the others are written, that one's job is dead.
    async fn write_one_by_one(&self, outcomes: Vec<Outcome>, leases: &[i64], why: &str) -> Vec<(i64, i64)> {
        if outcomes.len() > 1 {
            let mut stale = Vec::new();
            // A lease that would have ended as a whole ends in parts now.
            let mut leases = leases.to_vec();
            leases.extend(outcomes.iter().map(|outcome| outcome.held.token));
            for outcome in outcomes {
                stale.extend(Box::pin(self.write(vec![outcome], &leases)).await);
            }
            return stale;
        }
        let Some(only) = outcomes.first() else { return Vec::new() };
        tracing::error!(why, job.key = only.held.key, "a result can't be stored");
        if matches!(&only.ending, Ending::Dead { error, .. } if error.starts_with(UNSTORABLE)) {
            // Not even that can be stored: the lease runs out and the sweep takes the job back.
            self.flights.leave([&only.held]);
            return Vec::new();
        }
        let ending = Ending::Dead { outcome: "dead", error: format!("{UNSTORABLE}: {why}") };
        Box::pin(self.write(vec![Outcome { held: only.held.clone(), ending }], leases)).await
    }

    /// Counts results that came too late, and takes the blame back that a sweep laid on their jobs: this process lives.
    async fn report(&self, stale: &[(i64, i64)]) {
        if stale.is_empty() {
            return;
        }
        self.flights.counters.stale.fetch_add(stale.len() as u64, Ordering::Relaxed);
        match lease::clear_blame(&self.database, stale).await {
            Ok(cleared) => {
                tracing::warn!(results = stale.len(), cleared, "stale results were refused: their leases were gone")
            }
            Err(error) => {
                tracing::warn!(results = stale.len(), %error, "stale results were refused: their leases were gone")
            }
        }
    }
}
