//! What a schedule enqueues: checked when somebody says it, so that no tick fails for it. When is not said here.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

use super::{PAYLOAD_MAX, row::Row};
use crate::{
    Error, Tx,
    kinds::Kinds,
    queue::{Dedupe, NewJob, enqueue::check},
};

/// How long after a tick's job has ended its key stays taken.
const KEY_KEPT: Duration = Duration::from_secs(24 * 3600);

/// The job of the tick at `tick`; its key makes it the same however often it is enqueued.
pub(super) fn of_tick(row: &Row, tick: DateTime<Utc>) -> NewJob {
    let key = format!("schedule:{}@{}", row.name, tick.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    NewJob { dedupe: Some(Dedupe { key, keep_for: Some(KEY_KEPT) }), ..unkeyed(row) }
}

/// A job that no tick asked for.
pub(super) fn unkeyed(row: &Row) -> NewJob {
    NewJob {
        queue: row.queue.clone(),
        kind: row.kind.clone(),
        station: row.station(),
        priority: row.priority,
        delay: Duration::ZERO,
        attempts_max: row.attempts_max,
        dedupe: None,
        parent: None,
        trace_parent: None,
        payload: row.payload.clone(),
    }
}

/// Queue and attempts of a kind's jobs, where nothing else is said.
pub(super) struct Defaults {
    pub(super) queue: Option<&'static str>,
    pub(super) attempts_max: Option<i16>,
}

/// Refuses a kind that nobody would run, and a payload that its kind can't read. What a kind of another program can read, only
/// that program knows.
pub(super) async fn check_kind(tx: &mut Tx, kinds: &Kinds, kind: &str, payload: &Value) -> Result<Defaults, Error> {
    if let Some(entry) = kinds.get(kind) {
        entry
            .check(payload)
            .map_err(|error| Error::invalid("payload", format!("doesn't decode as {kind}: {error}")))?;
        return Ok(Defaults { queue: Some(entry.policy.queue), attempts_max: Some(entry.policy.attempts_max) });
    }
    let known = sqlx::query_scalar!(
        r#"select exists (
            select from vtoc.worker
            where stopped_at is null and seen_at > (select vtoc.clock()) - interval '1 minute' and $1 = any(kinds)
        ) as "known!""#,
        kind
    )
    .fetch_one(&mut **tx)
    .await?;
    if !known {
        let detail =
            format!("nobody knows {kind:?}, neither this program nor a live worker: start a worker that does first");
        return Err(Error::invalid("kind", detail));
    }
    Ok(Defaults { queue: None, attempts_max: None })
}

/// Refuses what the queue would refuse at every tick.
pub(super) fn check_job(job: &NewJob) -> Result<(), Error> {
    let bytes = job.payload.to_string().len();
    if bytes > PAYLOAD_MAX {
        return Err(Error::invalid("payload", format!("{bytes} bytes, a schedule's are at most {PAYLOAD_MAX}")));
    }
    if job.queue.is_empty() || job.queue.contains('\0') {
        return Err(Error::invalid("queue", "expected a queue's name"));
    }
    if job.attempts_max < 1 {
        return Err(Error::invalid("attempts_max", "expected 1 or more"));
    }
    check(job, bytes)
}
