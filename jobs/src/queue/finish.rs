//! Finishing: what attempts came to, written in batches, each conditional on its token. A result whose token is gone
//! changes nothing and is reported back.

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use super::{
    Held, RETENTION_DONE_H, RETENTION_OTHER_H, Until,
    enqueue::interval,
    family::{self, Child},
    settle::{self, Settled},
    wait::Waits,
};
use crate::{Database, Error, Scope, aftermath, database::Line, nul};

/// Characters of an error that are kept.
const ERROR_MAX: usize = 4_000;
/// Bytes of an output that are kept.
const OUTPUT_MAX: usize = 64 * 1024;

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

/// Writes `outcomes` and ends those of `leases` that have no job left. Answers with the keys whose result was written; of
/// the others the token was gone. Safe to repeat.
///
/// # Errors
/// [`Error::Unavailable`]: nothing is known to be written; the same call may be made again. [`Error::Unstorable`]: nothing
/// was written, since one of the results can't be.
pub async fn finish(database: &Database, outcomes: &[Outcome], leases: &[i64]) -> Result<HashSet<i64>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let written = finish_in(&mut tx, outcomes).await?;
            if !leases.is_empty() {
                settle::retire(&mut tx, leases).await?;
            }
            tx.commit().await?;
            Ok(written)
        })
        .await
}

/// [`finish`] inside the caller's transaction, which must be in fleet scope.
pub(crate) async fn finish_in(tx: &mut Line, outcomes: &[Outcome]) -> Result<HashSet<i64>, Error> {
    let settled = settle::settle(tx, outcomes).await?;
    write(tx, &settled).await?;
    Ok(settled.iter().map(|settled| settled.outcome.held.key).collect())
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
            unsuccessful.push(held.key);
        }
        if held.keyed {
            keyed.push(held.key);
        }
        if held.awaited {
            children.push(Child { key: held.key, failed: name != "done" });
        }
    }
    ended.write(tx).await?;
    again.write(tx).await?;
    attempts.write(tx).await?;
    free_keys(tx, &keyed).await?;
    if !cancelled.is_empty() {
        sqlx::query!("delete from vtoc.job_cancel where job_id = any($1)", &cancelled).execute(&mut *tx).await?;
    }
    if !unsuccessful.is_empty() {
        aftermath::of(tx, &unsuccessful).await?;
    }
    if !(waits.is_empty() && children.is_empty()) {
        family::lock(tx, &waits.parents(), &children).await?;
        waits.write(tx).await?;
        family::ended(tx, &children).await?;
    }
    Ok(())
}

/// Jobs that go into the history.
#[derive(Default)]
struct Ended<'a> {
    key: Vec<i64>,
    state: Vec<&'static str>,
    queue: Vec<&'a str>,
    kind: Vec<&'a str>,
    station: Vec<Option<i64>>,
    attempt: Vec<i16>,
    started_at: Vec<DateTime<Utc>>,
    worker: Vec<Uuid>,
    output: Vec<Option<Value>>,
    error: Vec<Option<String>>,
}

impl<'a> Ended<'a> {
    fn push(&mut self, settled: &Settled<'a>, state: &'static str, output: Option<&Value>, error: Option<&str>) {
        let held = &settled.outcome.held;
        self.key.push(held.key);
        self.state.push(state);
        self.queue.push(&held.queue);
        self.kind.push(&held.kind);
        self.station.push(held.station.map(|station| station.0));
        self.attempt.push(held.attempt);
        self.started_at.push(settled.lease.started_at);
        self.worker.push(settled.lease.worker_id);
        self.output.push(output.map(capped));
        self.error.push(error.map(cut));
    }

    async fn write(&self, tx: &mut Line) -> Result<(), Error> {
        if self.key.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "insert into vtoc.job_finished (expires_at, id, state, queue, kind, station_id, attempt, started_at, finished_at, worker_id, output, error)
            select c.now + make_interval(hours => case when u.state = 'done' then $11::int else $12::int end), u.id, u.state, u.queue, u.kind,
                u.station_id, u.attempt, u.started_at, c.now, u.worker_id, u.output, u.error
            from (select vtoc.clock() as now) c
            cross join unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::smallint[], $7::timestamptz[], $8::uuid[],
                $9::jsonb[], $10::text[]) as u (id, state, queue, kind, station_id, attempt, started_at, worker_id, output, error)",
            &self.key,
            &self.state as &[&str],
            &self.queue as &[&str],
            &self.kind as &[&str],
            &self.station as &[Option<i64>],
            &self.attempt,
            &self.started_at,
            &self.worker,
            &self.output as &[Option<Value>],
            &self.error as &[Option<String>],
            RETENTION_DONE_H,
            RETENTION_OTHER_H
        )
        .execute(&mut *tx)
        .await?;
        Ok(())
    }
}

