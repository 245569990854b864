//! Finishing: what attempts came to, written in batches, each conditional on its token. A result whose token is gone
//! changes nothing and is reported back.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use serde_json::Value;
use sqlx::postgres::types::PgInterval;

use super::{RETENTION_DONE_H, RETENTION_OTHER_H, enqueue::interval};
use crate::{Database, Error, Scope, aftermath, database::Line, nul};

/// Characters of an error that are kept.
const ERROR_MAX: usize = 4_000;
/// Bytes of an output that are kept.
const OUTPUT_MAX: usize = 64 * 1024;

/// The result of one attempt, ready to be written.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The job.
    pub key: i64,
    /// The claim it ran under.
    pub token: i64,
    /// What becomes of it.
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
}

/// Writes `outcomes` and ends those of their leases, and of `leases`, that have no job left. Answers with the keys whose
/// result was written; of the others the token was gone. Safe to repeat.
///
/// # Errors
/// [`Error::Unavailable`]: nothing is known to be written; the same call may be made again. [`Error::Unstorable`]: nothing
/// was written, since one of the results can't be.
pub async fn finish(database: &Database, outcomes: &[Outcome], leases: &[i64]) -> Result<HashSet<i64>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let written = finish_in(&mut tx, outcomes).await?;
            let tokens: BTreeSet<i64> =
                outcomes.iter().map(|outcome| outcome.token).chain(leases.iter().copied()).collect();
            sqlx::query!(
                "delete from vtoc.job_lease l
                where l.token = any($1) and not exists (select from vtoc.job_running r where r.token = l.token)",
                &Vec::from_iter(tokens)
            )
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(written)
        })
        .await
}

/// [`finish`] inside the caller's transaction, which must be in fleet scope.
pub(crate) async fn finish_in(tx: &mut Line, outcomes: &[Outcome]) -> Result<HashSet<i64>, Error> {
    let mut ended = Ended::default();
    let mut again = Again::default();
    for outcome in outcomes {
        match &outcome.ending {
            Ending::Again { delay, burned, outcome: name, error } => {
                again.push(outcome, *delay, *burned, name, error.as_deref())
            }
            Ending::Done(output) => ended.push(outcome, "done", "done", output.as_ref(), None),
            Ending::Dead { outcome: name, error } => ended.push(outcome, "dead", name, None, Some(error)),
            Ending::Cancelled(reason) => ended.push(outcome, "cancelled", "cancelled", None, Some(reason)),
        }
    }
    let mut written = HashSet::with_capacity(outcomes.len());
    if !ended.key.is_empty() {
        let keys = ended.write(tx).await?;
        if ended.state.iter().any(|state| state != "done") {
            aftermath::of(tx, &keys).await?;
        }
        written.extend(keys);
    }
    if !again.key.is_empty() {
        written.extend(again.write(tx).await?);
    }
    Ok(written)
}

#[derive(Default)]
struct Ended {
    key: Vec<i64>,
    token: Vec<i64>,
    state: Vec<String>,
    outcome: Vec<String>,
    output: Vec<Option<Value>>,
    error: Vec<Option<String>>,
}

impl Ended {
    fn push(&mut self, outcome: &Outcome, state: &str, name: &str, output: Option<&Value>, error: Option<&str>) {
        self.key.push(outcome.key);
        self.token.push(outcome.token);
        self.state.push(state.to_owned());
        self.outcome.push(name.to_owned());
        self.output.push(output.map(capped));
        self.error.push(error.map(cut));
    }

