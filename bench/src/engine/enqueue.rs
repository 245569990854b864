//! Enqueueing through the engine's own calls: batches, one transaction a job by one or many producers, and many producers
//! who share transactions.

use std::time::Duration;

use jobs::{
    Database, Scope, Wake,
    queue::{NewJob, enqueue, group::Grouped},
};
use tokio::{task::JoinSet, time::Instant};

use super::{kinds::noop, per_second};
use crate::cluster::Fresh;

/// Jobs per batch.
pub(crate) const BATCH: usize = 500;
/// How long single enqueues are measured.
const SINGLE_FOR: Duration = Duration::from_secs(3);

/// Enqueues `count` copies of `job` in batches of [`BATCH`] by one producer; answers how many a second.
pub(crate) async fn batches(fresh: &Fresh, job: &NewJob, count: usize) -> anyhow::Result<f64> {
    let database = fresh.application(1)?;
    let started = Instant::now();
    let mut left = count;
    while left > 0 {
        let batch = vec![job.clone(); left.min(BATCH)];
        one_transaction(&database, &batch).await?;
        left -= batch.len();
    }
    let rate = per_second(count, started.elapsed());
    database.close().await;
    Ok(rate)
}

/// Enqueues `batch` in a transaction of its own.
pub(crate) async fn one_transaction(database: &Database, batch: &[NewJob]) -> anyhow::Result<()> {
    let mut tx = database.begin(Scope::Fleet).await?;
    enqueue(&mut tx, batch).await?;
    tx.commit().await?;
    Ok(())
}

/// Enqueues one job a transaction by `producers` on `connections`; answers how many a second.
pub(super) async fn singles(fresh: &Fresh, producers: usize, connections: u32) -> anyhow::Result<f64> {
    let (database, job) = (fresh.application(connections)?, noop()?);
    let enqueueing = database.clone();
    let one = move || {
        let (database, job) = (enqueueing.clone(), job.clone());
        async move { one_transaction(&database, &[job]).await }
    };
    let rate = counted(fresh, producers, one).await;
    database.close().await;
    rate
}

/// Enqueues single jobs by `producers` who share transactions; answers how many a second.
pub(super) async fn grouped(fresh: &Fresh, producers: usize, connections: u32) -> anyhow::Result<f64> {
    let (database, job) = (fresh.application(connections)?, noop()?);
    let group = Grouped::start(&database, &Wake::silent());
    let one = move || {
        let (group, job) = (group.clone(), job.clone());
        async move {
            group.enqueue(job).await?;
            Ok(())
        }
    };
    let rate = counted(fresh, producers, one).await;
    database.close().await;
    rate
}

/// Lets `producers` enqueue for [`SINGLE_FOR`] and holds their count against the database's.
async fn counted<F>(
    fresh: &Fresh,
    producers: usize,
    one: impl Fn() -> F + Clone + Send + 'static,
) -> anyhow::Result<f64>
where
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let (enqueued, elapsed) = produce(producers, one).await?;
    let there = usize::try_from(fresh.number("select count(*) from vtoc.job_ready").await?)?;
    anyhow::ensure!(there == enqueued, "{enqueued} were enqueued, {there} are there");
    Ok(per_second(enqueued, elapsed))
}

/// Calls `one` by `producers` side by side, each again and again for [`SINGLE_FOR`]; answers how often, in which time.
pub(crate) async fn produce<F>(
    producers: usize,
    one: impl Fn() -> F + Clone + Send + 'static,
) -> anyhow::Result<(usize, Duration)>
where
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let (started, mut producing) = (Instant::now(), JoinSet::new());
    for _ in 0..producers {
        let one = one.clone();
        producing.spawn(async move {
            let mut enqueued = 0;
            while started.elapsed() < SINGLE_FOR {
                one().await?;
                enqueued += 1;
            }
            anyhow::Ok(enqueued)
        });
    }
    let mut enqueued = 0;
    while let Some(produced) = producing.join_next().await {
        enqueued += produced??;
    }
    Ok((enqueued, started.elapsed()))
}
