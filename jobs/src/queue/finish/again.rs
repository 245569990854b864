//! Jobs that run again, at once or after a pause.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;

use super::Settled;
use crate::{
    Error,
    database::Line,
    queue::{enqueue::interval, standing::Standing},
};

/// See the module.
#[derive(Default)]
pub(super) struct Again<'a> {
    jobs: Standing<'a>,
    delay: Vec<PgInterval>,
}

impl<'a> Again<'a> {
    pub(super) fn push(&mut self, settled: &Settled<'a>, delay: Duration, burned: bool) {
        self.jobs.push(settled, burned);
        self.delay.push(interval(delay));
    }

    pub(super) async fn write(&self, tx: &mut Line) -> Result<(), Error> {
        if self.jobs.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "insert into vtoc.job_ready (id, queue, kind, station_id, priority, run_at, due, keyed, attempt, attempts_max, suspect, crash_count, awaited)
            select u.id, u.queue, u.kind, u.station_id, u.priority, vtoc.clock() + u.delay, u.delay <= interval '0', u.keyed, u.attempt, u.attempts_max,
                u.suspect, u.crash_count, u.awaited
            from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::smallint[], $6::interval[], $7::bool[], $8::smallint[], $9::smallint[],
                $10::bool[], $11::smallint[], $12::bool[])
                as u (id, queue, kind, station_id, priority, delay, keyed, attempt, attempts_max, suspect, crash_count, awaited)",
            &self.jobs.key,
            &self.jobs.queue as &[&str],
            &self.jobs.kind as &[&str],
            &self.jobs.station as &[Option<i64>],
            &self.jobs.priority,
            &self.delay,
            &self.jobs.keyed,
            &self.jobs.attempt,
            &self.jobs.attempts_max,
            &self.jobs.suspect,
            &self.jobs.crash_count,
            &self.jobs.awaited
        )
        .execute(&mut *tx)
        .await?;
        Ok(())
    }
}
