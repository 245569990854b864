//! The sweep: jobs whose lease ran out run again. Who is to blame for a death is only said when it is known: a job that
//! was alone in its process. Everything else that was in a process that is gone becomes a suspect and reruns alone.

use std::time::Duration;

use uuid::Uuid;

use super::{
    CRASHES_MAX, RETENTION_OTHER_H,
    cancel::{Cancelled, call_off},
    enqueue::interval,
    family,
    finish::free_keys,
};
use crate::{Database, Error, Scope, aftermath, database::Line};

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Jobs made ready again.
    pub again: i64,
    /// Of those, what was in a process that is gone and can't be told to have killed it.
    pub suspects: i64,
    /// Jobs that killed their worker too often.
    pub dead: i64,
}

/// Takes jobs back whose lease ran out. `lease` is the fleet's lease; a process seen within it lives, and its jobs are not
/// suspected. With `blame` false no death is counted, since the caller was itself without the database and can't tell; jobs of a
/// process that is gone run alone all the same.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn sweep(database: &Database, lease: Duration, blame: bool) -> Result<Swept, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let expired = expired(&mut tx, lease).await?;
            let swept = if expired.is_empty() { Swept::default() } else { take_back(&mut tx, &expired, blame).await? };
            tx.commit().await?;
            forget_unheard(database).await?;
            Ok(swept)
        })
        .await
}

/// A lease that ran out.
struct Expired {
    token: i64,
    worker_id: Uuid,
    /// Whether its process was seen within one lease, or ended in good order.
    lives: bool,
}

/// Locks leases that ran out. Apart from taking their jobs back, which must see what the holders of these locks have committed;
/// one that an effect holds at this moment is left to the next sweep.
async fn expired(tx: &mut Line, lease: Duration) -> Result<Vec<Expired>, Error> {
    Ok(sqlx::query_as!(
        Expired,
        // A dead process' leases are taken together, or the last of several jobs would look alone.
        r#"select l.token, l.worker_id, coalesce(w.seen_at + $1 > vtoc.clock() or w.stopped_at is not null, false) as "lives!"
        from vtoc.job_lease l
        left join vtoc.worker w on w.id = l.worker_id
        where l.lease_until < (select vtoc.clock())
            and (coalesce(w.seen_at + $1 > vtoc.clock(), false)
                or not exists (select from vtoc.job_lease other where other.worker_id = l.worker_id and other.lease_until >= (select vtoc.clock())))
        order by l.token
        limit 500
        for update of l skip locked"#,
        interval(lease)
    )
    .fetch_all(&mut *tx)
    .await?)
}

