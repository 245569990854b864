//! A new schedule. One that fires now does so in the same transaction.

use chrono::{DateTime, Utc};

use super::{
    NewSchedule, ScheduleView, Ticked, Timetable,
    expression::Meaning,
    job::{check_job, check_kind},
    row::{NEVER, lock, now, read_one, to_second, zone},
    tick::settle,
    timetable::{Tick, check_jitter},
    view::shown,
};
use crate::{
    Database, Error, Scope, StationId, Tx,
    database::as_fleet,
    kinds::Kinds,
    queue::{NewJob, enqueue::interval},
    stations::{Station, by_id, find_in},
};

/// Creates a schedule. In a station's scope it is that station's. Wake the workers of its queue then: it may have fired.
///
/// # Errors
/// [`Error::Invalid`] for a name in use, an expression that can't be read or never fires, an unknown time zone, station or kind,
/// and whatever the queue would refuse of its jobs.
pub async fn create(
    database: &Database,
    kinds: &Kinds,
    scope: Scope,
    new: &NewSchedule,
) -> Result<ScheduleView, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let station = station_of(&mut tx, scope, new.station.as_deref()).await?;
            as_fleet(&mut tx).await?;
            let job = job_of(&mut tx, kinds, new, station.as_ref()).await?;
            let now = now(&mut tx).await?;
            let timetable = Timetable {
                name: new.name.clone(),
                expression: new.expression.parse()?,
                zone: zone(new.time_zone.as_deref().or(station.as_ref().map(|it| &*it.time_zone)).unwrap_or("UTC"))?,
                anchor: to_second(now),
                jitter: check_jitter(new.jitter)?,
            };
            if new.paused && timetable.expression.meaning == Meaning::Now {
                return Err(Error::invalid("paused", "what fires now doesn't begin paused"));
            }
            let first = timetable.first().ok_or_else(|| Error::invalid("expression", NEVER))?;
            insert(&mut tx, new, &timetable, &job, Some(first).filter(|_| !new.paused), now).await?;
            if !new.paused && first.run_at <= now {
                let row = lock(&mut tx, Scope::Fleet, &new.name).await?;
                settle(&mut tx, row.as_slice(), &mut Ticked::default()).await?;
            }
            let created = shown(read_one(&mut tx, &new.name).await?)?;
            tx.commit().await?;
            Ok(created)
        })
        .await
}

/// Whose it is to be; row-level security hides the others from a station.
async fn station_of(tx: &mut Tx, scope: Scope, slug: Option<&str>) -> Result<Option<Station>, Error> {
    let own: Option<StationId> = match scope {
        Scope::Station(own) => Some(own),
        Scope::Fleet => None,
    };
    let station = match (slug, own) {
        (Some(slug), _) => find_in(tx, slug).await?,
        (None, Some(own)) => by_id(tx, own).await?,
        (None, None) => return Ok(None),
    };
    station
        .map(Some)
        .ok_or_else(|| Error::invalid("station", format!("there is no station {:?}", slug.unwrap_or_default())))
}

async fn job_of(tx: &mut Tx, kinds: &Kinds, new: &NewSchedule, station: Option<&Station>) -> Result<NewJob, Error> {
    let kind = check_kind(tx, kinds, &new.kind, &new.payload).await?;
    let unsaid = |field| Error::invalid(field, format!("this program doesn't know {:?}: say it", new.kind));
    let queue = new.queue.clone().or(kind.queue.map(str::to_owned)).ok_or_else(|| unsaid("queue"))?;
    let job = NewJob {
        queue,
        kind: new.kind.clone(),
        station: station.map(|station| station.id),
        priority: new.priority,
        delay: std::time::Duration::ZERO,
        attempts_max: new.attempts_max.or(kind.attempts_max).ok_or_else(|| unsaid("attempts_max"))?,
        dedupe: None,
        parent: None,
        trace_parent: None,
        payload: new.payload.clone(),
    };
    check_job(&job)?;
    Ok(job)
}

async fn insert(
    tx: &mut Tx,
    new: &NewSchedule,
    timetable: &Timetable,
    job: &NewJob,
    first: Option<Tick>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into vtoc.schedule (name, station_id, expression, time_zone, anchor_at, jitter, missed, queue, kind, priority,
            attempts_max, payload, enabled, next_tick_at, next_run_at, created_at, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16)",
        timetable.name,
        job.station.map(|station| station.0),
        timetable.expression.to_string(),
        timetable.zone.name(),
        timetable.anchor,
        interval(timetable.jitter),
        new.missed.check()?.to_string(),
        job.queue,
        job.kind,
        job.priority,
        job.attempts_max,
        job.payload,
        first.is_some(),
        first.map(|tick| tick.at),
        first.map(|tick| tick.run_at),
        now
    )
    .execute(&mut **tx)
    .await
    .map_err(|error| match error.as_database_error().and_then(|error| error.constraint()) {
        Some("schedule_pkey") => Error::invalid("name", format!("there is a schedule {:?} already", new.name)),
        Some("schedule_name_form") => {
            Error::invalid("name", "expected lower-case letters, digits, dots, underscores and hyphens, at most 100")
        }
        _ => error.into(),
    })?;
    Ok(())
}
