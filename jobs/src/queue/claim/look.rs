//! A look around before claims: what has come due, what is called off, what waits for a process of its own.

use std::time::Duration;

use uuid::Uuid;

use crate::{Database, Error, Scope, StationId, queue::wait};

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
    /// Who shares the queues, with their weights.
    pub stations: Vec<(StationId, f32)>,
    /// Jobs of this process that somebody asked to stop, with the reason.
    pub cancelled: Vec<(i64, String)>,
}

/// Marks jobs whose time has come, wakes those that have waited long enough, and reports what else a worker should know, once a poll.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn look(database: &Database, worker: Uuid, queues: &[String], kinds: &[String]) -> Result<Look, Error> {
    look_around(database, worker, queues, kinds, true).await
}

/// [`look`] without a search for due jobs, which steps over every claimed one that no vacuum has removed yet; [`Look::due`] tells
/// of those only whose time came now.
///
/// # Errors
/// As [`look`].
pub async fn glance(database: &Database, worker: Uuid, queues: &[String], kinds: &[String]) -> Result<Look, Error> {
    look_around(database, worker, queues, kinds, false).await
}

#[expect(clippy::too_many_lines, reason = "one statement: one round trip a poll")]
async fn look_around(
    database: &Database,
    worker: Uuid,
    queues: &[String],
    kinds: &[String],
    search: bool,
) -> Result<Look, Error> {
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
                    -- While nobody calls anything off, no lease is looked at: beside an old snapshot the dead ones are many.
                    where l.worker_id = $1 and (select exists (select from vtoc.job_cancel))
                )
                select (select count(*) from promoted) as "promoted!",
                    (extract(epoch from least(
                        -- A time that never comes can't be counted with, and keeps no other from coming.
                        (select min(run_at) from vtoc.job_ready where not due and run_at > (select vtoc.clock()) and isfinite(run_at)),
                        (select min(deadline) from vtoc.job_waiting where isfinite(deadline))
                    ) - vtoc.clock()) * 1000)::bigint as next_due_ms,
                    coalesce((select min(deadline) from vtoc.job_waiting) <= vtoc.clock(), false) as "late!",
                    exists (select from promoted) or $4 and exists (
                        select
                        from unnest($2::text[]) q (queue)
                        cross join (select id from vtoc.station union all select 0) s
                        cross join lateral (
                            select
                            from vtoc.job_ready r
                            where r.queue = q.queue and (case when r.station_id is null then 0 else r.station_id end) = s.id and r.due and not r.suspect and r.kind = any($3)
                            order by r.priority desc, r.run_at, r.id
                            limit 1
                        ) r
                    ) as "due!",
                    exists (
                        select
                        from unnest($2::text[]) q (queue)
                        cross join lateral (
                            select
                            from vtoc.job_ready r
                            where r.queue = q.queue and r.due and r.suspect and r.kind = any($3)
                            order by r.run_at
                            limit 1
                        ) r
                    ) as "suspects!",
                    array(select id from vtoc.station order by id) as "stations!",
                    array(select weight from vtoc.station order by id) as "weights!",
                    array(select job_id from called_off order by job_id) as "cancelled!",
                    array(select reason from called_off order by job_id) as "reasons!""#,
                worker,
                queues,
                kinds,
                search
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
                stations: row.stations.into_iter().map(StationId).zip(row.weights).collect(),
                cancelled: row.cancelled.into_iter().zip(row.reasons).collect(),
            })
        })
        .await
}
