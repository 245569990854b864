//! What one step of a pair does: a measure is one run on one fresh database and gives one or two figures. Which of them are
//! run by default, quickly, or only when asked for.

use clap::ValueEnum;

use crate::figure::Figure;

/// One kind of run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Measure {
    /// Enqueue in batches, then drain no-op jobs, 200 at once
    Drain,
    /// The drain, 50 at once
    Drain50,
    /// Drain jobs of a millisecond, 200 at once
    Nap,
    /// The same, 50 at once
    Nap50,
    /// Drain in front of a backlog
    Pending,
    /// Drain beside a long history
    Finished,
    /// Every tenth job fails once
    Retries,
    /// Four worker processes
    FourProcesses,
    /// One transaction a job, one producer
    Single,
    /// One transaction a job, 256 producers
    Concurrent,
    /// Shared transactions, 256 producers
    Grouped,
    /// From enqueue to start
    Latency,
    /// A worker process without work
    Idle,
    /// Drain while another connection sits idle in a transaction
    IdleTransaction,
    /// Drain while a day of bodies and a day of history are pruned
    Prune,
    /// Drain jobs of a millisecond by four worker processes that are killed and stopped
    Kills,
}

impl Measure {
    /// What an ordinary run measures.
    pub(crate) const USUAL: [Self; 14] = [
        Self::Drain,
        Self::Drain50,
        Self::Nap,
        Self::Nap50,
        Self::Pending,
        Self::Finished,
        Self::Retries,
        Self::FourProcesses,
        Self::Single,
        Self::Concurrent,
        Self::Grouped,
        Self::Latency,
        Self::Idle,
        Self::Prune,
    ];

    /// What fits into a few minutes.
    pub(crate) const QUICK: [Self; 6] =
        [Self::Drain, Self::Pending, Self::FourProcesses, Self::Concurrent, Self::Grouped, Self::Latency];

    /// What peers are measured with: their program's word for it, the figure it gives, and jobs at once where it isn't the
    /// peer's own choice.
    pub(crate) fn for_peers(self) -> Vec<(&'static str, Figure, Option<usize>)> {
        match self {
            Self::Drain => vec![("drain_noop", Figure::DrainNoop, None), ("enqueue_batch", Figure::EnqueueBatch, None)],
            Self::Drain50 => vec![("drain_noop", Figure::DrainNoop50, Some(50))],
            Self::Nap => vec![("drain_1ms", Figure::Drain1Ms, None)],
            Self::Nap50 => vec![("drain_1ms", Figure::Drain1Ms50, Some(50))],
            Self::Single => vec![("enqueue_single", Figure::EnqueueSingle, None)],
            Self::Latency => vec![("start_latency", Figure::StartLatencyP50, None)],
            _ => Vec::new(),
        }
    }
}
