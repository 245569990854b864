//! Finishing: what attempts came to, written in batches, each conditional on its token. A result whose token is gone
//! changes nothing and is reported back.

mod again;
mod history;

use std::{collections::HashSet, time::Duration};

use serde_json::Value;

use self::{
    again::Again,
    history::{Attempts, Ended},
};
use super::{
    Held, Until,
    family::{self, Child},
    fate::cut,
    settle::{self, Settled},
    wait::Waits,
};
use crate::{Database, Error, aftermath, database::Line};

/// The result of one attempt, ready to be written.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The attempt it is of.
    pub held: Held,
    /// What becomes of the job.
    pub ending: Ending,
}

/// What becomes of a job after an attempt.
#[derive(Debug, Clone)]
pub enum Ending {
    /// Finished for good.
    Done(Option<Value>),
    /// Finished for good, without success.
    Dead {
        /// `timed_out`, `panicked` or `dead`.
        outcome: &'static str,
        /// Why.
        error: String,
    },
    /// Called off.
    Cancelled(String),
    /// Runs again after a delay.
    Again {
        /// How long it waits.
        delay: Duration,
        /// Whether the attempt counts.
        burned: bool,
        /// `retry`, `timed_out`, `panicked`, `snooze`, `interrupted` or `given_up`.
        outcome: &'static str,
        /// Why.
        error: Option<String>,
    },
    /// Runs again when what it waits for has come, or its time is over.
    Wait {
        /// What for.
        until: Until,
        /// How long at most.
        within: Duration,
    },
}

/// Writes `outcomes` and ends those of `leases` that have no job left. Answers with the attempts, by key and token,
/// whose result was written; of the others the token was gone. Safe to repeat. An effect under way in one of `leases` may be waited
/// for: whoever knows of one doesn't name its lease yet.
///
/// # Errors
/// [`Error::Unavailable`]: nothing is known to be written; the same call may be made again. [`Error::Unstorable`]: nothing
/// was written, since one of the results can't be.
pub async fn finish(database: &Database, outcomes: &[Outcome], leases: &[i64]) -> Result<HashSet<(i64, i64)>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin_indexed().await?;
            let written = finish_in(&mut tx, outcomes, leases).await?;
            if !leases.is_empty() {
                settle::retire(&mut tx, leases).await?;
            }
            tx.commit().await?;
            Ok(written)
        })
        .await
}

/// [`finish`] inside the caller's transaction, which must be in fleet scope; `retiring` may be ended behind it.
pub(crate) async fn finish_in(
    tx: &mut Line,
    outcomes: &[Outcome],
    retiring: &[i64],
) -> Result<HashSet<(i64, i64)>, Error> {
    let settled = settle::settle(tx, outcomes, retiring).await?;
    write(tx, &settled).await?;
    Ok(settled.iter().map(|settled| settled.outcome.held.attempt_key()).collect())
}

/// Writes what attempts came to that have left their leases.
pub(super) async fn write(tx: &mut Line, settled: &[Settled<'_>]) -> Result<(), Error> {
    let (mut ended, mut again, mut attempts) = (Ended::default(), Again::default(), Attempts::default());
    let (mut keyed, mut cancelled, mut unsuccessful) = (Vec::new(), Vec::new(), Vec::new());
    let (mut waits, mut children) = (Waits::default(), Vec::new());
    for settled in settled {
        let held = &settled.outcome.held;
        let (name, error) = match &settled.outcome.ending {
            Ending::Again { delay, burned, outcome, error } => {
                again.push(settled, *delay, *burned);
                attempts.push(settled, outcome, error.as_deref());
                continue;
            }
            Ending::Wait { until, within } => {
                waits.push(settled, *until, *within);
                attempts.push(settled, "waiting", None);
                continue;
            }
            Ending::Done(output) => {
                ended.push(settled, "done", output.as_ref(), None);
                ("done", None)
            }
            Ending::Dead { outcome, error } => {
                ended.push(settled, "dead", None, Some(error));
                (*outcome, Some(error.as_str()))
            }
            Ending::Cancelled(reason) => {
                ended.push(settled, "cancelled", None, Some(reason));
                cancelled.push(held.key);
                ("cancelled", Some(reason.as_str()))
            }
        };
        // The history row of a job that was done at once says all of its only attempt.
        if name != "done" || held.attempt > 1 {
            attempts.push(settled, name, error);
        }
        if name != "done" {
            unsuccessful.push((held.key, cut(error.unwrap_or_default())));
        }
        if held.keyed {
            keyed.push(held.key);
        }
        if held.awaited {
            children.push(Child { key: held.key, failed: name != "done" });
        }
    }
    ended.write(tx).await?;
    // Before what comes next: a pause counts from the end of its attempt, and not a moment less.
    attempts.write(tx).await?;
    again.write(tx).await?;
    free_keys(tx, &keyed).await?;
    if !cancelled.is_empty() {
        sqlx::query!("delete from vtoc.job_cancel where job_id = any($1)", &cancelled).execute(&mut *tx).await?;
    }
    if !(waits.is_empty() && children.is_empty()) {
        family::lock(tx, &waits.parents(), &children).await?;
        waits.write(tx).await?;
        family::ended(tx, &children).await?;
    }
    if !unsuccessful.is_empty() {
        aftermath::of(tx, &unsuccessful).await?;
    }
    Ok(())
}

/// Gives dedupe keys of ended jobs back, now or after the time they are kept.
pub(super) async fn free_keys(tx: &mut Line, jobs: &[i64]) -> Result<(), Error> {
    if jobs.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        // In the order of enqueue, so that neither waits for the other in a circle.
        "with held as materialized (
            select u.station_id, u.kind, u.key, u.keep_for
            from vtoc.job_unique u
            where u.job_id = any($1)
            order by u.station_id, u.kind, u.key
            for update of u
        ),
        kept as (
            update vtoc.job_unique u
            -- Whatever it says: a job mustn't fail to end for its key's sake.
            set expires_at = vtoc.clock() + least(greatest(u.keep_for, interval '0'), interval '36525 days')
            from held
            where held.keep_for is not null and u.station_id = held.station_id and u.kind = held.kind and u.key = held.key
        )
        delete from vtoc.job_unique u
        using held
        where held.keep_for is null and u.station_id = held.station_id and u.kind = held.kind and u.key = held.key",
        jobs
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}
