//! From before the enqueue to the handler's start, one job each 10 ms, with a worker that has nothing else to do.

use std::time::Duration;

use jobs::{ConnectOptions, Wake};
use tokio::time::{Instant, MissedTickBehavior};

use super::{Figures, enqueue::one_transaction, kinds, worker::InProcess};
use crate::{figure::Figure, stock::Stocked};

/// Between two jobs.
pub(crate) const EVERY: Duration = Duration::from_millis(10);
/// How long the last ones may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn measure(stocked: &Stocked, concurrency: usize) -> anyhow::Result<Figures> {
    let (fresh, jobs) = (&stocked.fresh, stocked.latency_jobs);
    let worker = InProcess::start(&fresh.url, concurrency)?;
    let database = fresh.application(1)?;
    let wake = Wake::start(&fresh.url, &ConnectOptions::default())?;
    kinds::starts();
    // Until the worker is there and every connection is open.
    one_transaction(&database, &[kinds::note_start(0)?]).await?;
    until_noted(1).await?;
    kinds::starts();
    let mut sent = Vec::with_capacity(jobs);
    let mut pace = tokio::time::interval(EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0..jobs {
        let job = kinds::note_start(number)?;
        pace.tick().await;
        sent.push(Instant::now());
        one_transaction(&database, &[job]).await?;
        wake.hint("default");
    }
    until_noted(jobs).await?;
    worker.stop().await?;
    database.close().await;
    Ok(percentiles(kinds::starts().into_iter().map(|(number, started)| started - sent[number]).collect()))
}

async fn until_noted(count: usize) -> anyhow::Result<()> {
    let started = Instant::now();
    while kinds::starts_noted() < count {
        anyhow::ensure!(started.elapsed() < PATIENCE, "{} of {count} jobs started", kinds::starts_noted());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// The middle one and the slowest of a hundred, of at least one.
pub(crate) fn percentiles(mut latencies: Vec<Duration>) -> Figures {
    latencies.sort();
    let at = |percent: usize| latencies[(latencies.len() * percent / 100).min(latencies.len() - 1)].as_secs_f64() * 1e3;
    vec![(Figure::StartLatencyP50, at(50)), (Figure::StartLatencyP99, at(99))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_taken_from_the_sorted_latencies() {
        let figures = percentiles((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!(figures, [(Figure::StartLatencyP50, 51.0), (Figure::StartLatencyP99, 100.0)]);
    }
}
