//! What a worker process is told. Every limit has a name, a unit and a default.

use std::time::Duration;

use jobs::{ConnectOptions, Pooling};
use uuid::Uuid;

use crate::isolation::Isolation;

/// A worker process' settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the jobs are.
    pub database_url: String,
    /// Queues to drain.
    pub queues: Vec<String>,
    /// Jobs at once.
    pub concurrency: usize,
    /// Times and bounds.
    pub limits: Limits,
    /// How suspects get a process of their own; none: this process leaves them to others.
    pub isolation: Option<Isolation>,
    /// The database is behind a transaction pooler: nothing is left in its sessions. So there is no listener, and work is
    /// found by polling alone.
    pub poll_only: bool,
    /// This process, in the registry.
    pub worker_id: Uuid,
}

/// Times and bounds of a worker process.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a claim is good for without a renewal. Default 30 s; all workers of a fleet use the same.
    pub lease: Duration,
    /// How often an idle process looks for work. Default 1 s.
    pub poll: Duration,
    /// How often lost jobs are looked for. Default 5 s, jittered.
    pub sweep: Duration,
    /// How long jobs may go on after a stop is asked for. Default 20 s.
    pub drain: Duration,
    /// How long a handler that ignores its time limit is waited for. Default 5 s.
    pub overtime: Duration,
    /// Jobs claimed at once at most. Default 500.
    pub claim_max: u32,
    /// Results written at once at most. Default 500.
    pub finish_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            poll: Duration::from_secs(1),
            sweep: Duration::from_secs(5),
            drain: Duration::from_secs(20),
            overtime: Duration::from_secs(5),
            claim_max: 500,
            finish_max: 500,
        }
    }
}

impl Limits {
    /// When a process that couldn't renew gives its jobs up by itself: before anybody else may take them.
    #[must_use]
    pub fn fence(&self) -> Duration {
        self.lease * 5 / 6
    }

    /// How often leases are renewed.
    #[must_use]
    pub fn renewal(&self) -> Duration {
        self.lease / 3
    }
}

impl Config {
    /// A pool of its own for each use, so that none can keep another waiting.
    pub(crate) fn pool(&self, application_name: &'static str, connections_max: u32) -> ConnectOptions {
        let deadline = (self.limits.lease / 6).clamp(Duration::from_secs(2), Duration::from_secs(10));
        ConnectOptions {
            application_name,
            connections_max,
            acquire_timeout: deadline,
            statement_timeout: deadline,
            deadline,
            pooling: if self.poll_only { Pooling::Transaction } else { Pooling::Session },
        }
    }
}
