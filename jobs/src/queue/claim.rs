//! Claiming: one statement takes as many jobs as there are free slots, under one lease with one token.

mod bodies;
mod front;
mod look;

use std::{ops::Deref, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, Decode, Postgres, Row, Type, postgres::PgRow};
use uuid::Uuid;

use self::{bodies::Body, front::Stretches};
pub use self::{
    front::{Fronts, Lane},
    look::{Look, glance, look},
};
use super::enqueue::interval;
use crate::{Database, Error, JobId, StationId};

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
    /// When it might have run: its place among the jobs of its priority.
    pub run_at: DateTime<Utc>,
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

/// One column of many jobs, as an array; none of no jobs.
fn column<'r, T>(row: &'r PgRow, at: usize) -> Result<Vec<T>, sqlx::Error>
where
    Vec<T>: Decode<'r, Postgres> + Type<Postgres>,
{
    Ok(row.try_get::<Option<Vec<T>>, _>(at)?.unwrap_or_default())
}

/// Reads what [`take`] selects, a column at a time: rows of one job each would cost as much as the rest. With each job, when it
/// might have run.
fn held(row: &PgRow) -> Result<Vec<(Held, DateTime<Utc>)>, sqlx::Error> {
    let token = row.try_get(0)?;
    let keys = column::<i64>(row, 1)?;
    let batch = i32::try_from(keys.len()).unwrap_or(i32::MAX);
    let (queues, kinds) = (column::<String>(row, 2)?, column::<String>(row, 3)?);
    let (stations, priorities) = (column::<Option<i64>>(row, 4)?, column::<i16>(row, 5)?);
    let (attempts, attempts_max) = (column::<i16>(row, 6)?, column::<i16>(row, 7)?);
    let (keyed, awaited) = (column::<bool>(row, 8)?, column::<bool>(row, 9)?);
    let run_at = column::<DateTime<Utc>>(row, 10)?;
    let mut names = Names::default();
    let mut held = |n: usize| {
        let held = Held {
            key: keys[n],
            token,
            batch,
            queue: names.of(&queues[n]),
            kind: names.of(&kinds[n]),
            station: stations[n].map(StationId),
            priority: priorities[n],
            attempt: attempts[n],
            attempts_max: attempts_max[n],
            keyed: keyed[n],
            awaited: awaited[n],
        };
        (held, run_at[n])
    };
    Ok((0..keys.len()).map(&mut held).collect())
}

/// Limits for callers who claim often. A limit is a literal of its statement, which is then planned once and well; with a
/// parameter Postgres plans anew each time, or for a tenth of the table. So there should be few.
const STEPS: [u32; 12] = [1, 2, 5, 10, 20, 50, 100, 150, 200, 300, 400, 500];

/// In which order jobs run that stand in one lane.
const ORDER: &str = "priority desc, run_at, id";
/// A lane's jobs together, so that where each ends is easily told.
const ORDER_BY_LANE: &str = "queue, station_id nulls first, priority desc, run_at, id";

/// Takes up to `limit` due jobs: higher priority first, then the one that has been due longest, whosever it is. It sorts all that is
/// due, which is for tests and tools; workers share their queues between stations by [`claim_from`].
///
/// # Errors
/// [`Error::Unavailable`] without the database. A claim whose answer was lost stays claimed until its lease ends.
pub async fn claim(database: &Database, claim: &Claim<'_>) -> Result<Vec<Claimed>, Error> {
    let picked = format!(
        "select ctid
        from vtoc.job_ready
        where queue = any($1) and due and not suspect and kind = any($2)
        order by {ORDER}
        limit {}
        for update skip locked",
        claim.limit
    );
    take(database, claim, Picked { statement: &picked, stretches: None, suspect: false }, || ()).await
}

