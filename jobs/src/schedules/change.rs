//! Editing a schedule. What was due before the edit fires as it was; what wasn't follows the new text.

use std::time::Duration;

use serde_json::Value;

use super::{
    Expression, Missed, ScheduleView, Ticked,
    expression::Meaning,
    job::{check_job, check_kind, unkeyed},
    row::{NEVER, Row, lock, read_one, to_second, zone},
    tick::settle,
    timetable::{Tick, check_jitter},
    view::shown,
};
use crate::{Database, Error, Scope, Tx, kinds::Kinds, queue::enqueue::interval};

/// What is to be different; nothing stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Intervals count from the edit, and `now` fires again.
    pub expression: Option<String>,
    /// IANA name.
    pub time_zone: Option<String>,
    /// Also of the tick that comes next.
    pub jitter: Option<Duration>,
    /// What becomes of ticks that nobody was there for.
    pub missed: Option<Missed>,
    /// What its jobs do; their queue and attempts stay.
    pub kind: Option<String>,
    /// The jobs' queue.
    pub queue: Option<String>,
    /// The jobs' priority.
    pub priority: Option<i16>,
    /// The jobs' attempts.
    pub attempts_max: Option<i16>,
    /// The jobs' payload, whole.
    pub payload: Option<Value>,
}

/// Edits a schedule; nothing when `scope` sees none of that name. Wake the workers of its queue then: it may have fired.
///
/// # Errors
/// [`Error::Invalid`] as for a new one.
pub async fn edit(
    database: &Database,
    kinds: &Kinds,
    scope: Scope,
    name: &str,
    changes: &Changes,
) -> Result<Option<ScheduleView>, Error> {
    // Boxed: whoever calls it needn't have room for all its steps.
    database
        .bounded(Box::pin(async {
            let mut tx = database.begin(scope).await?;
            let Some(row) = lock(&mut tx, scope, name).await? else {
                tx.commit().await?;
                return Ok(None);
            };
            let row = fired(&mut tx, row).await?;
            let changed = changed(row.clone(), changes)?;
            if changes.kind.is_some() || changes.payload.is_some() {
                check_kind(&mut tx, kinds, &changed.kind, &changed.payload).await?;
            }
            check_job(&unkeyed(&changed))?;
            let next = next(&row, &changed, changes)?;
            write(&mut tx, &changed, next).await?;
            // An edit to `now` fires at once.
            if let Some(row) = lock(&mut tx, Scope::Fleet, name).await? {
                fired(&mut tx, row).await?;
            }
            let edited = shown(read_one(&mut tx, name).await?)?;
            tx.commit().await?;
            Ok(Some(edited))
        }))
        .await
}

/// The row, once what is due of it has fired.
async fn fired(tx: &mut Tx, row: Row) -> Result<Row, Error> {
    if row.next_run_at.is_none_or(|run_at| run_at > row.now) {
        return Ok(row);
    }
    settle(tx, std::slice::from_ref(&row), &mut Ticked::default()).await?;
    read_one(tx, &row.name).await?.ok_or_else(|| Error::Internal("a locked schedule is gone".to_owned()))
}

fn changed(mut row: Row, changes: &Changes) -> Result<Row, Error> {
    if let Some(text) = &changes.expression {
        let expression: Expression = text.parse()?;
        if !row.enabled && expression.meaning == Meaning::Now {
            return Err(Error::invalid(
                "expression",
                "what fires now isn't paused: resume the schedule, or trigger it",
            ));
        }
        row.expression = expression.to_string();
        row.anchor_at = to_second(row.now);
    }
    if let Some(name) = &changes.time_zone {
        row.time_zone = zone(name)?.name().to_owned();
    }
    if let Some(bound) = changes.jitter {
        row.jitter_ms = i64::try_from(check_jitter(bound)?.as_millis()).expect("a day is small");
    }
    if let Some(missed) = changes.missed {
        row.missed = missed.check()?.to_string();
    }
    row.kind = changes.kind.clone().unwrap_or(row.kind);
    row.queue = changes.queue.clone().unwrap_or(row.queue);
    row.priority = changes.priority.unwrap_or(row.priority);
    row.attempts_max = changes.attempts_max.unwrap_or(row.attempts_max);
    row.payload = changes.payload.clone().unwrap_or(row.payload);
    Ok(row)
}

/// The tick that comes next: another one only where what it follows from is another.
fn next(row: &Row, changed: &Row, changes: &Changes) -> Result<Option<Tick>, Error> {
    let timetable = changed.timetable()?;
    let next = match row.next_tick_at {
        _ if changes.expression.is_some() => timetable.first(),
        Some(tick) if changes.time_zone.is_none() => Some(timetable.tick(tick)),
        _ => timetable.next_after(row.now),
    };
    let retimed = changes.expression.is_some() || changes.time_zone.is_some();
    if next.is_none() && retimed {
        return Err(Error::invalid("expression", NEVER));
    }
    Ok(next.filter(|_| row.enabled))
}

async fn write(tx: &mut Tx, row: &Row, next: Option<Tick>) -> Result<(), Error> {
    sqlx::query!(
        "update vtoc.schedule
        set expression = $2, time_zone = $3, anchor_at = $4, jitter = $5, missed = $6, kind = $7, queue = $8, priority = $9,
            attempts_max = $10, payload = $11, next_tick_at = $12, next_run_at = $13, ended = $14, updated_at = vtoc.clock()
        where name = $1",
        row.name,
        row.expression,
        row.time_zone,
        row.anchor_at,
        interval(Duration::from_millis(row.jitter_ms.unsigned_abs())),
        row.missed,
        row.kind,
        row.queue,
        row.priority,
        row.attempts_max,
        row.payload,
        next.map(|tick| tick.at),
        next.map(|tick| tick.run_at),
        (row.enabled && next.is_none()).then(|| row.ended.clone().unwrap_or_else(|| NEVER.to_owned()))
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
