//! The figures: what each is called in the JSON, its unit, and which figure of the floor it is held against. How they are
//! measured is in `engine`, `floor` and `peers`.

use serde::Serialize;

/// One measured quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Figure {
    /// No-op jobs, 200 at once.
    DrainNoop,
    /// No-op jobs, 50 at once.
    DrainNoop50,
    /// Jobs that take a millisecond, 200 at once.
    Drain1Ms,
    /// Jobs that take a millisecond, 50 at once.
    Drain1Ms50,
    /// No-op jobs in front of a backlog.
    DrainPending,
    /// No-op jobs beside a long history.
    DrainFinished,
    /// No-op jobs of which every tenth fails once.
    DrainRetries,
    /// No-op jobs by four worker processes.
    DrainFourProcesses,
    /// No-op jobs while somebody else sits idle in a transaction.
    DrainIdleTransaction,
    /// No-op jobs while a day of bodies and a day of history are pruned.
    DrainPruning,
    /// How long that pruning took.
    PruneTime,
    /// Jobs that take a millisecond by four worker processes that are killed and stopped.
    DrainKilled,
    /// Batches of 500 by one producer.
    EnqueueBatch,
    /// One job a transaction by one producer.
    EnqueueSingle,
    /// One job a transaction by 256 producers on eight connections.
    EnqueueConcurrent,
    /// One job a call by 256 producers who share transactions; held against the floor's batches.
    EnqueueGrouped,
    /// From before the enqueue to the handler's start, the middle one.
    StartLatencyP50,
    /// The same, the slowest of a hundred.
    StartLatencyP99,
    /// What a worker without work asks of the database.
    IdleTransactions,
    /// The memory of a worker process without work.
    IdleMemory,
    /// The memory of a process at the end of a drain; a peer's has filled the queue too.
    DrainMemory,
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Unit {
    /// Jobs per second: more is better.
    JobsPerSecond,
    /// Milliseconds: less is better.
    Milliseconds,
    /// Transactions per second: less is better.
    TransactionsPerSecond,
    /// Mebibytes: less is better.
    Mebibytes,
    /// Seconds: less is better.
    Seconds,
}

impl Figure {
    /// Every figure, in the order of the report.
    pub(crate) const ALL: [Self; 21] = [
        Self::DrainNoop,
        Self::DrainNoop50,
        Self::Drain1Ms,
        Self::Drain1Ms50,
        Self::DrainPending,
        Self::DrainFinished,
        Self::DrainRetries,
        Self::DrainFourProcesses,
        Self::DrainIdleTransaction,
        Self::DrainPruning,
        Self::PruneTime,
        Self::DrainKilled,
        Self::EnqueueBatch,
        Self::EnqueueSingle,
        Self::EnqueueConcurrent,
        Self::EnqueueGrouped,
        Self::StartLatencyP50,
        Self::StartLatencyP99,
        Self::IdleTransactions,
        Self::IdleMemory,
        Self::DrainMemory,
    ];

