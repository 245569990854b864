//! A drain under faults: of four worker processes one after another is killed with jobs in flight and replaced, and one is
//! stopped for longer than its lease, so that what it had done by then is refused when it goes on. Every job must come out
//! done, once; what the faults cost is counted by what the attempts left in the database.

mod crew;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use self::crew::Crew;
use super::{enqueue::batches, kinds, per_second};
use crate::{cluster::Fresh, stock::Stocked};

/// How often is looked whether jobs are left, and whether it is time for a fault.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(1_200);

/// What the faults of one drain came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Faults {
    /// Jobs done per second, from the start of the processes until nothing was left.
    pub(crate) per_s: f64,
    /// How long that took.
    pub(crate) elapsed_s: f64,
    /// Processes killed, each with jobs in flight.
    pub(crate) killed: u64,
    /// Times a process was stopped for longer than its lease, with jobs in flight.
    pub(crate) stopped: u64,
    /// Attempts that died with their process, as a sweep was sure.
    pub(crate) crashed: u64,
    /// Attempts whose lease ran out and for which nobody is blamed: their process came back, or the sweeping one was too new
    /// to tell.
    pub(crate) given_up: u64,
    /// Results that were refused because their lease was gone.
    pub(crate) refused: u64,
    /// Jobs that were taken up more than once.
    pub(crate) again: u64,
}

/// Drains under faults until nothing is left, and holds what the database says then against what was enqueued.
pub(super) async fn measure(stocked: &Stocked, concurrency: usize) -> anyhow::Result<Faults> {
    let fresh = &stocked.fresh;
    batches(fresh, &kinds::nap()?, stocked.jobs).await?;
    fresh.settle().await?;
    let mut owner = fresh.owner().await?;
    let started = Instant::now();
    let mut crew = Crew::start(&fresh.url, concurrency)?;
    loop {
        let (left,): (bool,) =
            sqlx::query_as("select exists (select from vtoc.job_live)").fetch_one(&mut owner).await?;
        if !left {
            break;
        }
        anyhow::ensure!(started.elapsed() < PATIENCE, "there are still jobs after {} s", PATIENCE.as_secs());
        crew.disturb(&mut owner).await?;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let elapsed = started.elapsed();
    let (killed, stopped) = (crew.killed, crew.stopped);
    // Whoever was stopped hands in his results now: they are judged with the others.
    let refused = crew.end().await?;
    anyhow::ensure!(killed > 0 && stopped > 0, "all was done before anybody had been killed and stopped: more --jobs");
    judge(fresh, stocked.jobs).await?;
    Ok(Faults {
        per_s: per_second(stocked.jobs, elapsed),
        elapsed_s: elapsed.as_secs_f64(),
        killed,
        stopped,
        crashed: count(fresh, "select count(*) from vtoc.job_attempt where outcome = 'crashed'").await?,
        given_up: count(fresh, "select count(*) from vtoc.job_attempt where outcome = 'given_up'").await?,
        refused,
        // A job that was done at its only attempt has no row for it.
        again: count(fresh, "select count(distinct job_id) from vtoc.job_attempt").await?,
    })
}

/// None lost, none left, none ended twice.
async fn judge(fresh: &Fresh, jobs: usize) -> anyhow::Result<()> {
    let jobs = u64::try_from(jobs)?;
    let laws = [
        ("jobs are there", "select count(*) from vtoc.job", jobs),
        ("jobs live", "select count(*) from vtoc.job_live", 0),
        ("jobs have ended", "select count(distinct id) from vtoc.job_finished", jobs),
        ("ends are on record", "select count(*) from vtoc.job_finished", jobs),
        ("jobs are done", "select count(*) from vtoc.job_finished where state = 'done'", jobs),
        (
            "jobs ended at two attempts",
            "select count(*)
            from (
                select from vtoc.job_attempt
                where outcome in ('done', 'dead', 'cancelled')
                group by job_id
                having count(*) > 1
            ) t",
            0,
        ),
    ];
    for (what, sql, expected) in laws {
        let found = count(fresh, sql).await?;
        anyhow::ensure!(found == expected, "after the faults {found} {what}, {expected} should");
    }
    Ok(())
}

async fn count(fresh: &Fresh, sql: &'static str) -> anyhow::Result<u64> {
    Ok(u64::try_from(fresh.number(sql).await?)?)
}