/// Jobs that run again.
#[derive(Default)]
struct Again<'a> {
    key: Vec<i64>,
    queue: Vec<&'a str>,
    kind: Vec<&'a str>,
    station: Vec<Option<i64>>,
    priority: Vec<i16>,
    delay: Vec<PgInterval>,
    keyed: Vec<bool>,
    attempt: Vec<i16>,
    attempts_max: Vec<i16>,
    suspect: Vec<bool>,
    crash_count: Vec<i16>,
    awaited: Vec<bool>,
}

impl<'a> Again<'a> {
    fn push(&mut self, settled: &Settled<'a>, delay: Duration, burned: bool) {
        let held = &settled.outcome.held;
        self.key.push(held.key);
        self.queue.push(&held.queue);
        self.kind.push(&held.kind);
        self.station.push(held.station.map(|station| station.0));
        self.priority.push(held.priority);
        self.delay.push(interval(delay));
        self.keyed.push(held.keyed);
        self.attempt.push(if burned { held.attempt } else { held.attempt - 1 });
        self.attempts_max.push(held.attempts_max);
        self.suspect.push(settled.lease.suspect);
        self.crash_count.push(settled.lease.crash_count);
        self.awaited.push(held.awaited);
    }

    async fn write(&self, tx: &mut Line) -> Result<(), Error> {
        if self.key.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "insert into vtoc.job_ready (id, queue, kind, station_id, priority, run_at, due, keyed, attempt, attempts_max, suspect, crash_count, awaited)
            select u.id, u.queue, u.kind, u.station_id, u.priority, vtoc.clock() + u.delay, u.delay <= interval '0', u.keyed, u.attempt, u.attempts_max,
                u.suspect, u.crash_count, u.awaited
            from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::smallint[], $6::interval[], $7::bool[], $8::smallint[], $9::smallint[],
                $10::bool[], $11::smallint[], $12::bool[])
                as u (id, queue, kind, station_id, priority, delay, keyed, attempt, attempts_max, suspect, crash_count, awaited)",
            &self.key,
            &self.queue as &[&str],
            &self.kind as &[&str],
            &self.station as &[Option<i64>],
            &self.priority,
            &self.delay,
            &self.keyed,
            &self.attempt,
            &self.attempts_max,
            &self.suspect,
            &self.crash_count,
            &self.awaited
        )
        .execute(&mut *tx)
        .await?;
        Ok(())
    }
}

/// Attempts that a history row alone doesn't tell of.
#[derive(Default)]
struct Attempts {
    key: Vec<i64>,
    token: Vec<i64>,
    attempt: Vec<i16>,
    station: Vec<Option<i64>>,
    worker: Vec<Uuid>,
    started_at: Vec<DateTime<Utc>>,
    outcome: Vec<&'static str>,
    error: Vec<Option<String>>,
}

impl Attempts {
    fn push(&mut self, settled: &Settled<'_>, outcome: &'static str, error: Option<&str>) {
        let held = &settled.outcome.held;
        self.key.push(held.key);
        self.token.push(held.token);
        self.attempt.push(held.attempt);
        self.station.push(held.station.map(|station| station.0));
        self.worker.push(settled.lease.worker_id);
        self.started_at.push(settled.lease.started_at);
        self.outcome.push(outcome);
        self.error.push(error.map(cut));
    }

    async fn write(&self, tx: &mut Line) -> Result<(), Error> {
        if self.key.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "insert into vtoc.job_attempt (job_id, token, attempt, station_id, worker_id, started_at, finished_at, outcome, error)
            select u.id, u.token, u.attempt, u.station_id, u.worker_id, u.started_at, vtoc.clock(), u.outcome, u.error
            from unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::bigint[], $5::uuid[], $6::timestamptz[], $7::text[], $8::text[])
                as u (id, token, attempt, station_id, worker_id, started_at, outcome, error)",
            &self.key,
            &self.token,
            &self.attempt,
            &self.station as &[Option<i64>],
            &self.worker,
            &self.started_at,
            &self.outcome as &[&str],
            &self.error as &[Option<String>]
        )
        .execute(&mut *tx)
        .await?;
        Ok(())
    }
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
            set expires_at = vtoc.clock() + u.keep_for
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

fn cut(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(ERROR_MAX).collect()
}

fn capped(output: &Value) -> Value {
    let bytes = output.to_string().len();
    if bytes <= OUTPUT_MAX {
        return nul::replaced(output);
    }
    serde_json::json!({ "omitted": "output over the cap", "bytes": bytes, "bytes_max": OUTPUT_MAX })
}
