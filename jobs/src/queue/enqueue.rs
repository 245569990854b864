//! Enqueue: in the caller's transaction, one or many, with keys that make a repeat the same job.

use std::time::Duration;

use serde_json::Value;
use sqlx::postgres::types::PgInterval;

use super::large;
use crate::{
    Error, JobId, Scope, StationId, Tx,
    database::{as_fleet, as_station},
};

/// Payload bytes that are stored with the job, as JSON text; larger ones are stored beside it, up to [`large::LARGE_MAX`].
pub const PAYLOAD_MAX: usize = 256 * 1024;

/// The longest time that anything is put off, waited for or kept: a century. Of a new job more is refused, of what runs already it
/// is cut. The database knows it as 36525 days.
pub const PERIOD_MAX: Duration = Duration::from_secs(36_525 * 86_400);

/// A job to enqueue.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Which queue holds it.
    pub queue: String,
    /// What it does: a released kind's name.
    pub kind: String,
    /// Whose it is; none is the fleet's.
    pub station: Option<StationId>,
    /// Higher first.
    pub priority: i16,
    /// How long from now until it may run; at most [`PERIOD_MAX`].
    pub delay: Duration,
    /// Attempts at most.
    pub attempts_max: i16,
    /// What makes a repeat the same job.
    pub dedupe: Option<Dedupe>,
    /// The job on whose behalf.
    pub parent: Option<JobId>,
    /// W3C trace context.
    pub trace_parent: Option<String>,
    /// The kind's own fields.
    pub payload: Value,
}

/// A key, unique per station and kind among live jobs.
#[derive(Debug, Clone)]
pub struct Dedupe {
    /// The key.
    pub key: String,
    /// How long it stays taken after the job has finished; at most [`PERIOD_MAX`].
    pub keep_for: Option<Duration>,
}

/// What an enqueue came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// The job: the new one, or the one that holds the key.
    pub id: JobId,
    /// Whether it is new.
    pub fresh: bool,
}

/// Enqueues `jobs` in the caller's transaction and answers in their order. A taken key is no error. The transaction must
/// be in fleet scope, or in the scope of the one station all jobs belong to. Wake the workers after the commit.
///
/// # Errors
/// [`Error::Invalid`] for a payload over [`large::LARGE_MAX`], with a NUL character or with a field of the queue's own, for a
/// time over [`PERIOD_MAX`] and, in a station's scope, for a job that isn't that station's (then nothing was sent and the
/// transaction still stands).
pub async fn enqueue(tx: &mut Tx, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
    place(tx, jobs, false).await
}

/// [`enqueue`]; the end of `awaited` jobs may count for a parent.
pub(super) async fn place(tx: &mut Tx, jobs: &[NewJob], awaited: bool) -> Result<Vec<Enqueued>, Error> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let columns = Columns::of(jobs)?;
    let station = own_station(tx, jobs)?;
    // A station can't write into the queue: it could put a job under another's id.
    if station.is_some() {
        as_fleet(tx).await?;
    }
    let keyed = columns.dedupe_key.iter().any(Option::is_some);
    let enqueued =
        if keyed { insert(tx, &columns, awaited).await? } else { insert_without_keys(tx, &columns, awaited).await? };
    if !columns.large.is_empty() {
        large::store(tx, jobs, &columns.large, &enqueued).await?;
    }
    if let Some(station) = station {
        as_station(tx, station).await?;
    }
    Ok(enqueued)
}

/// The station in whose scope `tx` is, if it is in one's and all `jobs` are that station's.
fn own_station(tx: &Tx, jobs: &[NewJob]) -> Result<Option<StationId>, Error> {
    let Some(Scope::Station(station)) = tx.scope() else { return Ok(None) };
    if jobs.iter().any(|job| job.station != Some(station)) {
        return Err(Error::invalid("station", "a station enqueues for itself"));
    }
    Ok(Some(station))
}

