//! Writes results: however long it takes, one by one when the database can't take one of them, and taking back the blame
//! when they come too late. What is written together is the finisher's choice.

use std::{sync::atomic::Ordering, time::Duration};

use jobs::{
    Database, Error,
    queue::{Ending, Outcome, finish, lease},
};

use super::{finisher::Landed, outage::Outage};
use crate::flights::Flights;

/// Waits between tries while the database is away, at most.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How the error of a job begins whose result the database can't take.
const UNSTORABLE: &str = "its result can't be stored";

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) flights: Flights,
    pub(super) outage: Outage,
}

impl Writer {
    /// Writes what has landed and ends the leases `retired`, which have no job left.
    pub(super) async fn land(&self, batch: Vec<Landed>, retired: &[i64]) {
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
        self.report(&stale).await;
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
