//! What stays of ended attempts: the history row of a job that has ended, and a row for each attempt that it doesn't tell of.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::Settled;
use crate::{
    Error,
    database::Line,
    nul,
    queue::{
        RETENTION_DONE_H, RETENTION_OTHER_H,
        fate::{cut, omitted},
    },
};

/// Jobs that go into the history.
#[derive(Default)]
pub(super) struct Ended<'a> {
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
    pub(super) fn push(
        &mut self,
        settled: &Settled<'a>,
        state: &'static str,
        output: Option<&Value>,
        error: Option<&str>,
    ) {
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

    pub(super) async fn write(&self, tx: &mut Line) -> Result<(), Error> {
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

/// Attempts that a history row alone doesn't tell of.
#[derive(Default)]
pub(super) struct Attempts {
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
    pub(super) fn push(&mut self, settled: &Settled<'_>, outcome: &'static str, error: Option<&str>) {
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

    pub(super) async fn write(&self, tx: &mut Line) -> Result<(), Error> {
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

fn capped(output: &Value) -> Value {
    omitted(output).unwrap_or_else(|| nul::replaced(output))
}
