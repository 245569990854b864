//! Schedules as people see them: with the ticks to come, and without secrets.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::{
    SHOWN, Tick,
    row::{Row, read, read_one},
};
use crate::{Database, Error, JobId, Scope, inspect::redact};

/// Schedules that [`list`] answers with, at most.
pub const PAGE: usize = 500;

/// A schedule as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScheduleView {
    /// Its name.
    pub name: String,
    /// Slug of the station whose jobs it makes; none is the fleet.
    pub station: Option<String>,
    /// `active`, `paused` or `ended`.
    pub state: &'static str,
    /// Why it never ticks again.
    pub ended: Option<String>,
    /// What it was given.
    pub expression: String,
    /// IANA name.
    pub time_zone: String,
    /// At most so much later than its ticks, like `30s`.
    pub jitter: String,
    /// `skip`, `once`, or `all:` and a bound.
    pub missed: String,
    /// What its jobs do.
    pub kind: String,
    /// Their queue.
    pub queue: String,
    /// Their priority.
    pub priority: i16,
    /// Their attempts.
    pub attempts_max: i16,
    /// Their payload; values of keys that look like secrets are left out.
    pub payload: Value,
    /// The ticks to come, [`SHOWN`] at most; none while it is paused.
    pub next: Vec<Tick>,
    /// The last tick that has a job.
    pub last_tick_at: Option<DateTime<Utc>>,
    /// The job of the last tick or trigger.
    pub last_job_id: Option<JobId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it.
    pub updated_at: DateTime<Utc>,
}

impl From<Row> for ScheduleView {
    fn from(row: Row) -> Self {
        let next = next(&row);
        let state = if row.ended.is_some() {
            "ended"
        } else if row.enabled {
            "active"
        } else {
            "paused"
        };
        let mut payload = row.payload;
        redact(&mut payload);
        Self {
            name: row.name,
            station: row.station_slug,
            state,
            ended: row.ended,
            expression: row.expression,
            time_zone: row.time_zone,
            jitter: agents::durations::print(std::time::Duration::from_millis(row.jitter_ms.unsigned_abs())),
            missed: row.missed,
            kind: row.kind,
            queue: row.queue,
            priority: row.priority,
            attempts_max: row.attempts_max,
            payload,
            next,
            last_tick_at: row.last_tick_at,
            last_job_id: row.last_job_id.map(JobId::from),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A schedule that the same transaction wrote.
pub(super) fn shown(row: Option<Row>) -> Result<ScheduleView, Error> {
    row.map(ScheduleView::from).ok_or_else(|| Error::Internal("a schedule that was just written is gone".to_owned()))
}

/// From the tick on that is stored; one that can't be read has none.
fn next(row: &Row) -> Vec<Tick> {
    let (Some(first), Ok(timetable)) = (row.next_tick_at, row.timetable()) else { return Vec::new() };
    std::iter::once(timetable.tick(first)).chain(timetable.upcoming(first, SHOWN - 1)).collect()
}

/// The schedules that `scope` may see, [`PAGE`] behind the name `after` at most, by name.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn list(database: &Database, scope: Scope, after: Option<&str>) -> Result<Vec<ScheduleView>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let rows = read(&mut tx, after, None).await?;
            tx.commit().await?;
            Ok(rows.into_iter().map(ScheduleView::from).collect())
        })
        .await
}

/// The schedule of that name, if `scope` may see it.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn find(database: &Database, scope: Scope, name: &str) -> Result<Option<ScheduleView>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let row = read_one(&mut tx, name).await?;
            tx.commit().await?;
            Ok(row.map(ScheduleView::from))
        })
        .await
}
