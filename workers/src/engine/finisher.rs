//! The finisher: gathers results and writes them in batches. It keeps what it couldn't write until it can: a database that
//! is away neither loses a result nor ends the process. Its channel is bounded, so a long outage stops new claims.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use jobs::{
    Database, Error,
    kinds::Kinds,
    queue::{Ending, Fate, Outcome, finish, lease},
};
use tokio::sync::mpsc;

use super::outage::Outage;
use crate::flights::{Facts, Flights};

/// Waits between tries while the database is away, at most.
const PAUSE_MAX: Duration = Duration::from_secs(1);

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
    pub(crate) fn new(database: Database, flights: Flights, kinds: Arc<Kinds>, outage: Outage, batch_max: usize, capacity: usize) -> (Results, Self) {
        let (sender, received) = mpsc::channel(capacity);
        (Results { sender, flights: flights.clone(), kinds }, Self { received, database, flights, outage, batch_max })
    }

    /// Writes until every sender is gone and everything is written.
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::new();
        let mut closed: Vec<i64> = Vec::new();
        while self.received.recv_many(&mut batch, self.batch_max).await > 0 {
            let (mut outcomes, mut stale) = (Vec::with_capacity(batch.len()), Vec::new());
            for result in batch.drain(..) {
                if result.stale {
                    stale.push((result.key, result.token));
                }
                match result.ending {
                    Some(ending) => outcomes.push(Outcome { key: result.key, token: result.token, ending }),
                    None if self.flights.leave(result.key, result.token) => closed.push(result.token),
                    None => {}
                }
            }
            // A lease whose last job is in this very batch ends with it.
            stale.extend(self.write(outcomes, &mut closed).await);
            self.report(&stale).await;
        }
    }

    /// Writes a batch, however long it takes. Answers with those that were refused.
    async fn write(&self, outcomes: Vec<Outcome>, closed: &mut Vec<i64>) -> Vec<(i64, i64)> {
        let mut pause = Duration::from_millis(50);
        loop {
            match finish::finish(&self.database, &outcomes, closed).await {
                Ok(written) => {
                    closed.clear();
                    self.flights.counters.finished.fetch_add(written.len() as u64, Ordering::Relaxed);
                    closed.extend(outcomes.iter().filter(|outcome| self.flights.leave(outcome.key, outcome.token)).map(|outcome| outcome.token));
                    return outcomes.iter().filter(|outcome| !written.contains(&outcome.key)).map(|outcome| (outcome.key, outcome.token)).collect();
                }
                Err(error) if error.is_transient() => {
                    self.outage.note(&error);
                    tracing::warn!(%error, results = outcomes.len(), "results can't be written now and are kept");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(error) => return self.write_one_by_one(outcomes, &error, closed).await,
            }
        }
    }

    /// A batch that the database refuses holds a result that it can't take: the others are written, that one's job is dead.
    async fn write_one_by_one(&self, outcomes: Vec<Outcome>, refusal: &Error, closed: &mut Vec<i64>) -> Vec<(i64, i64)> {
        let [only] = &outcomes[..] else {
            let mut stale = Vec::new();
            for outcome in outcomes {
                stale.extend(Box::pin(self.write(vec![outcome], closed)).await);
            }
            return stale;
        };
        tracing::error!(error = %refusal, job.key = only.key, "a result can't be stored");
        if matches!(only.ending, Ending::Dead { outcome: "dead", .. }) {
            // Not even its epitaph can be stored: the lease runs out and the sweep takes it.
            let _ = self.flights.leave(only.key, only.token);
            return Vec::new();
        }
        let ending = Ending::Dead { outcome: "dead", error: format!("its result can't be stored: {refusal}") };
        Box::pin(self.write(vec![Outcome { key: only.key, token: only.token, ending }], closed)).await
    }

    /// Counts results that came too late, and takes the blame back that a sweep laid on their jobs: this process lives.
    async fn report(&self, stale: &[(i64, i64)]) {
        if stale.is_empty() {
            return;
        }
        self.flights.counters.stale.fetch_add(stale.len() as u64, Ordering::Relaxed);
        match lease::clear_blame(&self.database, stale).await {
            Ok(cleared) => tracing::warn!(results = stale.len(), cleared, "stale results were refused: their leases were gone"),
            Err(error) => tracing::warn!(results = stale.len(), %error, "stale results were refused: their leases were gone"),
        }
    }
}
