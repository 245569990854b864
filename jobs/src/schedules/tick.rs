//! The tick: enqueues the jobs of what is due and says when each schedule ticks next, in one transaction. Who comes at the same
//! time steps over the rows that another holds; a tick that nevertheless comes twice finds its job's key taken.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    job::{check_job, of_tick, unkeyed},
    missed::{Due, due},
    row::{NEVER, Row, read},
    timetable::Tick,
};
use crate::{
    Database, Error, Scope, Tx,
    queue::{Enqueued, NewJob, enqueue},
};

/// Schedules of one transaction, at most.
const SCHEDULES_MAX: i64 = 100;
/// Jobs of one transaction beyond which it takes no more schedules.
const JOBS_MAX: usize = 500;

/// What a tick came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Schedules that were due and that nobody else held.
    pub settled: usize,
    /// Jobs that are new.
    pub jobs: usize,
    /// Queues that have them: wake their workers.
    pub queues: BTreeSet<String>,
    /// Schedules some of whose ticks were missed, whatever their policy made of it.
    pub missed: Vec<String>,
    /// Schedules that never tick again, and why.
    pub ended: Vec<(String, String)>,
    /// How long until the next schedule is due, zero for at once; none when there is none.
    pub next_in: Option<Duration>,
}

/// Enqueues what is due. Safe to call at any time and by any number of processes at once; wake the workers of its queues then.
/// It costs one statement while nothing is due. What another process holds counts as due until that one has committed.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn tick(database: &Database) -> Result<Ticked, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let mut ticked = Ticked { next_in: next_in(&mut tx).await?, ..Ticked::default() };
            if ticked.next_in == Some(Duration::ZERO) {
                let names = lock_due(&mut tx).await?;
                let rows = read(&mut tx, None, Some(&names)).await?;
                settle(&mut tx, &rows, &mut ticked).await?;
                ticked.next_in = next_in(&mut tx).await?;
            }
            tx.commit().await?;
            Ok(ticked)
        })
        .await
}

async fn next_in(tx: &mut Tx) -> Result<Option<Duration>, Error> {
    let until_ms = sqlx::query_scalar!(
        "select ceil(extract(epoch from min(next_run_at) - vtoc.clock()) * 1000)::bigint from vtoc.schedule where next_run_at is not null"
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(until_ms.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
}

async fn lock_due(tx: &mut Tx) -> Result<Vec<String>, Error> {
    Ok(sqlx::query_scalar!(
        "select name
        from vtoc.schedule
        where next_run_at <= (select vtoc.clock())
        order by next_run_at
        limit $1
        for update skip locked",
        SCHEDULES_MAX
    )
    .fetch_all(&mut **tx)
    .await?)
}

/// What a locked schedule comes to.
struct Judged {
    name: String,
    jobs: Vec<NewJob>,
    /// The last tick that has a job.
    last: Option<DateTime<Utc>>,
    missed: bool,
    next: Option<Tick>,
    ended: Option<String>,
}

/// Enqueues what is due of `rows`, whose locks the transaction holds, and writes how they go on.
pub(super) async fn settle(tx: &mut Tx, rows: &[Row], ticked: &mut Ticked) -> Result<(), Error> {
    let (mut judged, mut jobs) = (Vec::new(), Vec::new());
    for row in rows {
        if jobs.len() >= JOBS_MAX {
            break;
        }
        let mut one = judge(row);
        jobs.append(&mut one.jobs);
        judged.push((one, jobs.len()));
    }
    // Boxed: it needs much room, and seldom.
    let enqueued = Box::pin(enqueue(tx, &jobs)).await?;
    for (job, _) in jobs.iter().zip(&enqueued).filter(|(_, enqueued)| enqueued.fresh) {
        ticked.jobs += 1;
        ticked.queues.insert(job.queue.clone());
    }
    write(tx, &judged, &enqueued).await?;
    ticked.settled += judged.len();
    for (one, _) in judged {
        if one.missed {
            ticked.missed.push(one.name.clone());
        }
        ticked.ended.extend(one.ended.map(|why| (one.name, why)));
    }
    Ok(())
}

fn judge(row: &Row) -> Judged {
    let read = check_job(&unkeyed(row)).and_then(|()| Ok((row.timetable()?, row.missed()?)));
    let (due, ended) = match (read, row.next_tick_at) {
        (Ok((timetable, missed)), Some(first)) => {
            let due = due(&timetable, missed, first, row.now);
            let ended = due.next.is_none().then(|| NEVER.to_owned());
            (due, ended)
        }
        (Ok(_), None) => (Due::default(), row.ended.clone()),
        // Written by somebody else, or by a program that knew more. It mustn't hold up the others.
        (Err(error), _) => (Due::default(), Some(error.to_string())),
    };
    Judged {
        name: row.name.clone(),
        jobs: due.ticks.iter().map(|tick| of_tick(row, *tick)).collect(),
        last: due.ticks.last().copied(),
        missed: due.missed,
        next: due.next,
        ended,
    }
}

/// `judged` with the number of jobs up to the end of each.
async fn write(tx: &mut Tx, judged: &[(Judged, usize)], enqueued: &[Enqueued]) -> Result<(), Error> {
    let last_job = |(one, end): &(Judged, usize)| one.last.map(|_| enqueued[end - 1].id.uuid());
    let each = || judged.iter().map(|(one, _)| one);
    sqlx::query!(
        "update vtoc.schedule c
        set next_tick_at = u.next_tick_at,
            next_run_at = u.next_run_at,
            ended = u.ended,
            last_tick_at = coalesce(u.last_tick_at, c.last_tick_at),
            last_job_id = coalesce(u.last_job_id, c.last_job_id)
        from unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::text[], $5::timestamptz[], $6::uuid[])
            as u (name, next_tick_at, next_run_at, ended, last_tick_at, last_job_id)
        where c.name = u.name",
        &each().map(|one| one.name.clone()).collect::<Vec<_>>(),
        &each().map(|one| one.next.map(|tick| tick.at)).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &each().map(|one| one.next.map(|tick| tick.run_at)).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &each().map(|one| one.ended.clone()).collect::<Vec<_>>() as &[Option<String>],
        &each().map(|one| one.last).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &judged.iter().map(last_job).collect::<Vec<_>>() as &[Option<Uuid>]
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
