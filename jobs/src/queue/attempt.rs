//! One attempt's hold on its job. A database effect first locks the lease that carries the attempt's token, so that no
//! sweep can lease the job to somebody else meanwhile, and commits with the job's completion or not at all.

use std::time::Duration;

use serde_json::Value;

use super::{
    Claimed, Ending, Held, NewJob, Outcome, Until, Woken,
    callback::{self, CallbackToken},
    enqueue::{Enqueued, enqueue},
    family,
    finish::write,
    settle::{self, Lease, Settled},
    wait,
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
    /// Its claim.
    pub held: Held,
    /// W3C trace context.
    pub trace_parent: Option<String>,
    database: Database,
    wake: Wake,
}

impl Attempt {
    /// The attempt that this claim began.
    #[must_use]
    pub fn new(claimed: &Claimed, database: Database, wake: Wake) -> Self {
        Self { id: claimed.id, held: claimed.held.clone(), trace_parent: claimed.trace_parent.clone(), database, wake }
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
                let lease = settle::lock(&mut tx, self.held.token, self.held.key).await?.ok_or(Error::Stale)?;
                Ok(Locked { tx, attempt: self.clone(), lease, woken: Vec::new() })
            })
            .await
    }

    /// A token that an answer may come with from now on, for a far side that is then waited for by [`Until::Callback`].
    ///
    /// # Errors
    /// As [`Attempt::lock`] and [`Locked::commit`].
    pub async fn callback(&self) -> Result<CallbackToken, Error> {
        let mut locked = self.lock().await?;
        let token = CallbackToken::new();
        self.database.bounded(callback::promise(&mut locked.tx, &token, &self.held)).await?;
        locked.commit().await?;
        Ok(token)
    }

    /// What ended the job's last wait; nothing when it hasn't waited.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without the database.
    pub async fn woken(&self) -> Result<Option<Woken>, Error> {
        wait::woken(&self.database, self.held.key).await
    }

    /// The job on whose behalf this one is: none when that is another station's, unless it awaits this one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without the database.
    pub async fn parent(&self) -> Result<Option<JobId>, Error> {
        family::parent(&self.database, self.held.key).await
    }
}

/// A transaction that holds the job: in fleet scope, unless switched.
#[derive(Debug)]
pub struct Locked {
    tx: Tx,
    attempt: Attempt,
    lease: Lease,
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

    /// Enqueues awaited children of `parent`: this job, or one whose child this job is. They exist only if this transaction
    /// commits.
    ///
    /// # Errors
    /// As [`enqueue`].
    pub async fn enqueue_children(&mut self, parent: JobId, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        as_fleet(&mut self.tx).await?;
        let enqueued = family::enqueue(&mut self.tx, parent, jobs).await?;
        self.woken.extend(jobs.iter().map(|job| job.queue.clone()));
        Ok(enqueued)
    }

    /// Commits what was done so far; the job goes on.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: whether it was committed isn't known; the next attempt finds out.
    pub async fn commit(mut self) -> Result<(), Error> {
        let database = self.attempt.database.clone();
        let unlocked = async {
            as_fleet(&mut self.tx).await?;
            settle::unlock(&mut self.tx, self.attempt.held.token, self.attempt.held.key).await
        };
        database.bounded(unlocked).await?;
        self.close().await
    }

    /// Completes the job and commits it together with everything done here.
    ///
    /// # Errors
    /// As [`Locked::commit`].
    pub async fn complete(self, output: Option<Value>) -> Result<(), Error> {
        self.end(Ending::Done(output)).await
    }

    /// Ends the attempt with a wait and commits it together with everything done here, above all the children it waits for.
    ///
    /// # Errors
    /// As [`Locked::commit`].
    pub async fn wait(self, until: Until, within: Duration) -> Result<(), Error> {
        self.end(Ending::Wait { until, within }).await
    }

    async fn end(mut self, ending: Ending) -> Result<(), Error> {
        let database = self.attempt.database.clone();
        let ended = async {
            as_fleet(&mut self.tx).await?;
            let outcome = Outcome { held: self.attempt.held.clone(), ending };
            write(&mut self.tx, &[Settled { outcome: &outcome, lease: self.lease }]).await
        };
        database.bounded(ended).await?;
        self.close().await
    }

    async fn close(self) -> Result<(), Error> {
        let Self { tx, attempt, woken, .. } = self;
        attempt.database.bounded(tx.commit()).await?;
        woken.iter().for_each(|queue| attempt.wake.hint(queue));
        Ok(())
    }
}