async fn insert(tx: &mut Tx, columns: &Columns<'_>, awaited: bool) -> Result<Vec<Enqueued>, Error> {
    let rows = sqlx::query!(
        r#"with today as materialized (
            select vtoc.clock() as now
        ),
        -- The day above the number: see job_body.
        given as materialized (
            select u.position, (floor(extract(epoch from today.now) / 86400)::bigint << 40) | nextval('vtoc.job_id') as id, today.now, u.queue, u.kind, u.station_id, u.priority, u.delay, u.attempts_max,
                u.dedupe_key, u.keep_for, u.parent_id, u.trace_parent, u.payload::jsonb
            from unnest($1::text[], $2::text[], $3::bigint[], $4::smallint[], $5::interval[], $6::smallint[], $7::text[], $8::interval[],
                $9::bigint[], $10::text[], $11::text[]) with ordinality
                as u (queue, kind, station_id, priority, delay, attempts_max, dedupe_key, keep_for, parent_id, trace_parent, payload, position)
            cross join today
        ),
        -- Sorted, so that two batches with the same keys wait for each other instead of deadlocking. Taking the row's lock
        -- either way keeps its job live until this transaction ends.
        key as (
            insert into vtoc.job_unique as held (station_id, kind, key, job_id, enqueued_at, keep_for)
            select distinct on (coalesce(station_id, 0), kind, dedupe_key) coalesce(station_id, 0), kind, dedupe_key, id, now, keep_for
            from given
            where dedupe_key is not null
            order by coalesce(station_id, 0), kind, dedupe_key, position
            on conflict (station_id, kind, key) do update
            set job_id = case when held.expires_at <= vtoc.clock() then excluded.job_id else held.job_id end,
                enqueued_at = case when held.expires_at <= vtoc.clock() then excluded.enqueued_at else held.enqueued_at end,
                keep_for = case when held.expires_at <= vtoc.clock() then excluded.keep_for else held.keep_for end,
                expires_at = case when held.expires_at <= vtoc.clock() then null else held.expires_at end
            returning station_id, kind, key, job_id, enqueued_at
        ),
        fresh as (
            select given.*
            from given
            left join key on key.station_id = coalesce(given.station_id, 0) and key.kind = given.kind and key.key = given.dedupe_key
            where given.dedupe_key is null or key.job_id = given.id
        ),
        body as (
            insert into vtoc.job_body (id, enqueued_at, queue, kind, station_id, priority, attempts_max, dedupe_key, parent_id, trace_parent, payload)
            select id, now, queue, kind, station_id, priority, attempts_max, dedupe_key, parent_id, trace_parent, payload
            from fresh
        ),
        ready as (
            insert into vtoc.job_ready (id, queue, kind, station_id, priority, run_at, due, keyed, attempts_max, awaited)
            select id, queue, kind, station_id, priority, now + delay, delay <= interval '0', dedupe_key is not null, attempts_max, $12
            from fresh
        )
        select coalesce(key.job_id, given.id) as "id!",
            coalesce(key.job_id, given.id) = given.id as "fresh!",
            coalesce(key.enqueued_at, given.now) as "enqueued_at!"
        from given
        left join key on key.station_id = coalesce(given.station_id, 0) and key.kind = given.kind and key.key = given.dedupe_key
        order by given.position"#,
        &columns.queue as &[&str],
        &columns.kind as &[&str],
        &columns.station as &[Option<i64>],
        &columns.priority,
        &columns.delay,
        &columns.attempts_max,
        &columns.dedupe_key as &[Option<&str>],
        &columns.keep_for as &[Option<PgInterval>],
        &columns.parent as &[Option<i64>],
        &columns.trace_parent as &[Option<&str>],
        &columns.payload,
        awaited
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| Enqueued { id: JobId::new(row.id, row.enqueued_at), fresh: row.fresh }).collect())
}

/// The same for jobs none of which has a key, at a fraction of the cost.
async fn insert_without_keys(tx: &mut Tx, columns: &Columns<'_>, awaited: bool) -> Result<Vec<Enqueued>, Error> {
    let row = sqlx::query!(
        r#"with today as materialized (
            select now, floor(extract(epoch from now) / 86400)::bigint << 40 as day from (select vtoc.clock() as now) c
        ),
        given as materialized (
            select today.day | nextval('vtoc.job_id') as id, today.now, u.queue, u.kind, u.station_id, u.priority, u.delay, u.attempts_max,
                u.parent_id, u.trace_parent, u.payload
            from unnest($1::text[], $2::text[], $3::bigint[], $4::smallint[], $5::interval[], $6::smallint[], $7::bigint[], $8::text[], $9::text[])
                as u (queue, kind, station_id, priority, delay, attempts_max, parent_id, trace_parent, payload)
            cross join today
        ),
        body as (
            insert into vtoc.job_body (id, enqueued_at, queue, kind, station_id, priority, attempts_max, parent_id, trace_parent, payload)
            select id, now, queue, kind, station_id, priority, attempts_max, parent_id, trace_parent, payload::jsonb
            from given
        ),
        ready as (
            insert into vtoc.job_ready (id, queue, kind, station_id, priority, run_at, due, keyed, attempts_max, awaited)
            select id, queue, kind, station_id, priority, now + delay, delay <= interval '0', false, attempts_max, $10
            from given
        )
        -- Drawn in the order of the batch.
        select array_agg(id order by id) as "ids!", max(now) as "enqueued_at!" from given"#,
        &columns.queue as &[&str],
        &columns.kind as &[&str],
        &columns.station as &[Option<i64>],
        &columns.priority,
        &columns.delay,
        &columns.attempts_max,
        &columns.parent as &[Option<i64>],
        &columns.trace_parent as &[Option<&str>],
        &columns.payload,
        awaited
    )
    .fetch_one(&mut **tx)
    .await?;
    let enqueued = |id| Enqueued { id: JobId::new(id, row.enqueued_at), fresh: true };
    Ok(row.ids.into_iter().map(enqueued).collect())
}