    async fn write(&self, tx: &mut Line) -> Result<Vec<i64>, Error> {
        Ok(sqlx::query_scalar!(
            r#"with given as (
                select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::jsonb[], $6::text[]) as u (id, token, state, outcome, output, error)
            ),
            gone as (
                delete from vtoc.job_running r
                using given
                where r.id = given.id and r.token = given.token
                returning r.id, r.token, r.queue, r.kind, r.station_id, r.keyed, r.attempt, r.started_at, given.state, given.outcome, given.output, given.error
            ),
            judged as (
                select gone.*, l.worker_id, vtoc.clock() as now
                from gone
                left join vtoc.job_lease l on l.token = gone.token
            ),
            history as (
                insert into vtoc.job_finished (expires_at, id, state, queue, kind, station_id, attempt, started_at, finished_at, worker_id, output, error)
                select now + make_interval(hours => case when state = 'done' then $7::int else $8::int end), id, state, queue, kind, station_id, attempt,
                    started_at, now, worker_id, output, error
                from judged
            ),
            attempts as (
                insert into vtoc.job_attempt (job_id, token, attempt, station_id, worker_id, started_at, finished_at, outcome, error)
                select id, token, attempt, station_id, worker_id, started_at, now, outcome, error
                from judged
                where outcome <> 'done' or attempt > 1
            ),
            -- In the order of enqueue, so that neither waits for the other in a circle.
            held as materialized (
                select u.station_id, u.kind, u.key, u.keep_for
                from gone
                join vtoc.job_unique u on u.job_id = gone.id
                where gone.keyed
                order by u.station_id, u.kind, u.key
                for update of u
            ),
            kept as (
                update vtoc.job_unique u
                set expires_at = vtoc.clock() + u.keep_for
                from held
                where held.keep_for is not null and u.station_id = held.station_id and u.kind = held.kind and u.key = held.key
            ),
            freed as (
                delete from vtoc.job_unique u
                using held
                where held.keep_for is null and u.station_id = held.station_id and u.kind = held.kind and u.key = held.key
            ),
            heard as (
                delete from vtoc.job_cancel c
                using gone
                where gone.state = 'cancelled' and c.job_id = gone.id
            )
            select id as "id!" from gone"#,
            &self.key,
            &self.token,
            &self.state,
            &self.outcome,
            &self.output as &[Option<Value>],
            &self.error as &[Option<String>],
            RETENTION_DONE_H,
            RETENTION_OTHER_H
        )
        .fetch_all(&mut *tx)
        .await?)
    }
}

#[derive(Default)]
struct Again {
    key: Vec<i64>,
    token: Vec<i64>,
    delay: Vec<PgInterval>,
    burned: Vec<bool>,
    outcome: Vec<String>,
    error: Vec<Option<String>>,
}

impl Again {
    fn push(&mut self, outcome: &Outcome, delay: Duration, burned: bool, name: &str, error: Option<&str>) {
        self.key.push(outcome.key);
        self.token.push(outcome.token);
        self.delay.push(interval(delay));
        self.burned.push(burned);
        self.outcome.push(name.to_owned());
        self.error.push(error.map(cut));
    }

    async fn write(&self, tx: &mut Line) -> Result<Vec<i64>, Error> {
        Ok(sqlx::query_scalar!(
            r#"with given as (
                select * from unnest($1::bigint[], $2::bigint[], $3::interval[], $4::bool[], $5::text[], $6::text[]) as u (id, token, delay, burned, outcome, error)
            ),
            gone as (
                delete from vtoc.job_running r
                using given
                where r.id = given.id and r.token = given.token
                returning r.*, given.delay, given.burned, given.outcome, given.error
            ),
            ready as (
                insert into vtoc.job_ready (id, queue, kind, station_id, priority, run_at, due, suspect, keyed, attempt, attempts_max, crash_count)
                select id, queue, kind, station_id, priority, vtoc.clock() + delay, delay <= interval '0', suspect, keyed,
                    case when burned then attempt else attempt - 1 end, attempts_max, crash_count
                from gone
            ),
            attempts as (
                insert into vtoc.job_attempt (job_id, token, attempt, station_id, worker_id, started_at, finished_at, outcome, error)
                select gone.id, gone.token, gone.attempt, gone.station_id, l.worker_id, gone.started_at, vtoc.clock(), gone.outcome, gone.error
                from gone
                left join vtoc.job_lease l on l.token = gone.token
            )
            select id as "id!" from gone"#,
            &self.key,
            &self.token,
            &self.delay,
            &self.burned,
            &self.outcome,
            &self.error as &[Option<String>]
        )
        .fetch_all(&mut *tx)
        .await?)
    }
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
