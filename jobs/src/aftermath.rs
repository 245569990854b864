//! What follows when a job ends without success: the run it carried and the audit it answers for end too, in the same
//! transaction, so that nobody waits for an action that will never come.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Error, JobId};

/// Ends runs and audits of those of `keys` that finished dead or cancelled. The transaction must be in fleet scope.
pub(crate) async fn of(tx: &mut PgConnection, keys: &[i64]) -> Result<(), Error> {
    let jobs: Vec<Uuid> = sqlx::query!(
        "select j.id, j.enqueued_at
        from vtoc.job j
        join vtoc.job_finished f on f.id = j.id
        where j.id = any($1) and f.state <> 'done'",
        keys
    )
    .fetch_all(&mut *tx)
    .await?
    .into_iter()
    .map(|job| JobId::new(job.id, job.enqueued_at).uuid())
    .collect();
    sqlx::query!(
        "update vtoc.playbook_run
        set status = 'failed', error = 'its job ended without success', finished_at = vtoc.clock()
        where job_id = any($1) and status = 'running'",
        &jobs
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update vtoc.audit a
        set status = 'failed', error = coalesce(a.error, f.error), updated_at = vtoc.clock()
        from vtoc.job j
        join vtoc.job_finished f on f.id = j.id
        where j.id = any($1) and f.state <> 'done' and a.id::text = j.payload ->> 'audit_id' and a.status in ('queued', 'running')",
        keys
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}