/// Takes up to `limit` due jobs from `lanes`: from each as many as its quota says, higher priority first and then the one that has
/// been due longest. When the quotas come to more than the limit, the lanes that are named first have their quota. Claims from
/// `fronts` on: what came to stand behind them is not seen, but for what might have run within the last second,
/// since who enqueues needs a moment to commit. `taken` is called when the statement that takes jobs has ended: another claim may
/// follow while this one reads its bodies and commits. Of a claim that took none it is called at the end.
///
/// # Errors
/// As [`claim`].
pub async fn claim_from(
    database: &Database,
    claim: &Claim<'_>,
    lanes: &[Lane<'_>],
    fronts: &Fronts,
    taken: impl FnOnce(),
) -> Result<Vec<Claimed>, Error> {
    let statement = picked(claim.limit);
    take(
        database,
        claim,
        Picked { statement: &statement, stretches: Some(fronts.stretches(lanes)), suspect: false },
        taken,
    )
    .await
}

/// The stretches of a lane are walked in their order, and no further than its quota: a row that is locked in vain is one that
/// others step over.
fn picked(limit: u32) -> String {
    format!(
        "select r.ctid
        from unnest($1::text[], $5::bigint[], $6::int[], $7::int[], $8::int[]) with ordinality as l (queue, station, quota, first, last, lane)
        cross join lateral (
            select w.ctid, w.priority, w.run_at, w.id
            from (
                select b.behind, b.high, b.low, least(b.run_at, settled.at) as run_at, case when b.run_at <= settled.at then b.id else 0 end as id
                from generate_series(l.first, l.last) i
                cross join lateral (
                    select ($9::bool[])[i] as behind, ($10::smallint[])[i] as high, ($11::smallint[])[i] as low,
                        ($12::timestamptz[])[i] as run_at, ($13::bigint[])[i] as id
                ) b
                cross join (select vtoc.clock() - interval '1 second' as at offset 0) settled
            ) s
            cross join lateral (
                select * from (
                    select ready.ctid, ready.priority, ready.run_at, ready.id
                    from vtoc.job_ready ready
                    where s.behind and ready.queue = l.queue and (case when ready.station_id is null then 0 else ready.station_id end) = l.station
                        and ready.due and not ready.suspect and ready.kind = any($2)
                        and ready.priority = s.high and (ready.run_at, ready.id) > (s.run_at, s.id)
                    order by ready.run_at, ready.id
                    limit {limit}
                    for update skip locked
                ) behind
                union all
                select * from (
                    select ready.ctid, ready.priority, ready.run_at, ready.id
                    from vtoc.job_ready ready
                    where not s.behind and ready.queue = l.queue and (case when ready.station_id is null then 0 else ready.station_id end) = l.station
                        and ready.due and not ready.suspect and ready.kind = any($2)
                        and ready.priority <= s.high and ready.priority >= s.low
                    order by ready.priority desc, ready.run_at, ready.id
                    limit {limit}
                    for update skip locked
                ) between
            ) w
            limit l.quota
        ) r
        order by l.lane
        limit {limit}"
    )
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
    let picked = "select r.ctid
        from unnest($1::text[]) q (queue)
        cross join lateral (
            select w.ctid, w.run_at
            from vtoc.job_ready w
            where w.queue = q.queue and w.due and w.suspect and w.kind = any($2)
            order by w.run_at
            limit 1
            for update skip locked
        ) r
        order by r.run_at
        limit 1";
    Ok(take(database, claim, Picked { statement: picked, stretches: None, suspect: true }, || ()).await?.pop())
}

/// What picks the rows that a claim takes.
struct Picked<'a> {
    statement: &'a str,
    /// Where it looks; otherwise, in all the queues.
    stretches: Option<Stretches>,
    suspect: bool,
}

/// Moves what is picked under a new lease and reads the bodies, which may lie anywhere.
async fn take(
    database: &Database,
    claim: &Claim<'_>,
    picked: Picked<'_>,
    taken: impl FnOnce(),
) -> Result<Vec<Claimed>, Error> {
    if claim.limit == 0 {
        return Ok(Vec::new());
    }
    let Picked { statement: picked, stretches, suspect } = picked;
    let order = if stretches.is_some() { ORDER_BY_LANE } else { ORDER };
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
        select (select token from lease), array_agg(id), array_agg(queue), array_agg(kind), array_agg(station_id), array_agg(priority),
            array_agg((attempt + 1)::smallint), array_agg(attempts_max), array_agg(keyed), array_agg(awaited), array_agg(run_at)
        from (select * from taken order by {order}) t
        having count(*) > 0"
    );
    let taking = database.bounded(async {
        let mut tx = database.begin_planned().await?;
        let query = sqlx::query(AssertSqlSafe(statement));
        let lease = interval(claim.lease);
        let query = match stretches {
            None => query.bind(claim.queues).bind(claim.kinds).bind(claim.worker).bind(lease),
            Some(Stretches { queue, station, quota, first, last, behind, high, low, run_at, id }) => {
                let query = query.bind(queue).bind(claim.kinds).bind(claim.worker).bind(lease);
                let query = query.bind(station).bind(quota).bind(first).bind(last);
                query.bind(behind).bind(high).bind(low).bind(run_at).bind(id)
            }
        };
        let row = query.fetch_optional(&mut *tx).await?;
        let Some(row) = row else {
            tx.commit().await?;
            taken();
            return Ok(Vec::new());
        };
        taken();
        let held = held(&row)?;
        let keys: Vec<i64> = held.iter().map(|(held, _)| held.key).collect();
        // Before the commit: jobs that nobody can read are not to be leased.
        let mut bodies = bodies::read(&mut tx, &keys).await?;
        let claimed = |(held, run_at): (Held, DateTime<Utc>)| {
            let Body { enqueued_at, trace_parent, payload } = bodies.remove(&held.key)?;
            Some(Claimed { id: JobId::new(held.key, enqueued_at), held, enqueued_at, run_at, trace_parent, payload })
        };
        let claimed = held.into_iter().filter_map(claimed).collect();
        tx.commit().await?;
        Ok(claimed)
    });
    // Elsewhere than in the caller, who holds enough already.
    Box::pin(taking).await
}