/// Bytes of a queue's or a kind's name, and of a dedupe key: they stand in indexes, whose entries must be small.
const NAME_MAX: usize = 200;
const KEY_MAX: usize = 1_000;

/// Whether a job can be enqueued at all, whose payload has so many bytes as text.
pub(crate) fn check(job: &NewJob, bytes: usize) -> Result<(), Error> {
    let in_length = |field, text: &str, max: usize| match text.len() {
        length if length <= max => Ok(()),
        length => Err(Error::invalid(field, format!("{length} bytes; at most {max}"))),
    };
    in_length("queue", &job.queue, NAME_MAX)?;
    in_length("kind", &job.kind, NAME_MAX)?;
    in_length("dedupe_key", job.dedupe.as_ref().map_or("", |dedupe| &dedupe.key), KEY_MAX)?;
    large::check(&job.payload, bytes)?;
    in_reach("delay", job.delay)?;
    in_reach("keep_for", job.dedupe.as_ref().and_then(|dedupe| dedupe.keep_for).unwrap_or_default())
}

fn in_reach(field: &'static str, period: Duration) -> Result<(), Error> {
    if period > PERIOD_MAX {
        return Err(Error::invalid(field, "at most 36525 days"));
    }
    Ok(())
}

/// How many bytes `payload` has as text, without writing that text.
pub(super) fn length(payload: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, payload).expect("a value is JSON, and counting doesn't fail");
    count.0
}

#[derive(Default)]
struct Columns<'a> {
    queue: Vec<&'a str>,
    kind: Vec<&'a str>,
    station: Vec<Option<i64>>,
    priority: Vec<i16>,
    delay: Vec<PgInterval>,
    attempts_max: Vec<i16>,
    dedupe_key: Vec<Option<&'a str>>,
    keep_for: Vec<Option<PgInterval>>,
    parent: Vec<Option<i64>>,
    trace_parent: Vec<Option<&'a str>>,
    payload: Vec<String>,
    /// Places in the batch of payloads that are stored beside.
    large: Vec<usize>,
}

impl<'a> Columns<'a> {
    fn of(jobs: &'a [NewJob]) -> Result<Self, Error> {
        let mut columns = Self::default();
        for (place, job) in jobs.iter().enumerate() {
            let text = job.payload.to_string();
            check(job, text.len())?;
            columns.queue.push(&job.queue);
            columns.kind.push(&job.kind);
            columns.station.push(job.station.map(|station| station.0));
            columns.priority.push(job.priority);
            columns.delay.push(interval(job.delay));
            columns.attempts_max.push(job.attempts_max);
            columns.dedupe_key.push(job.dedupe.as_ref().map(|dedupe| dedupe.key.as_str()));
            columns.keep_for.push(job.dedupe.as_ref().and_then(|dedupe| dedupe.keep_for).map(interval));
            columns.parent.push(job.parent.map(JobId::key));
            columns.trace_parent.push(job.trace_parent.as_deref());
            if text.len() > PAYLOAD_MAX {
                columns.large.push(place);
                columns.payload.push(large::stand_in(text.len()).to_string());
            } else {
                columns.payload.push(text);
            }
        }
        Ok(columns)
    }
}

/// A duration as Postgres takes it, in microseconds; [`PERIOD_MAX`] at most, so that any time can be counted with it.
pub(crate) fn interval(duration: Duration) -> PgInterval {
    let microseconds = i64::try_from(duration.min(PERIOD_MAX).as_micros()).expect("a century is less than 2^63 µs");
    PgInterval { months: 0, days: 0, microseconds }
}
