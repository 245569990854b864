//! The command line, the same as `node/peer.mjs` takes.

use std::fmt;

use clap::{Parser, ValueEnum};

/// How a peer is set up.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Settings {
    /// What its documentation or its own benchmark says is fastest.
    Best,
    /// As it comes.
    Defaults,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// Jobs a second out of a filled queue, handlers that do nothing.
    DrainNoop,
    /// The same with handlers that sleep for a millisecond.
    #[value(name = "drain_1ms")]
    Drain1ms,
    /// Jobs a second into the queue, 500 a call, one producer.
    EnqueueBatch,
    /// Jobs a second into the queue, a transaction each, one producer.
    EnqueueSingle,
    /// Milliseconds from before the enqueue to the handler's start.
    StartLatency,
}

/// Runs one figure of one peer against an empty database and answers with one line of JSON.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Args {
    /// graphile_worker, riverqueue, awa, apalis-postgres or underway, as far as built in
    pub(crate) peer: String,
    /// The empty database, as postgres://…
    #[arg(long)]
    pub(crate) url: String,
    #[arg(long)]
    pub(crate) settings: Settings,
    #[arg(long)]
    pub(crate) figure: Figure,
    /// Jobs to drain or to enqueue in batches
    #[arg(long, default_value_t = 20_000)]
    pub(crate) jobs: u64,
    /// Handlers at once [default: the peer's own of these settings]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) concurrency: Option<u32>,
    /// Jobs that wait besides those that are drained
    #[arg(long, default_value_t = 0)]
    pub(crate) pending: u64,
    /// Finished jobs in the peer's history at the start
    #[arg(long, default_value_t = 0)]
    pub(crate) finished: u64,
    /// Jobs a second of start_latency
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: u64,
    /// Seconds of start_latency and enqueue_single [default: 10 and 3]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seconds: Option<u64>,
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("invariant: no setting is hidden").get_name())
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("invariant: no figure is hidden").get_name())
    }
}
