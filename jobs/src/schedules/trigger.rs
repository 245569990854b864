//! Triggering: one more job of a schedule, now. Its ticks and whether it is paused are left alone.

use super::{job::unkeyed, row::lock};
use crate::{Database, Error, JobId, Scope, queue::enqueue};

/// Enqueues a job of the schedule, paused or not; nothing when `scope` sees none of that name. Wake the workers of its queue then.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn trigger(database: &Database, scope: Scope, name: &str) -> Result<Option<JobId>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let Some(row) = lock(&mut tx, scope, name).await? else {
                tx.commit().await?;
                return Ok(None);
            };
            let job = enqueue(&mut tx, &[unkeyed(&row)]).await?[0].id;
            sqlx::query!("update vtoc.schedule set last_job_id = $2 where name = $1", name, job.uuid())
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(Some(job))
        })
        .await
}
