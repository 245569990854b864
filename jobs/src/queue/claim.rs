//! Claiming: one statement takes as many jobs as there are free slots, under one lease with one token.

use std::{collections::HashMap, ops::Deref, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, Row, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::{enqueue::interval, wait};
use crate::{Database, Error, JobId, Scope, StationId, Tx};

/// What a worker process asks for.
#[derive(Debug, Clone)]
pub struct Claim<'a> {
    /// The process.
    pub worker: Uuid,
    /// Queues it drains.
    pub queues: &'a [String],
    /// Kinds it knows; others are left alone.
    pub kinds: &'a [String],
    /// Jobs at most.
    pub limit: u32,
    /// How long the lease lasts unless it is renewed.
    pub lease: Duration,
}

/// A job under a lease.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// What its end will be written with.
    pub held: Held,
    /// What people call it.
    pub id: JobId,
    /// When it was enqueued.
    pub enqueued_at: DateTime<Utc>,
    /// W3C trace context of whoever enqueued it.
    pub trace_parent: Option<String>,
    /// The kind's own fields, undecoded.
    pub payload: Box<RawValue>,
}

/// A claimed job reads as what is held of it.
impl Deref for Claimed {
    type Target = Held;

    fn deref(&self) -> &Held {
        &self.held
    }
}

/// What is known of a running job wherever its end is decided.
#[derive(Debug, Clone)]
pub struct Held {
    /// The job.
    pub key: i64,
    /// The claim's token: fences every change.
    pub token: i64,
    /// How many jobs the claim took.
    pub batch: i32,
    /// The queue it came from.
    pub queue: Arc<str>,
    /// What it does.
    pub kind: Arc<str>,
    /// Whose it is.
    pub station: Option<StationId>,
    /// Higher first.
    pub priority: i16,
    /// This attempt, from 1.
    pub attempt: i16,
    /// Attempts at most.
    pub attempts_max: i16,
    /// Whether it holds a dedupe key.
    pub keyed: bool,
    /// Whether its end may count for a parent.
    pub awaited: bool,
}

impl Held {
    /// What tells this attempt from every other: the job and the claim's token.
    #[must_use]
    pub fn attempt_key(&self) -> (i64, i64) {
        (self.key, self.token)
    }
}

/// The few names that the many rows of a claim share.
#[derive(Default)]
struct Names(Vec<Arc<str>>);

impl Names {
    fn of(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| ***known == *name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = name.into();
        self.0.push(Arc::clone(&new));
        new
    }
}

/// What the body of a job says.
struct Body {
    enqueued_at: DateTime<Utc>,
    trace_parent: Option<String>,
    payload: Box<RawValue>,
}

impl Body {
    /// Reads one from the columns behind `first`; none where a body of that day isn't any more.
    fn read(row: &PgRow, first: usize) -> Result<Option<Self>, sqlx::Error> {
        let (Some(enqueued_at), Some(Json(payload))) = (row.try_get(first)?, row.try_get(first + 2)?) else {
            return Ok(None);
        };
        Ok(Some(Self { enqueued_at, trace_parent: row.try_get(first + 1)?, payload }))
    }
}

/// Reads what [`take`] selects, in its order: looking columns up by name would cost as much as the rest.
fn held(rows: &[PgRow]) -> Result<Vec<(Held, Option<Body>)>, sqlx::Error> {
    let mut names = Names::default();
    let batch = i32::try_from(rows.len()).unwrap_or(i32::MAX);
    let mut held = |row: &PgRow| {
        let held = Held {
            key: row.try_get(0)?,
            token: row.try_get(1)?,
            batch,
            queue: names.of(row.try_get(2)?),
            kind: names.of(row.try_get(3)?),
            station: row.try_get::<Option<i64>, _>(4)?.map(StationId),
            priority: row.try_get(5)?,
            attempt: row.try_get(6)?,
            attempts_max: row.try_get(7)?,
            keyed: row.try_get(8)?,
            awaited: row.try_get(9)?,
        };
        Ok((held, Body::read(row, 10)?))
    };
    rows.iter().map(&mut held).collect()
}

