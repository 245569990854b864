//! A schedule as it is stored, and how a call gets hold of one. Rows are locked by one statement and read by the next, which
//! sees what the lock's last holder committed.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use chrono_tz::Tz;
use serde_json::Value;
use uuid::Uuid;

use super::{Missed, PAGE, Timetable};
use crate::{Error, Scope, StationId, Tx, database::as_fleet};

/// Why a schedule that was read can't tick.
pub(super) const NEVER: &str = "its expression never fires again";

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) station_id: Option<i64>,
    pub(super) station_slug: Option<String>,
    pub(super) expression: String,
    pub(super) time_zone: String,
    pub(super) anchor_at: DateTime<Utc>,
    pub(super) jitter_ms: i64,
    pub(super) missed: String,
    pub(super) queue: String,
    pub(super) kind: String,
    pub(super) priority: i16,
    pub(super) attempts_max: i16,
    pub(super) payload: Value,
    pub(super) enabled: bool,
    pub(super) next_tick_at: Option<DateTime<Utc>>,
    pub(super) next_run_at: Option<DateTime<Utc>>,
    pub(super) ended: Option<String>,
    pub(super) last_tick_at: Option<DateTime<Utc>>,
    pub(super) last_job_id: Option<Uuid>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    /// What time it is.
    pub(super) now: DateTime<Utc>,
}

impl Row {
    pub(super) fn station(&self) -> Option<StationId> {
        self.station_id.map(StationId)
    }

    /// When it ticks.
    pub(super) fn timetable(&self) -> Result<Timetable, Error> {
        Ok(Timetable {
            name: self.name.clone(),
            expression: self.expression.parse()?,
            zone: zone(&self.time_zone)?,
            anchor: self.anchor_at,
            jitter: Duration::from_millis(self.jitter_ms.unsigned_abs()),
        })
    }

    pub(super) fn missed(&self) -> Result<Missed, Error> {
        self.missed.parse()
    }
}

/// An IANA time zone.
pub(super) fn zone(name: &str) -> Result<Tz, Error> {
    name.parse()
        .map_err(|_| Error::invalid("time_zone", format!("{name:?} is no IANA time zone, like Europe/Berlin or UTC")))
}

/// What intervals are counted from.
pub(super) fn to_second(now: DateTime<Utc>) -> DateTime<Utc> {
    now.trunc_subsecs(0)
}

/// What time it is.
pub(super) async fn now(tx: &mut Tx) -> Result<DateTime<Utc>, Error> {
    Ok(sqlx::query_scalar!(r#"select vtoc.clock() as "now!""#).fetch_one(&mut **tx).await?)
}

/// Up to [`PAGE`] schedules behind `after`, by name, or those of `names`.
pub(super) async fn read(tx: &mut Tx, after: Option<&str>, names: Option<&[String]>) -> Result<Vec<Row>, Error> {
    Ok(sqlx::query_as!(
        Row,
        r#"select c.name, c.station_id, s.slug as "station_slug?", c.expression, c.time_zone, c.anchor_at,
            round(extract(epoch from c.jitter) * 1000)::bigint as "jitter_ms!", c.missed, c.queue, c.kind, c.priority, c.attempts_max,
            c.payload, c.enabled, c.next_tick_at, c.next_run_at, c.ended, c.last_tick_at, c.last_job_id, c.created_at, c.updated_at,
            vtoc.clock() as "now!"
        from vtoc.schedule c
        left join vtoc.station s on s.id = c.station_id
        where ($1::text is null or c.name > $1) and ($2::text[] is null or c.name = any($2))
        order by c.name
        limit $3"#,
        after,
        names as Option<&[String]>,
        i64::try_from(PAGE).expect("a page is small")
    )
    .fetch_all(&mut **tx)
    .await?)
}

/// The schedule of that name.
pub(super) async fn read_one(tx: &mut Tx, name: &str) -> Result<Option<Row>, Error> {
    Ok(read(tx, None, Some(&[name.to_owned()])).await?.pop())
}

/// Locks the schedule, if `scope` may see it, and lets the transaction go on in the fleet's scope.
pub(super) async fn lock(tx: &mut Tx, scope: Scope, name: &str) -> Result<Option<Row>, Error> {
    if scope != Scope::Fleet {
        let seen =
            sqlx::query!("select name from vtoc.schedule where name = $1", name).fetch_optional(&mut **tx).await?;
        if seen.is_none() {
            return Ok(None);
        }
        as_fleet(tx).await?;
    }
    sqlx::query!("select name from vtoc.schedule where name = $1 for update", name).fetch_optional(&mut **tx).await?;
    read_one(tx, name).await
}
