//! What a run finds in its database: nothing, a backlog behind the jobs that are drained, a long history, or a day that is
//! to be pruned. Stocked databases are filled once through the engine and cloned for every run.

mod old_day;

use anyhow::Context;
use sqlx::PgConnection;
use tokio::sync::OnceCell;

use crate::{
    cluster::{Cluster, Fresh},
    engine::{kinds, one_transaction},
    measure::Measure,
};

/// Jobs per batch while filling.
const FILL_BATCH: usize = 2_000;
/// Producers while filling.
const FILLERS: usize = 2;

/// A database ready for one run.
#[derive(Debug)]
pub(crate) struct Stocked {
    /// The database.
    pub(crate) fresh: Fresh,
    /// Jobs to drain.
    pub(crate) jobs: usize,
    /// There are more behind them: the run ends when they are drained, not when nothing is left.
    pub(crate) endless: bool,
    /// Jobs, one each 10 ms, whose start is waited for.
    pub(crate) latency_jobs: usize,
    admin_url: String,
}

impl Stocked {
    /// A connection to no database of a run.
    pub(crate) async fn aside(&self) -> anyhow::Result<PgConnection> {
        use sqlx::Connection;
        Ok(PgConnection::connect(&self.admin_url).await?)
    }
}

/// The databases that others are cloned from, filled when they are first needed.
#[derive(Debug)]
pub(crate) struct Stock<'a> {
    cluster: &'a Cluster,
    jobs: usize,
    backlog: usize,
    latency_jobs: usize,
    pending: OnceCell<Fresh>,
    finished: OnceCell<Fresh>,
    both: OnceCell<Fresh>,
    old_day: OnceCell<Fresh>,
}

impl<'a> Stock<'a> {
    /// For runs of `jobs`, in front of or beside `backlog` others, and of `latency_jobs` where starts are waited for.
    pub(crate) fn new(cluster: &'a Cluster, jobs: usize, backlog: usize, latency_jobs: usize) -> Self {
        Self {
            cluster,
            jobs,
            backlog,
            latency_jobs,
            pending: OnceCell::new(),
            finished: OnceCell::new(),
            both: OnceCell::new(),
            old_day: OnceCell::new(),
        }
    }

    /// A database for a measure.
    pub(crate) async fn database_for(&self, measure: Measure) -> anyhow::Result<Stocked> {
        let fresh = match measure {
            Measure::Pending => self.cluster.clone_of(&self.pending().await?.name).await?,
            Measure::Finished => self.cluster.clone_of(&self.finished().await?.name).await?,
            Measure::Prune => self.cluster.clone_of(&self.old_day().await?.name).await?,
            _ => self.cluster.migrated().await?,
        };
        let (jobs, endless) = (self.jobs, measure == Measure::Pending);
        let latency_jobs = self.latency_jobs;
        Ok(Stocked { fresh, jobs, endless, latency_jobs, admin_url: self.cluster.admin_url().to_owned() })
    }

    /// A database with as many finished jobs as pending ones: the backlog's number of each.
    pub(crate) async fn full(&self) -> anyhow::Result<Fresh> {
        let both = self.both.get_or_try_init(|| async {
            let fresh = self.cluster.clone_of(&self.finished().await?.name).await?;
            fill(&fresh, self.backlog).await?;
            fresh.settle().await?;
            anyhow::Ok(fresh)
        });
        self.cluster.clone_of(&both.await?.name).await
    }

    async fn pending(&self) -> anyhow::Result<&Fresh> {
        let filled = self.pending.get_or_try_init(|| async {
            let fresh = self.cluster.migrated().await?;
            fill(&fresh, self.jobs + self.backlog).await?;
            anyhow::Ok(fresh)
        });
        filled.await
    }

    async fn finished(&self) -> anyhow::Result<&Fresh> {
        let filled = self.finished.get_or_try_init(|| async {
            let fresh = self.cluster.migrated().await?;
            fill(&fresh, self.backlog).await?;
            end_all(&fresh).await?;
            anyhow::Ok(fresh)
        });
        filled.await
    }

    async fn old_day(&self) -> anyhow::Result<&Fresh> {
        let filled = self.old_day.get_or_try_init(|| async {
            let fresh = self.cluster.migrated().await?;
            old_day::fill(&fresh, self.backlog).await?;
            anyhow::Ok(fresh)
        });
        filled.await
    }
}

async fn fill(fresh: &Fresh, jobs: usize) -> anyhow::Result<()> {
    eprintln!("  filling a database with {jobs} jobs …");
    let database = fresh.application(u32::try_from(FILLERS)?)?;
    let filling = (0..FILLERS).map(|filler| {
        let (database, share) = (database.clone(), jobs / FILLERS + usize::from(filler < jobs % FILLERS));
        tokio::spawn(async move {
            let job = kinds::noop()?;
            let mut left = share;
            while left > 0 {
                let batch = vec![job.clone(); left.min(FILL_BATCH)];
                one_transaction(&database, &batch).await?;
                left -= batch.len();
            }
            anyhow::Ok(())
        })
    });
    for filler in futures::future::try_join_all(filling).await? {
        filler?;
    }
    database.close().await;
    Ok(())
}

/// Turns every ready job into a finished one, as if each had been done at its first attempt.
async fn end_all(fresh: &Fresh) -> anyhow::Result<()> {
    let mut owner = fresh.owner().await?;
    sqlx::raw_sql(
        "insert into vtoc.job_finished (expires_at, id, state, queue, kind, attempt, started_at, finished_at, worker_id)
        select vtoc.clock() + interval '24 h', id, 'done', queue, kind, 1, vtoc.clock(), vtoc.clock(), gen_random_uuid()
        from vtoc.job_ready;
        truncate vtoc.job_ready",
    )
    .execute(&mut owner)
    .await
    .context("make a history")?;
    drop(owner);
    fresh.settle().await
}

/// Somebody else's connection that holds a transaction id and a snapshot, and does nothing, until it is dropped.
pub(crate) async fn sit_idle(fresh: &Fresh) -> anyhow::Result<PgConnection> {
    let mut idle = fresh.owner().await?;
    sqlx::raw_sql("begin isolation level repeatable read; select pg_current_xact_id(), count(*) from vtoc.worker")
        .execute(&mut idle)
        .await?;
    Ok(idle)
}
