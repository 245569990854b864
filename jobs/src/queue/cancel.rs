//! Calling a job off: at once while it waits, by its worker while it runs.

use super::RETENTION_OTHER_H;
use crate::{Database, Error, JobId, Scope, aftermath};

/// What came of calling a job off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It will never run.
    Now,
    /// It is running; its worker was told and drops it within a second.
    Asked,
    /// It had finished before.
    Finished,
    /// There is no such job in the caller's scope.
    Unknown,
}

/// Calls a job off, for a caller who may see it in `scope`.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn cancel(database: &Database, scope: Scope, id: JobId, reason: &str) -> Result<Cancelled, Error> {
    let key = id.key();
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let seen = sqlx::query!("select enqueued_at from vtoc.job where id = $1", key).fetch_optional(&mut *tx).await?;
            if !seen.is_some_and(|job| id.matches(job.enqueued_at)) {
                return Ok(Cancelled::Unknown);
            }
            crate::database::as_fleet(&mut tx).await?;
            let row = sqlx::query!(
                r#"with gone as (
                    delete from vtoc.job_ready
                    where id = $1
                    returning id, queue, kind, station_id, attempt, keyed
                ),
                history as (
                    insert into vtoc.job_finished (expires_at, id, state, queue, kind, station_id, attempt, finished_at, error)
                    select vtoc.clock() + make_interval(hours => $3::int), id, 'cancelled', queue, kind, station_id, attempt, vtoc.clock(), $2
                    from gone
                ),
                freed as (
                    delete from vtoc.job_unique u
                    using gone
                    where gone.keyed and u.job_id = gone.id
                ),
                asked as (
                    insert into vtoc.job_cancel (job_id, worker_id, reason)
                    select r.id, l.worker_id, $2
                    from vtoc.job_running r
                    join vtoc.job_lease l on l.token = r.token
                    where r.id = $1
                    on conflict (job_id) do update set worker_id = excluded.worker_id
                    returning job_id
                )
                select exists (select from gone) as "now!", exists (select from asked) as "asked!""#,
                key,
                reason,
                RETENTION_OTHER_H
            )
            .fetch_one(&mut *tx)
            .await?;
            if row.now {
                aftermath::of(&mut tx, &[key]).await?;
            }
            tx.commit().await?;
            Ok(match (row.now, row.asked) {
                (true, _) => Cancelled::Now,
                (_, true) => Cancelled::Asked,
                _ => Cancelled::Finished,
            })
        })
        .await
}