    /// The key in the JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DrainNoop => "drain_noop_per_s",
            Self::DrainNoop50 => "drain_noop_50_per_s",
            Self::Drain1Ms => "drain_1ms_per_s",
            Self::Drain1Ms50 => "drain_1ms_50_per_s",
            Self::DrainPending => "drain_pending_per_s",
            Self::DrainFinished => "drain_finished_per_s",
            Self::DrainRetries => "drain_retries_per_s",
            Self::DrainFourProcesses => "drain_four_processes_per_s",
            Self::DrainIdleTransaction => "drain_idle_transaction_per_s",
            Self::DrainPruning => "drain_pruning_per_s",
            Self::PruneTime => "prune_s",
            Self::DrainKilled => "drain_killed_per_s",
            Self::EnqueueBatch => "enqueue_batch_per_s",
            Self::EnqueueSingle => "enqueue_single_per_s",
            Self::EnqueueConcurrent => "enqueue_concurrent_per_s",
            Self::EnqueueGrouped => "enqueue_grouped_per_s",
            Self::StartLatencyP50 => "start_latency_p50_ms",
            Self::StartLatencyP99 => "start_latency_p99_ms",
            Self::IdleTransactions => "idle_transactions_per_s",
            Self::IdleMemory => "idle_rss_mib",
            Self::DrainMemory => "drain_rss_mib",
        }
    }

    /// What the report says it is.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::DrainNoop => "drain, no-op jobs, 200 at once",
            Self::DrainNoop50 => "drain, no-op jobs, 50 at once",
            Self::Drain1Ms => "drain, 1 ms jobs, 200 at once",
            Self::Drain1Ms50 => "drain, 1 ms jobs, 50 at once",
            Self::DrainPending => "drain in front of a backlog",
            Self::DrainFinished => "drain beside a long history",
            Self::DrainRetries => "drain, every tenth job fails once",
            Self::DrainFourProcesses => "drain by four worker processes",
            Self::DrainIdleTransaction => "drain beside an idle transaction",
            Self::DrainPruning => "drain while a day is pruned",
            Self::PruneTime => "pruning that day, begun with the drain",
            Self::DrainKilled => "drain, 1 ms jobs, four processes under faults",
            Self::EnqueueBatch => "enqueue, batches of 500",
            Self::EnqueueSingle => "enqueue, a transaction a job, 1 producer",
            Self::EnqueueConcurrent => "enqueue, a transaction a job, 256 producers",
            Self::EnqueueGrouped => "enqueue, shared transactions, 256 producers",
            Self::StartLatencyP50 => "enqueue to start at 100/s, p50",
            Self::StartLatencyP99 => "enqueue to start at 100/s, p99",
            Self::IdleTransactions => "idle worker process, transactions",
            Self::IdleMemory => "idle worker process, memory",
            Self::DrainMemory => "process at the end of a drain, memory",
        }
    }

    /// What it counts.
    pub(crate) fn unit(self) -> Unit {
        match self {
            Self::StartLatencyP50 | Self::StartLatencyP99 => Unit::Milliseconds,
            Self::IdleTransactions => Unit::TransactionsPerSecond,
            Self::IdleMemory | Self::DrainMemory => Unit::Mebibytes,
            Self::PruneTime => Unit::Seconds,
            _ => Unit::JobsPerSecond,
        }
    }

    /// The floor's figure that it is held against: bare SQL has no concurrency, no handlers and no processes.
    pub(crate) fn floor(self) -> Option<Self> {
        match self {
            Self::DrainNoop
            | Self::DrainNoop50
            | Self::Drain1Ms
            | Self::Drain1Ms50
            | Self::DrainRetries
            | Self::DrainFourProcesses
            | Self::DrainPruning => Some(Self::DrainNoop),
            Self::EnqueueGrouped => Some(Self::EnqueueBatch),
            Self::PruneTime | Self::DrainKilled | Self::IdleTransactions | Self::IdleMemory | Self::DrainMemory => None,
            own => Some(own),
        }
    }
}

impl Unit {
    /// As the report writes it.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::JobsPerSecond => "jobs/s",
            Self::Milliseconds => "ms",
            Self::TransactionsPerSecond => "tx/s",
            Self::Mebibytes => "MiB",
            Self::Seconds => "s",
        }
    }

    /// A value with as many digits as mean something.
    pub(crate) fn show(self, value: f64) -> String {
        if self == Self::JobsPerSecond { thousands(value) } else { format!("{value:.2}") }
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{Figure, thousands};

    #[test]
    fn names_are_unique_and_the_headline_has_its_name() {
        let names: std::collections::BTreeSet<&str> = Figure::ALL.iter().map(|figure| figure.name()).collect();
        assert_eq!(names.len(), Figure::ALL.len());
        assert_eq!(Figure::DrainNoop.name(), "drain_noop_per_s");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0.4, 999.0, 1_000.0, 1_234_567.0].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
