//! Calling a job off: at once while it waits, by its worker while it runs.

use super::{
    LOOKS_MAX, RETENTION_OTHER_H,
    family::{self, Child},
    finish::free_keys,
};
use crate::{Database, Error, JobId, Scope, Tx, aftermath};

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
            let seen = sqlx::query!(r#"select enqueued_at as "enqueued_at!" from vtoc.job where id = $1"#, key)
                .fetch_optional(&mut *tx)
                .await?;
            if !seen.is_some_and(|job| id.matches(job.enqueued_at)) {
                tx.commit().await?;
                return Ok(Cancelled::Unknown);
            }
            crate::database::as_fleet(&mut tx).await?;
            let cancelled = call_off(&mut tx, key, reason).await?;
            if cancelled == Cancelled::Now {
                aftermath::of(&mut tx, &[(key, reason.to_owned())]).await?;
            }
            tx.commit().await?;
            Ok(cancelled)
        })
        .await
}

/// A job that is claimed or put back at this moment is in no table that one statement sees, so it is looked for again. Locks of
/// several jobs would be taken out of order: a transaction calls one off.
pub(super) async fn call_off(tx: &mut Tx, key: i64, reason: &str) -> Result<Cancelled, Error> {
    let child = lock_before(tx, key).await?;
    for _ in 0..LOOKS_MAX {
        let row = sqlx::query!(
            r#"with ready as (
                delete from vtoc.job_ready
                where id = $1
                returning id, queue, kind, station_id, attempt, keyed, awaited
            ),
            waiting as (
                delete from vtoc.job_waiting
                where id = $1
                returning id, queue, kind, station_id, attempt, keyed, awaited
            ),
            gone as (
                select * from ready
                union all
                select * from waiting
            ),
            history as (
                insert into vtoc.job_finished (expires_at, id, state, queue, kind, station_id, attempt, finished_at, error)
                select vtoc.clock() + make_interval(hours => $3::int), id, 'cancelled', queue, kind, station_id, attempt, vtoc.clock(), $2
                from gone
            ),
            begun as (
                select id, keyed
                from gone
                where exists (select from vtoc.job_attempt a where a.job_id = gone.id)
            ),
            -- What has never run is as if it had never been; of another job the key may be kept.
            freed as (
                delete from vtoc.job_unique u
                using gone
                where gone.keyed and u.job_id = gone.id and not exists (select from begun)
            ),
            asked as (
                insert into vtoc.job_cancel (job_id, reason)
                select id, $2
                from vtoc.job_running
                where id = $1
                on conflict (job_id) do update set reason = excluded.reason
                returning job_id
            )
            select exists (select from gone) as "now!", exists (select from gone where awaited) as "awaited!",
                exists (select from begun where keyed) as "keyed!", exists (select from asked) as "asked!",
                exists (select from vtoc.job_finished where id = $1) as "finished!""#,
            key,
            reason,
            RETENTION_OTHER_H
        )
        .fetch_one(&mut **tx)
        .await?;
        if row.now {
            if row.keyed {
                free_keys(tx, &[key]).await?;
            }
            if row.awaited {
                family::ended(tx, &child).await?;
            }
            return Ok(Cancelled::Now);
        }
        if row.asked {
            return Ok(Cancelled::Asked);
        }
        if row.finished {
            break;
        }
    }
    Ok(Cancelled::Finished)
}

/// Locks what others lock before the job's own row: its key and its parent's family. Answers with what then ends.
async fn lock_before(tx: &mut Tx, key: i64) -> Result<[Child; 1], Error> {
    sqlx::query!("select from vtoc.job_unique where job_id = $1 for update", key).execute(&mut **tx).await?;
    let child = [Child { key, failed: true }];
    family::lock(tx, &[], &child).await?;
    Ok(child)
}