/// The jobs with their bodies. Those of days long past are asked for apart: looking for each in two places would be felt.
async fn with_bodies(tx: &mut Tx, held: Vec<(Held, Option<Body>)>) -> Result<Vec<Claimed>, Error> {
    let elsewhere: Vec<i64> = held.iter().filter(|(_, body)| body.is_none()).map(|(held, _)| held.key).collect();
    let mut kept = HashMap::new();
    if !elsewhere.is_empty() {
        // By a statement of its own, which sees a body that was moved between the two.
        let rows = sqlx::query("select id, enqueued_at, trace_parent, payload from vtoc.job_kept where id = any($1)")
            .bind(&elsewhere)
            .fetch_all(&mut **tx)
            .await?;
        for row in &rows {
            if let Some(body) = Body::read(row, 1)? {
                kept.insert(row.try_get::<i64, _>(0)?, body);
            }
        }
    }
    let claimed = |(held, body): (Held, Option<Body>)| {
        let Body { enqueued_at, trace_parent, payload } = body.or_else(|| kept.remove(&held.key))?;
        Some(Claimed { id: JobId::new(held.key, enqueued_at), held, enqueued_at, trace_parent, payload })
    };
    Ok(held.into_iter().filter_map(claimed).collect())
}

/// Limits for callers who claim often. A limit is a literal of its statement, which is then planned once and well; with a
/// parameter Postgres plans anew each time, or for a tenth of the table. So there should be few.
const STEPS: [u32; 12] = [1, 2, 5, 10, 20, 50, 100, 150, 200, 300, 400, 500];

/// Takes up to `limit` due jobs: higher priority first, then the one that has been due longest.
///
/// # Errors
/// [`Error::Unavailable`] without the database. A claim whose answer was lost stays claimed until its lease ends.
pub async fn claim(database: &Database, claim: &Claim<'_>) -> Result<Vec<Claimed>, Error> {
    if claim.limit == 0 {
        return Ok(Vec::new());
    }
    let limit = claim.limit;
    let picked = format!(
        "select r.ctid, r.priority, r.run_at, r.id
        from unnest($1::text[]) q (queue)
        cross join lateral (
            select ready.ctid, ready.priority, ready.run_at, ready.id
            from vtoc.job_ready ready
            where ready.queue = q.queue and ready.due and not ready.suspect and ready.kind = any($2)
            order by ready.priority desc, ready.run_at, ready.id
            limit {limit}
            for update skip locked
        ) r
        order by r.priority desc, r.run_at, r.id
        limit {limit}"
    );
    take(database, claim, &picked, false).await
}

/// The limit to claim with when there is room for `limit`: the next step down.
#[must_use]
pub fn step(limit: u32) -> u32 {
    STEPS.into_iter().rfind(|step| *step <= limit).unwrap_or(1)
}

/// Takes the one suspect that has been due longest, for a process that runs nothing else.
///
/// # Errors
/// As [`claim`].
pub async fn claim_suspect(database: &Database, claim: &Claim<'_>) -> Result<Option<Claimed>, Error> {
    let picked = "select ctid
        from vtoc.job_ready
        where queue = any($1) and due and suspect and kind = any($2)
        order by run_at
        limit 1
        for update skip locked";
    Ok(take(database, claim, picked, true).await?.pop())
}