/// Puts the jobs of locked leases back, or among the dead, and ends the leases.
#[expect(clippy::too_many_lines, reason = "one statement: what is taken back must be judged and moved at once")]
async fn take_back(tx: &mut Line, expired: &[Expired], blame: bool) -> Result<Swept, Error> {
    let tokens: Vec<i64> = expired.iter().map(|lease| lease.token).collect();
    let workers: Vec<Uuid> = expired.iter().map(|lease| lease.worker_id).collect();
    let lives: Vec<bool> = expired.iter().map(|lease| lease.lives).collect();
    let row = sqlx::query!(
        r#"with expired as materialized (
            select u.token, u.worker_id, not u.lives as lost
            from unnest($1::bigint[], $2::uuid[], $3::bool[]) as u (token, worker_id, lives)
        ),
        in_flight as materialized (
            select r.*, greatest(count(*) over (partition by r.worker_id), w.died_with) as jobs
            from vtoc.job_running r
            left join vtoc.worker w on w.id = r.worker_id
            where r.worker_id in (select worker_id from expired)
        ),
        leases as (
            delete from vtoc.job_lease l
            using expired
            where l.token = expired.token
        ),
        marks as (
            delete from vtoc.job_settled s
            using expired
            where s.token = expired.token
        ),
        judged as materialized (
            select r.id, r.token, r.worker_id, r.started_at, r.attempt, r.suspect, r.jobs, e.lost, vtoc.clock() as now, c.counts,
                (r.crash_count + c.counts::int)::smallint as crashes,
                j.queue, j.kind, j.station_id, j.priority, j.attempts_max, j.dedupe_key is not null as keyed,
                -- As a value: of an "exists" the planner may read the whole table.
                coalesce((select true from vtoc.job_child c where c.id = r.id), false) as awaited
            from in_flight r
            join expired e on e.token = r.token
            cross join lateral (select $4 and e.lost and r.jobs = 1 as counts) c
            cross join lateral (select * from vtoc.job where id = r.id limit 1) j
        ),
        back as (
            insert into vtoc.job_ready (id, queue, kind, station_id, priority, run_at, due, suspect, keyed, attempt, attempts_max, crash_count, awaited)
            select id, queue, kind, station_id, priority, now, true, suspect or lost, keyed, attempt - 1, attempts_max, crashes, awaited
            from judged
            where crashes < $5
            returning id
        ),
        history as (
            insert into vtoc.job_finished (expires_at, id, state, queue, kind, station_id, attempt, started_at, finished_at, worker_id, error)
            select now + make_interval(hours => $6::int), id, 'dead', queue, kind, station_id, attempt, started_at, now, worker_id,
                'killed its worker ' || crashes || ' times'
            from judged
            where crashes >= $5
        ),
        attempts as (
            insert into vtoc.job_attempt (job_id, token, attempt, station_id, worker_id, started_at, finished_at, outcome, error, counted)
            select id, token, attempt, station_id, worker_id, started_at, now, case when lost then 'crashed' else 'given_up' end,
                case when counts then 'its process died with this job alone in it'
                    when lost and $4 then 'its process died with ' || jobs || ' jobs in it'
                    when lost then 'its process was gone; who found that had just come back or begun'
                    else 'its lease ran out' end,
                counts
            from judged
        ),
        -- A lease that an effect holds now is judged later, by what is known now.
        died as (
            update vtoc.worker w
            set died_with = d.jobs
            from (select distinct worker_id, jobs from judged where lost) d
            where w.id = d.worker_id and w.died_with is distinct from d.jobs
        )
        select (select count(*) from back) as "again!",
            (select count(*) from judged where lost and not counts) as "suspects!",
            array(select id from judged where crashes >= $5 order by id) as "dead!",
            array(select 'killed its worker ' || crashes || ' times' from judged where crashes >= $5 order by id) as "why!",
            array(select id from judged where keyed and crashes >= $5) as "keyed!",
            array(select id from judged where awaited and crashes >= $5) as "awaited!""#,
        &tokens,
        &workers,
        &lives,
        blame,
        CRASHES_MAX,
        RETENTION_OTHER_H
    )
    .fetch_one(&mut *tx)
    .await?;
    free_keys(tx, &row.keyed).await?;
    family::failed(tx, &row.awaited).await?;
    let dead: Vec<(i64, String)> = row.dead.into_iter().zip(row.why).collect();
    if !dead.is_empty() {
        aftermath::of(tx, &dead).await?;
    }
    Ok(Swept { again: row.again, suspects: row.suspects, dead: i64::try_from(dead.len()).unwrap_or(i64::MAX) })
}

/// Requests to call jobs off that nobody will hear: of jobs that wait, which are called off here, and of those that have ended
/// otherwise. What is called off stays so while it may run again.
async fn forget_unheard(database: &Database) -> Result<(), Error> {
    let mut tx = database.begin(Scope::Fleet).await?;
    let waiting = sqlx::query!(
        "select c.job_id, c.reason
        from vtoc.job_cancel c
        join vtoc.job_waiting w on w.id = c.job_id
        order by c.job_id
        limit 100"
    )
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from vtoc.job_cancel c
        -- Not in: what runs is read once, and not once a request.
        where c.job_id not in (select r.id from vtoc.job_running r)
            and not exists (select from vtoc.job_ready r where r.id = c.job_id)
            and not exists (select from vtoc.job_waiting w where w.id = c.job_id)"
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    for asked in waiting {
        let mut tx = database.begin(Scope::Fleet).await?;
        // Woken at this very moment, it is asked again.
        if call_off(&mut tx, asked.job_id, &asked.reason).await? == Cancelled::Now {
            aftermath::of(&mut tx, &[(asked.job_id, asked.reason)]).await?;
            sqlx::query!("delete from vtoc.job_cancel where job_id = $1", asked.job_id).execute(&mut *tx).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Ends the leases of a process that is known to be dead, so that the next sweep needn't wait for them.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn report_death(database: &Database, worker: Uuid) -> Result<(), Error> {
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            // Leases before workers, as in a renewal and a sweep.
            sqlx::query!("update vtoc.job_lease set lease_until = '-infinity' where worker_id = $1", worker)
                .execute(&mut *tx)
                .await?;
            sqlx::query!("update vtoc.worker set seen_at = '-infinity' where id = $1", worker)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(())
        })
        .await
}
