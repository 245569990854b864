//! The engine under measurement, used only as a program uses it: `jobs` to enqueue, `workers` to run. One function a
//! measure; each has a fresh database and answers with figures.

mod drain;
mod enqueue;
mod idle;
mod kills;
pub(crate) mod kinds;
mod latency;
pub(crate) mod process;
mod prune;
pub(crate) mod worker;

pub(crate) use self::{
    enqueue::{BATCH, one_transaction, produce},
    kills::Faults,
    latency::{EVERY, percentiles},
};

use std::time::Duration;

use jobs::queue::NewJob;

use self::{
    drain::{Crew, drain},
    enqueue::batches,
};
use crate::{figure::Figure, measure::Measure, stock::Stocked};

/// Jobs at once, unless a measure says otherwise.
const CONCURRENCY: usize = 200;
/// Who drains, unless a measure says otherwise.
const ONE_PROCESS: Crew = Crew { processes: 1, concurrency: CONCURRENCY };
/// Connections that many producers share.
pub(crate) const SHARED_CONNECTIONS: u32 = 8;
/// That many.
pub(crate) const PRODUCERS: usize = 256;

/// What was measured.
pub(crate) type Figures = Vec<(Figure, f64)>;

/// Runs one measure; what is done to the workers in it goes into `faults`.
pub(crate) async fn run(measure: Measure, stocked: &Stocked, faults: &mut Vec<Faults>) -> anyhow::Result<Figures> {
    let fresh = &stocked.fresh;
    match measure {
        Measure::Drain => {
            let enqueued = batches(fresh, &kinds::noop()?, stocked.jobs).await?;
            fresh.settle().await?;
            let drained = drain(stocked, &ONE_PROCESS).await?;
            let memory = drained.memory_mib;
            Ok(vec![(Figure::EnqueueBatch, enqueued), (Figure::DrainNoop, drained.rate), (Figure::DrainMemory, memory)])
        }
        Measure::Drain50 => {
            filled_drain(stocked, kinds::noop()?, Crew { processes: 1, concurrency: 50 }, Figure::DrainNoop50).await
        }
        Measure::Nap => filled_drain(stocked, kinds::nap()?, ONE_PROCESS, Figure::Drain1Ms).await,
        Measure::Nap50 => {
            filled_drain(stocked, kinds::nap()?, Crew { processes: 1, concurrency: 50 }, Figure::Drain1Ms50).await
        }
        Measure::Pending => {
            fresh.settle().await?;
            Ok(vec![(Figure::DrainPending, drain(stocked, &ONE_PROCESS).await?.rate)])
        }
        Measure::Finished => filled_drain(stocked, kinds::noop()?, ONE_PROCESS, Figure::DrainFinished).await,
        Measure::Retries => {
            batches(fresh, &kinds::fail_once()?, stocked.jobs / 10).await?;
            batches(fresh, &kinds::noop()?, stocked.jobs - stocked.jobs / 10).await?;
            fresh.settle().await?;
            Ok(vec![(Figure::DrainRetries, drain(stocked, &ONE_PROCESS).await?.rate)])
        }
        Measure::FourProcesses => {
            filled_drain(stocked, kinds::noop()?, Crew { processes: 4, ..ONE_PROCESS }, Figure::DrainFourProcesses)
                .await
        }
        Measure::IdleTransaction => {
            batches(fresh, &kinds::noop()?, stocked.jobs).await?;
            fresh.settle().await?;
            let _idle = crate::stock::sit_idle(fresh).await?;
            Ok(vec![(Figure::DrainIdleTransaction, drain(stocked, &ONE_PROCESS).await?.rate)])
        }
        Measure::Prune => prune::measure(stocked, &ONE_PROCESS).await,
        Measure::Kills => {
            let made = kills::measure(stocked, CONCURRENCY).await?;
            let rate = made.per_s;
            faults.push(made);
            Ok(vec![(Figure::DrainKilled, rate)])
        }
        Measure::Single => Ok(vec![(Figure::EnqueueSingle, enqueue::singles(fresh, 1, 1).await?)]),
        Measure::Concurrent => {
            Ok(vec![(Figure::EnqueueConcurrent, enqueue::singles(fresh, PRODUCERS, SHARED_CONNECTIONS).await?)])
        }
        Measure::Grouped => {
            Ok(vec![(Figure::EnqueueGrouped, enqueue::grouped(fresh, PRODUCERS, SHARED_CONNECTIONS).await?)])
        }
        Measure::Latency => latency::measure(stocked, CONCURRENCY).await,
        Measure::Idle => idle::measure(stocked).await,
    }
}

/// Fills the database with `job`s and drains them.
async fn filled_drain(stocked: &Stocked, job: NewJob, crew: Crew, figure: Figure) -> anyhow::Result<Figures> {
    batches(&stocked.fresh, &job, stocked.jobs).await?;
    stocked.fresh.settle().await?;
    Ok(vec![(figure, drain(stocked, &crew).await?.rate)])
}

/// A rate.
pub(crate) fn per_second(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}
