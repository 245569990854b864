//! A drain by the engine's workers. The clock starts with the worker's process and stops when the database says that the jobs are
//! finished; looking must not weigh on what is looked at, so the last job's own row is watched until it moves.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::time::Instant;

use super::{per_second, process::Process};
use crate::stock::Stocked;

/// How often the database is asked.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Who drains: so many worker processes with so many jobs at once each.
#[derive(Debug)]
pub(super) struct Crew {
    pub(super) processes: usize,
    pub(super) concurrency: usize,
}

/// What a drain came to.
#[derive(Debug)]
pub(super) struct Drained {
    /// Jobs per second.
    pub(super) rate: f64,
    /// Of the largest worker process.
    pub(super) memory_mib: f64,
}

/// Starts the workers and waits until they have finished the jobs: all of them, or those in front of the backlog.
pub(super) async fn drain(stocked: &Stocked, crew: &Crew) -> anyhow::Result<Drained> {
    let mut owner = stocked.fresh.owner().await?;
    let before = finished(&mut owner).await?;
    let last = nth(&mut owner, stocked.jobs).await?;
    let started = Instant::now();
    let start = |_| Process::start(&stocked.fresh.url, crew.concurrency);
    let workers: Vec<Process> = (0..crew.processes).map(start).collect::<anyhow::Result<_>>()?;
    until(&mut owner, "select exists (select from vtoc.job_ready where id = $1)", last).await?;
    if !stocked.endless {
        // A job for a day to come isn't waited for.
        let live = "select $1 = 0 or exists (select from vtoc.job_running)
            or exists (select from vtoc.job_ready where run_at < now() + interval '1 day')";
        until(&mut owner, live, last).await?;
    }
    let elapsed = started.elapsed();
    let done = usize::try_from(finished(&mut owner).await? - before)?;
    anyhow::ensure!(stocked.endless || done == stocked.jobs, "of {} jobs {done} were finished", stocked.jobs);
    let memory_mib = workers.iter().map(Process::memory_mib).max_by(f64::total_cmp).unwrap_or_default();
    futures::future::try_join_all(workers.into_iter().map(Process::stop)).await?;
    owner.close().await?;
    Ok(Drained { rate: per_second(done, elapsed), memory_mib })
}

/// The job that is claimed as the `count`th.
async fn nth(owner: &mut PgConnection, count: usize) -> anyhow::Result<i64> {
    let row: (i64,) =
        sqlx::query_as("select id from vtoc.job_ready order by priority desc, run_at, id offset $1 limit 1")
            .bind(i64::try_from(count)? - 1)
            .fetch_one(owner)
            .await?;
    Ok(row.0)
}

/// Waits while `question` is answered with yes.
async fn until(owner: &mut PgConnection, question: &'static str, job: i64) -> anyhow::Result<()> {
    loop {
        let (goes_on,): (bool,) = sqlx::query_as(question).bind(job).fetch_one(&mut *owner).await?;
        if !goes_on {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn finished(owner: &mut PgConnection) -> anyhow::Result<i64> {
    // Without what has expired, which may be pruned meanwhile.
    let row: (i64,) =
        sqlx::query_as("select count(*) from vtoc.job_finished where state = 'done' and expires_at > now()")
            .fetch_one(owner)
            .await?;
    Ok(row.0)
}
