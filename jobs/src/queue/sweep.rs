//! The sweep: jobs whose lease ran out run again. Who is to blame for a death is only said when it is known: a job that
//! was alone in its process. Several in flight become suspects and rerun alone.

use std::time::Duration;

use uuid::Uuid;

use super::{CRASHES_MAX, RETENTION_OTHER_H, enqueue::interval};
use crate::{Database, Error, Scope, aftermath};

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Jobs made ready again.
    pub again: i64,
    /// Of those, suspects: several were in flight when their process died.
    pub suspects: i64,
    /// Jobs that killed their worker too often.
    pub dead: i64,
}

/// Takes jobs back whose lease ran out. `lease` is the fleet's lease; a process seen within it lives, and its jobs are not
/// blamed. With `blame` false nobody is: the caller was itself without the database and can't tell.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
#[expect(clippy::too_many_lines, reason = "one statement: what is taken back must be judged and moved at once")]
pub async fn sweep(database: &Database, lease: Duration, blame: bool) -> Result<Swept, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let row = sqlx::query!(
                r#"with expired as materialized (
                    -- A dead process' leases are taken together, or the last of several jobs would look alone.
                    select l.token, l.worker_id, coalesce(w.seen_at + $1 > vtoc.clock() or w.stopped_at is not null, false) as lives
                    from vtoc.job_lease l
                    left join vtoc.worker w on w.id = l.worker_id
                    where l.lease_until < (select vtoc.clock())
                        and (coalesce(w.seen_at + $1 > vtoc.clock(), false)
                            or not exists (select from vtoc.job_lease other where other.worker_id = l.worker_id and other.lease_until >= (select vtoc.clock())))
                    order by l.token
                    limit 500
                    for update of l skip locked
                ),
                in_flight as (
                    select l.worker_id, count(*) as jobs
                    from vtoc.job_running r
                    join vtoc.job_lease l on l.token = r.token
                    where l.worker_id in (select worker_id from expired)
                    group by l.worker_id
                ),
                locked as (
                    select r.id, e.worker_id, $2 and not e.lives as blamed, f.jobs
                    from vtoc.job_running r
                    join expired e on e.token = r.token
                    join in_flight f on f.worker_id = e.worker_id
                    for update of r skip locked
                ),
                gone as (
                    delete from vtoc.job_running r
                    using locked
                    where r.id = locked.id
                    returning r.*, locked.worker_id, locked.blamed, locked.jobs
                ),
                judged as (
                    select gone.*, vtoc.clock() as now,
                        blamed and jobs > 1 as newly_suspect,
                        (crash_count + case when blamed and jobs = 1 then 1 else 0 end)::smallint as crashes
                    from gone
                ),
                back as (
                    insert into vtoc.job_ready (id, queue, kind, station_id, priority, run_at, due, suspect, keyed, attempt, attempts_max, crash_count)
                    select id, queue, kind, station_id, priority, now, true, suspect or blamed, keyed, attempt - 1, attempts_max, crashes
                    from judged
                    where crashes < $3
                    returning id
                ),
                history as (
                    insert into vtoc.job_finished (expires_at, id, state, queue, kind, station_id, attempt, started_at, finished_at, worker_id, error)
                    select now + make_interval(hours => $4::int), id, 'dead', queue, kind, station_id, attempt, started_at, now, worker_id,
                        'killed its worker ' || crashes || ' times'
                    from judged
                    where crashes >= $3
                    returning id
                ),
                attempts as (
                    insert into vtoc.job_attempt (job_id, token, attempt, station_id, worker_id, started_at, finished_at, outcome, error)
                    select id, token, attempt, station_id, worker_id, started_at, now, case when blamed then 'crashed' else 'given_up' end,
                        case when blamed and jobs = 1 then 'its process died with this job alone in it'
                            when blamed then 'its process died with ' || jobs || ' jobs in it'
                            else 'its lease ran out' end
                    from judged
                ),
                -- In the order of enqueue, so that neither waits for the other in a circle.
                held as materialized (
                    select u.station_id, u.kind, u.key, u.keep_for
                    from judged
                    join vtoc.job_unique u on u.job_id = judged.id
                    where judged.keyed and judged.crashes >= $3
                    order by u.station_id, u.kind, u.key
                    for update of u
                ),
                kept as (
                    update vtoc.job_unique u
                    set expires_at = vtoc.clock() + u.keep_for
                    from held
                    where held.keep_for is not null and u.station_id = held.station_id and u.kind = held.kind and u.key = held.key
                ),
                freed as (
                    delete from vtoc.job_unique u
                    using held
                    where held.keep_for is null and u.station_id = held.station_id and u.kind = held.kind and u.key = held.key
                ),
                -- What is called off stays so while it may run again.
                unheard as (
                    delete from vtoc.job_cancel c
                    where not exists (select from vtoc.job_running r where r.id = c.job_id)
                        and not exists (select from vtoc.job_ready r where r.id = c.job_id)
                ),
                leases as (
                    delete from vtoc.job_lease l
                    using expired
                    where l.token = expired.token
                        and not exists (select from vtoc.job_running r where r.token = l.token and r.id not in (select id from gone))
                )
                select (select count(*) from back) as "again!",
                    (select count(*) from judged where newly_suspect) as "suspects!",
                    array(select id from history) as "dead!""#,
                interval(lease),
                blame,
                CRASHES_MAX,
                RETENTION_OTHER_H
            )
            .fetch_one(&mut *tx)
            .await?;
            if !row.dead.is_empty() {
                aftermath::of(&mut tx, &row.dead).await?;
            }
            tx.commit().await?;
            Ok(Swept { again: row.again, suspects: row.suspects, dead: i64::try_from(row.dead.len()).unwrap_or(i64::MAX) })
        })
        .await
}

/// Ends the leases of a process that is known to be dead, so that the next sweep needn't wait for them.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn report_death(database: &Database, worker: Uuid) -> Result<(), Error> {
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            sqlx::query!("update vtoc.worker set seen_at = '-infinity' where id = $1", worker)
                .execute(&mut *tx)
                .await?;
            sqlx::query!("update vtoc.job_lease set lease_until = '-infinity' where worker_id = $1", worker)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(())
        })
        .await
}
