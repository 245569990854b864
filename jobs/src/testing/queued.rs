//! Jobs that wait, as a test wants to see them: with the payload as it is and the time they have left.

use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::TestDatabase;
use crate::JobId;

/// Jobs looked at, at most.
const JOBS_MAX: i64 = 10_000;
/// Characters of a value that are shown.
const SHOWN_MAX: usize = 300;

/// A job that waits for its time or for a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Queued {
    /// What people call it.
    pub id: JobId,
    /// What it does.
    pub kind: String,
    /// The queue that holds it.
    pub queue: String,
    /// Whose it is, by slug; none is the fleet's.
    pub station: Option<String>,
    /// Higher first.
    pub priority: i16,
    /// Attempts burned so far.
    pub attempt: i16,
    /// What makes a repeat the same job.
    pub dedupe_key: Option<String>,
    /// The kind's own fields, secrets included.
    pub payload: Value,
    /// When it may run.
    pub run_at: DateTime<Utc>,
    /// How long that is from now on the queue's clock; zero when it may run now.
    pub starts_in: Duration,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    enqueued_at: DateTime<Utc>,
    kind: String,
    queue: String,
    station: Option<String>,
    priority: i16,
    attempt: i16,
    dedupe_key: Option<String>,
    payload: Value,
    run_at: DateTime<Utc>,
    now: DateTime<Utc>,
}

impl From<Row> for Queued {
    fn from(row: Row) -> Self {
        Self {
            id: JobId::new(row.id, row.enqueued_at),
            kind: row.kind,
            queue: row.queue,
            station: row.station,
            priority: row.priority,
            attempt: row.attempt,
            dedupe_key: row.dedupe_key,
            payload: row.payload,
            run_at: row.run_at,
            starts_in: (row.run_at - row.now).to_std().unwrap_or_default(),
        }
    }
}

/// Every job that waits, in the order in which one queue would be drained. One that runs or has ended isn't among them.
pub async fn queued(db: &TestDatabase) -> Vec<Queued> {
    let mut tx = db.begin().await;
    let rows: Vec<Row> = sqlx::query_as(
        "select j.id, j.enqueued_at, j.kind, j.queue, s.slug as station, r.priority, r.attempt, j.dedupe_key, j.payload, r.run_at,
            vtoc.clock() as now
        from vtoc.job_ready r
        join vtoc.job j on j.id = r.id
        left join vtoc.station s on s.id = j.station_id
        order by r.priority desc, r.run_at, r.id
        limit $1",
    )
    .bind(JOBS_MAX)
    .fetch_all(&mut *tx)
    .await
    .expect("the statement is right");
    tx.commit().await.expect("the test cluster answers");
    rows.into_iter().map(Queued::from).collect()
}

/// The key of the job that was enqueued last; 0 without any. Later jobs have higher ones.
pub async fn newest_key(db: &TestDatabase) -> i64 {
    let mut tx = db.begin().await;
    let newest = sqlx::query_scalar("select coalesce(max(id), 0) from vtoc.job").fetch_one(&mut *tx).await;
    tx.commit().await.expect("the test cluster answers");
    newest.expect("the statement is right")
}

impl fmt::Display for Queued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}, ", self.kind, self.queue)?;
        match &self.station {
            Some(slug) => write!(f, "station {slug}, ")?,
            None => write!(f, "the fleet's, ")?,
        }
        write!(f, "priority {}, ", self.priority)?;
        if self.starts_in.is_zero() {
            write!(f, "due, ")?;
        } else {
            write!(f, "in {:?}, ", rounded(self.starts_in))?;
        }
        if let Some(key) = &self.dedupe_key {
            write!(f, "key {key:?}, ")?;
        }
        write!(f, "payload {}", shown(&self.payload))
    }
}

/// To the tenth of a second, for people.
pub(super) fn rounded(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis() / 100 * 100).unwrap_or(u64::MAX))
}

/// A value as JSON, cut where it gets long.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