/// Moves what `picked` picks under a new lease and reads the bodies.
async fn take(database: &Database, claim: &Claim<'_>, picked: &str, suspect: bool) -> Result<Vec<Claimed>, Error> {
    let statement = format!(
        "with picked as (
            {picked}
        ),
        taken as (
            delete from vtoc.job_ready
            where ctid = any(array(select ctid from picked))
            returning id, queue, kind, station_id, priority, run_at, keyed, awaited, attempt, attempts_max, crash_count
        ),
        lease as (
            insert into vtoc.job_lease (token, worker_id, lease_until, started_at, suspect, crash_count, ids, attempts)
            select nextval('vtoc.lease_token'), $3, vtoc.clock() + $4, vtoc.clock(), {suspect}, max(crash_count), array_agg(id),
                array_agg((attempt + 1)::smallint)
            from taken
            having count(*) > 0
            returning token
        )
        select t.id, l.token, t.queue, t.kind, t.station_id, t.priority, (t.attempt + 1)::smallint, t.attempts_max, t.keyed, t.awaited,
            j.enqueued_at, j.trace_parent, j.payload
        from taken t
        cross join lease l
        left join vtoc.job_body j on j.id = t.id
        order by t.priority desc, t.run_at, t.id"
    );
    database
        .bounded(async {
            let mut tx = database.begin_planned().await?;
            let rows = sqlx::query(AssertSqlSafe(statement))
                .bind(claim.queues)
                .bind(claim.kinds)
                .bind(claim.worker)
                .bind(interval(claim.lease))
                .fetch_all(&mut *tx)
                .await?;
            // Before the commit: jobs that nobody can read are not to be leased.
            let claimed = with_bodies(&mut tx, held(&rows)?).await?;
            tx.commit().await?;
            Ok(claimed)
        })
        .await
}

/// Jobs whose time has come that one look marks, and as many that have waited long enough. A literal in both statements, for
/// the sake of their plans.
const LOOK_MAX: i64 = 1_000;

/// What a look around before a claim found.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// Jobs whose time had come and that may be claimed now.
    pub promoted: u64,
    /// Whether more may have come due than one look marks.
    pub more: bool,
    /// How long until the next job's time comes, or the deadline of one that waits.
    pub next_due_in: Option<Duration>,
    /// Whether there are jobs to claim.
    pub due: bool,
    /// Whether a suspect waits for a process of its own.
    pub suspects: bool,
    /// Jobs of this process that somebody asked to stop, with the reason.
    pub cancelled: Vec<(i64, String)>,
}

/// Marks jobs whose time has come, wakes those that have waited long enough, and reports what else a worker should know, once a poll.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn look(database: &Database, worker: Uuid, queues: &[String], kinds: &[String]) -> Result<Look, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let row = sqlx::query!(
                r#"with come as (
                    select id
                    from vtoc.job_ready
                    where not due and run_at <= (select vtoc.clock())
                    order by run_at
                    limit 1000
                    for update skip locked
                ),
                promoted as (
                    update vtoc.job_ready r
                    set due = true
                    from come
                    where r.id = come.id
                    returning r.id
                ),
                -- Whoever runs the job now, which needn't be who ran it when it was called off.
                called_off as (
                    select c.job_id, c.reason
                    from vtoc.job_cancel c
                    join vtoc.job_lease l on c.job_id = any(l.ids)
                    where l.worker_id = $1
                )
                select (select count(*) from promoted) as "promoted!",
                    (extract(epoch from least(
                        -- A time that never comes can't be counted with, and keeps no other from coming.
                        (select min(run_at) from vtoc.job_ready where not due and run_at > (select vtoc.clock()) and isfinite(run_at)),
                        (select min(deadline) from vtoc.job_waiting where isfinite(deadline))
                    ) - vtoc.clock()) * 1000)::bigint as next_due_ms,
                    exists (select from vtoc.job_waiting where deadline <= (select vtoc.clock())) as "late!",
                    exists (select from promoted)
                        or exists (select from vtoc.job_ready where queue = any($2) and due and not suspect and kind = any($3)) as "due!",
                    exists (select from vtoc.job_ready where queue = any($2) and due and suspect and kind = any($3)) as "suspects!",
                    array(select job_id from called_off order by job_id) as "cancelled!",
                    array(select reason from called_off order by job_id) as "reasons!""#,
                worker,
                queues,
                kinds
            )
            .fetch_one(&mut *tx)
            .await?;
            let woken = if row.late { wait::wake_late(&mut tx).await? } else { 0 };
            tx.commit().await?;
            Ok(Look {
                promoted: row.promoted.unsigned_abs(),
                more: row.promoted == LOOK_MAX || woken == LOOK_MAX,
                next_due_in: row.next_due_ms.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))),
                due: row.due || woken > 0,
                suspects: row.suspects,
                cancelled: row.cancelled.into_iter().zip(row.reasons).collect(),
            })
        })
        .await
}
