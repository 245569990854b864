//! A drain beside which a day of bodies and a day of history are pruned, by the calls that a worker's pruner makes. Both start
//! together; the drain's rate is that of the whole drain, whether the pruning is over before it or after it.

use std::time::Duration;

use jobs::{
    Database,
    queue::prune::{Detaching, prune},
};
use tokio::time::Instant;

use super::{
    Figures,
    drain::{Crew, drain},
    enqueue::batches,
    kinds,
};
use crate::{figure::Figure, stock::Stocked};

/// A pruner's connections: one holds its turn, the other works.
const CONNECTIONS: u32 = 2;
/// How soon a day is tried again that somebody was in the way of; a worker takes minutes.
const AGAIN: Duration = Duration::from_millis(100);
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(600);

pub(super) async fn measure(stocked: &Stocked, crew: &Crew) -> anyhow::Result<Figures> {
    let fresh = &stocked.fresh;
    let needed = fresh.number("select count(*) from vtoc.job_live").await?;
    batches(fresh, &kinds::noop()?, stocked.jobs).await?;
    fresh.settle().await?;
    let database = fresh.application(CONNECTIONS)?;
    let pruning = tokio::spawn(prune_all(database.clone()));
    let drained = drain(stocked, crew).await?;
    let pruned = pruning.await??;
    database.close().await;
    anyhow::ensure!(pruned.kept == needed.unsigned_abs(), "{} bodies were kept of {needed} needed ones", pruned.kept);
    for parent in ["job_body_", "job_large_", "job_finished_"] {
        let gone = pruned.dropped.iter().any(|day| day.starts_with(parent));
        anyhow::ensure!(gone, "no day of {parent} was dropped, only {:?}", pruned.dropped);
    }
    let readable = fresh.number("select count(*) from vtoc.job_ready r join vtoc.job j on j.id = r.id").await?;
    anyhow::ensure!(readable == needed, "of {needed} bodies that are needed {readable} are there");
    Ok(vec![(Figure::DrainPruning, drained.rate), (Figure::PruneTime, pruned.took.as_secs_f64())])
}

/// What was pruned.
struct PrunedAll {
    took: Duration,
    kept: u64,
    dropped: Vec<String>,
}

/// Prunes until nothing is left to the next run.
async fn prune_all(database: Database) -> anyhow::Result<PrunedAll> {
    let started = Instant::now();
    let (mut kept, mut dropped) = (0, Vec::new());
    loop {
        let mut left = vec!["another process prunes".to_owned()];
        if let Some(pruned) = prune(&database, Detaching::Concurrently).await? {
            kept += pruned.kept;
            dropped.extend(pruned.dropped);
            left = pruned.left;
        }
        if left.is_empty() {
            return Ok(PrunedAll { took: started.elapsed(), kept, dropped });
        }
        anyhow::ensure!(started.elapsed() < PATIENCE, "days are left: {left:?}");
        tokio::time::sleep(AGAIN).await;
    }
}
