//! The report: tables for people on the terminal, JSON for programs and for the page.

mod json;
mod table;

use serde_json::Value;

pub(crate) use self::{json::json, table::tables};
use crate::{
    figure::Figure,
    record::{Record, Spread, Who},
};

/// What was measured on, and how much.
#[derive(Debug)]
pub(crate) struct Facts {
    /// See [`crate::machine::machine`].
    pub(crate) machine: Value,
    /// See [`crate::machine::postgres`].
    pub(crate) postgres: Value,
    /// Jobs per drain.
    pub(crate) jobs: usize,
    /// Jobs of a backlog and of a history.
    pub(crate) backlog: usize,
    /// Interleaved pairs.
    pub(crate) pairs: usize,
}

/// The ratios that say whether the engine holds what it promises: name and sentence.
pub(crate) const RATIOS: [(&str, &str); 14] = [
    ("drain_of_best_peer", "drain by the best peer's"),
    ("drain_of_floor", "drain by the floor's"),
    ("pending_of_empty", "drain in front of a backlog by without"),
    ("finished_of_empty", "drain beside a long history by without"),
    ("retries_of_none", "drain with retries by without"),
    ("four_processes_of_one", "four processes by one"),
    ("idle_transaction_of_none", "drain beside an idle transaction by without"),
    ("pruning_of_none", "drain while a day is pruned by without"),
    ("enqueue_batch_of_floor", "batch enqueue by the floor's"),
    ("enqueue_grouped_of_concurrent", "256 producers with shared transactions by one each"),
    ("enqueue_concurrent_of_floor", "256 producers by the floor's"),
    ("enqueue_single_of_floor", "single enqueue by the floor's"),
    ("start_latency_p50_of_floor", "start latency p50 by the floor's"),
    ("start_latency_p99_of_floor", "start latency p99 by the floor's"),
];

/// The values of one of [`RATIOS`], each taken within its pair.
fn ratio(record: &Record, name: &str) -> Option<Spread> {
    let engine = |one, other| record.ratio((one, &Who::Engine), (other, &Who::Engine));
    let floor = |figure| record.of_floor(figure, &Who::Engine);
    match name {
        "drain_of_best_peer" => {
            let best = record.best_peer(Figure::DrainNoop)?;
            record.ratio((Figure::DrainNoop, &Who::Engine), (Figure::DrainNoop, &best))
        }
        "drain_of_floor" => floor(Figure::DrainNoop),
        "pending_of_empty" => engine(Figure::DrainPending, Figure::DrainNoop),
        "finished_of_empty" => engine(Figure::DrainFinished, Figure::DrainNoop),
        "retries_of_none" => engine(Figure::DrainRetries, Figure::DrainNoop),
        "four_processes_of_one" => engine(Figure::DrainFourProcesses, Figure::DrainNoop),
        "idle_transaction_of_none" => engine(Figure::DrainIdleTransaction, Figure::DrainNoop),
        "pruning_of_none" => engine(Figure::DrainPruning, Figure::DrainNoop),
        "enqueue_batch_of_floor" => floor(Figure::EnqueueBatch),
        "enqueue_grouped_of_concurrent" => engine(Figure::EnqueueGrouped, Figure::EnqueueConcurrent),
        "enqueue_concurrent_of_floor" => floor(Figure::EnqueueConcurrent),
        "enqueue_single_of_floor" => floor(Figure::EnqueueSingle),
        "start_latency_p50_of_floor" => floor(Figure::StartLatencyP50),
        "start_latency_p99_of_floor" => floor(Figure::StartLatencyP99),
        _ => None,
    }
}

/// Those that were measured.
fn ratios(record: &Record) -> Vec<(&'static str, &'static str, Spread)> {
    RATIOS.into_iter().filter_map(|(name, sentence)| Some((name, sentence, ratio(record, name)?))).collect()
}
