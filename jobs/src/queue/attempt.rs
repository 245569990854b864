//! One attempt's hold on its job. A database effect first locks the row that carries the attempt's token, so that no
//! sweep can lease the job to somebody else meanwhile, and commits with the job's completion or not at all.

use serde_json::Value;

use super::{
    Claimed, Ending, NewJob, Outcome,
    enqueue::{Enqueued, enqueue},
    finish::finish_in,
};
use crate::{
    Database, Error, JobId, Scope, StationId, Tx, Wake,
    database::{as_fleet, as_station_data},
    stations::Role,
};

/// What an attempt needs to prove that the job is still its own.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The job.
    pub id: JobId,
    /// The claim's token.
    pub token: i64,
    /// Whose job it is.
    pub station: Option<StationId>,
    /// This attempt, from 1.
    pub number: i16,
    /// Attempts at most.
    pub attempts_max: i16,
    /// W3C trace context.
    pub trace_parent: Option<String>,
    database: Database,
    wake: Wake,
}

impl Attempt {
    /// The attempt that this claim began.
    #[must_use]
    pub fn new(claimed: &Claimed, database: Database, wake: Wake) -> Self {
        Self {
            id: claimed.id,
            token: claimed.token,
            station: claimed.station,
            number: claimed.attempt,
            attempts_max: claimed.attempts_max,
            trace_parent: claimed.trace_parent.clone(),
            database,
            wake,
        }
    }

    /// The pool for reads of this attempt.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Opens a transaction that holds the job. No network call may happen before it is committed or dropped.
    ///
    /// # Errors
    /// [`Error::Stale`] when the lease is gone: stop, nothing of this attempt counts.
    pub async fn lock(&self) -> Result<Locked, Error> {
        self.database
            .bounded(async {
                let mut tx = self.database.begin(Scope::Fleet).await?;
                let held = sqlx::query!(
                    "select 1 as held from vtoc.job_running where id = $1 and token = $2 for update",
                    self.id.key(),
                    self.token
                )
                .fetch_optional(&mut *tx)
                .await?;
                if held.is_none() {
                    return Err(Error::Stale);
                }
                Ok(Locked { tx, attempt: self.clone(), woken: Vec::new() })
            })
            .await
    }
}

/// A transaction that holds the job's row: in fleet scope, unless switched.
#[derive(Debug)]
pub struct Locked {
    tx: Tx,
    attempt: Attempt,
    woken: Vec<String>,
}

impl Locked {
    /// The transaction, in fleet scope.
    pub fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    /// Turns to one station's data. [`Locked::fleet`] turns back; enqueueing and completing do so by themselves.
    pub(crate) async fn station_data(&mut self, role: Role, station: StationId) -> Result<&mut Tx, Error> {
        as_station_data(&mut self.tx, role, station).await?;
        Ok(&mut self.tx)
    }

    /// Turns to the control plane of the whole fleet.
    pub(crate) async fn fleet(&mut self) -> Result<&mut Tx, Error> {
        as_fleet(&mut self.tx).await?;
        Ok(&mut self.tx)
    }

    /// Enqueues follow-up work that exists only if this transaction commits.
    ///
    /// # Errors
    /// As [`enqueue`].
    pub async fn enqueue(&mut self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        as_fleet(&mut self.tx).await?;
        let enqueued = enqueue(&mut self.tx, jobs).await?;
        self.woken.extend(jobs.iter().map(|job| job.queue.clone()));
        Ok(enqueued)
    }

    /// Commits what was done so far; the job goes on.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: whether it was committed isn't known; the next attempt finds out.
    pub async fn commit(self) -> Result<(), Error> {
        let Self { tx, attempt, woken } = self;
        attempt.database.bounded(tx.commit()).await?;
        woken.iter().for_each(|queue| attempt.wake.hint(queue));
        Ok(())
    }

    /// Completes the job and commits it together with everything done here.
    ///
    /// # Errors
    /// As [`Locked::commit`].
    pub async fn complete(mut self, output: Option<Value>) -> Result<(), Error> {
        as_fleet(&mut self.tx).await?;
        let outcome = Outcome { key: self.attempt.id.key(), token: self.attempt.token, ending: Ending::Done(output) };
        if finish_in(&mut self.tx, &[outcome]).await?.is_empty() {
            return Err(Error::Stale);
        }
        self.commit().await
    }
}
