//! The finisher: gathers results and writes them in batches. It keeps what it couldn't write until it can: a database that
//! is away neither loses a result nor ends the process. Its channel is bounded, so a long outage stops new claims.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use jobs::{
    Database, Error,
    kinds::Kinds,
    queue::{Ending, Fate, Outcome, finish, lease},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::outage::Outage;
use crate::flights::{Facts, Flights};

/// Waits between tries while the database is away, at most.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How the error of a job begins whose result the database can't take.
const UNSTORABLE: &str = "its result can't be stored";

/// One job's end, on its way to the database.
#[derive(Debug)]
struct Landed {
    key: i64,
    token: i64,
    ending: Option<Ending>,
    stale: bool,
}

/// The way to the finisher. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Results {
    sender: mpsc::Sender<Landed>,
    flights: Flights,
    kinds: Arc<Kinds>,
}

impl Results {
    /// Hands a job's fate over; waits while the finisher is behind.
    pub(crate) async fn settle(&self, facts: &Facts, fate: Fate) {
        let Some(kind) = self.kinds.get(&facts.kind) else { return };
        let stale = fate == Fate::Stale;
        let ending = fate.ending(&kind.policy.backoff, facts.attempt, facts.attempts_max, rand::random());
        self.flights.land(facts.key, facts.token);
        // The finisher outlives every handler.
        let _ = self.sender.send(Landed { key: facts.key, token: facts.token, ending, stale }).await;
    }
}

/// The finisher's own end.
#[derive(Debug)]
pub(crate) struct Finisher {
    received: mpsc::Receiver<Landed>,
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
        (Results { sender, flights: flights.clone(), kinds }, Self { received, database, flights, outage, batch_max })
    }

    /// Writes until it is told that no more results come, and then what has come. A handler that holds its thread for
    /// ever can't keep it.
    pub(crate) async fn run(mut self, closing: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                biased;
                received = self.received.recv_many(&mut batch, self.batch_max) => {
                    if received == 0 {
                        return;
                    }
                }
                () = closing.cancelled(), if !self.received.is_closed() => self.received.close(),
            }
            let (mut outcomes, mut leases, mut stale) = (Vec::with_capacity(batch.len()), Vec::new(), Vec::new());
            for landed in batch.drain(..) {
                if landed.stale {
                    stale.push((landed.key, landed.token));
                }
                match landed.ending {
                    Some(ending) => outcomes.push(Outcome { key: landed.key, token: landed.token, ending }),
                    None => {
                        self.flights.leave(landed.key, landed.token);
                        leases.push(landed.token);
                    }
                }
            }
            stale.extend(self.write(outcomes, &leases).await);
            self.report(&stale).await;
        }
    }

    /// Writes a batch, however long it takes. Answers with those that were refused.
    async fn write(&self, outcomes: Vec<Outcome>, leases: &[i64]) -> Vec<(i64, i64)> {
        let mut pause = Duration::from_millis(50);
        loop {
            match finish::finish(&self.database, &outcomes, leases).await {
                Ok(written) => {
                    self.flights.counters.finished.fetch_add(written.len() as u64, Ordering::Relaxed);
                    outcomes.iter().for_each(|outcome| self.flights.leave(outcome.key, outcome.token));
                    let refused = outcomes.iter().filter(|outcome| !written.contains(&outcome.key));
                    return refused.map(|outcome| (outcome.key, outcome.token)).collect();
                }
                Err(Error::Unstorable(why)) => return self.write_one_by_one(outcomes, &why).await,
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
    async fn write_one_by_one(&self, outcomes: Vec<Outcome>, why: &str) -> Vec<(i64, i64)> {
        if outcomes.len() > 1 {
            let mut stale = Vec::new();
            for outcome in outcomes {
                stale.extend(Box::pin(self.write(vec![outcome], &[])).await);
            }
            return stale;
        }
        let Some(only) = outcomes.first() else { return Vec::new() };
        tracing::error!(why, job.key = only.key, "a result can't be stored");
        if matches!(&only.ending, Ending::Dead { error, .. } if error.starts_with(UNSTORABLE)) {
            // Not even that can be stored: the lease runs out and the sweep takes the job back.
            self.flights.leave(only.key, only.token);
            return Vec::new();
        }
        let ending = Ending::Dead { outcome: "dead", error: format!("{UNSTORABLE}: {why}") };
        Box::pin(self.write(vec![Outcome { key: only.key, token: only.token, ending }], &[])).await
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
