//! A batch: jobs, and one more that runs when all of them have ended. That one is a job like any other that waits for its
//! children from the start; its jobs may add more while they run.

use super::{Enqueued, NewJob, enqueue::place, family, wait::without_children};
use crate::{Error, Tx};

/// What a batch was enqueued as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The job that runs at the end; it isn't new when the batch was enqueued before.
    pub completion: Enqueued,
    /// The jobs, in the order given; none when the batch was enqueued before.
    pub jobs: Vec<Enqueued>,
}

/// Enqueues `jobs` and, to run when all have ended, well or not, `completion`, which finds `{"done": n, "failed": m}` in what
/// woke it. Its delay isn't looked at; without any new job it may run at once. A key of the completion makes a repeat the same
/// batch. In the caller's transaction, which must be in fleet scope. Wake the workers after the commit.
///
/// # Errors
/// As [`super::enqueue()`].
pub async fn enqueue(tx: &mut Tx, completion: &NewJob, jobs: &[NewJob]) -> Result<Batch, Error> {
    let completion = place(tx, std::slice::from_ref(completion), false).await?[0];
    if !completion.fresh {
        return Ok(Batch { completion, jobs: Vec::new() });
    }
    let key = completion.id.key();
    sqlx::query!(
        "with taken as (
            delete from vtoc.job_ready
            where id = $1
            returning id, queue, kind, station_id, priority, keyed, awaited, attempt, attempts_max, suspect, crash_count
        )
        insert into vtoc.job_waiting (id, what, claim, queue, kind, station_id, priority, keyed, awaited, attempt, attempts_max, suspect, crash_count)
        select id, 'children', 0, queue, kind, station_id, priority, keyed, awaited, attempt, attempts_max, suspect, crash_count
        from taken",
        key
    )
    .execute(&mut **tx)
    .await?;
    let jobs = family::enqueue(tx, completion.id, jobs).await?;
    without_children(tx, &[key]).await?;
    Ok(Batch { completion, jobs })
}
