//! Who the peers are and what they leave out of what the engine promises, as `bench/peers/README.md` says at length; and the
//! published figures of those that no registry carries, which were measured by others, elsewhere.

/// What a peer is and what it leaves out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// Its registry name.
    pub(crate) name: &'static str,
    /// What of the engine's promises it doesn't make.
    pub(crate) lacks: &'static str,
    /// Jobs of a drain at its defaults: as many as some need half a minute for.
    pub(super) defaults_jobs: usize,
    pub(super) is_node: bool,
    pub(super) builds_slowly: bool,
}

/// Every peer that a registry carries.
pub(crate) const PEERS: [Peer; 7] = [
    Peer {
        name: "graphile_worker",
        lacks: "fencing; history (finished jobs are deleted); a record of attempts; fair share",
        defaults_jobs: 40,
        is_node: false,
        builds_slowly: false,
    },
    Peer {
        name: "riverqueue",
        lacks: "fencing (by id and state only); a row an attempt; fair share",
        defaults_jobs: 2_000,
        is_node: false,
        builds_slowly: true,
    },
    Peer {
        name: "awa",
        lacks: "a row an attempt; fair share",
        defaults_jobs: 10_000,
        is_node: false,
        builds_slowly: true,
    },
    Peer {
        name: "apalis-postgres",
        lacks: "fencing (by the worker's name only); pruning; a record of attempts; fair share",
        defaults_jobs: 5_000,
        is_node: false,
        builds_slowly: true,
    },
    Peer {
        name: "underway",
        lacks: "batched claims; an index on its queue; fair share",
        defaults_jobs: 1_000,
        is_node: false,
        builds_slowly: true,
    },
    Peer {
        name: "graphile-worker",
        lacks: "fencing; history (finished jobs are deleted); a record of attempts; fair share",
        defaults_jobs: 2_000,
        is_node: true,
        builds_slowly: false,
    },
    Peer {
        name: "pg-boss",
        lacks: "fencing by token (by retry count); a record of attempts; fair share",
        defaults_jobs: 10,
        is_node: true,
        builds_slowly: false,
    },
];

/// A figure that somebody published: not measured here, on another machine under another load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published {
    /// Whose.
    pub(crate) name: &'static str,
    /// Jobs per second.
    pub(crate) per_s: u32,
    /// Of what.
    pub(crate) what: &'static str,
    /// Where it was found.
    pub(crate) source: &'static str,
}

/// Peers that no registry carries.
pub(crate) const PUBLISHED: [Published; 4] = [
    Published {
        name: "Oban (Elixir)",
        per_s: 16_667,
        what: "no-op jobs, one queue, one node, inserted in batches of 5,000: a million in a minute, said to be reached",
        source: "https://oban.pro/articles/one-million-jobs-a-minute-with-oban",
    },
    Published {
        name: "Oban (Elixir)",
        per_s: 265,
        what: "in and out together, 64 workers, run by the author of awa",
        source: "https://github.com/hardbyte/postgresql-job-queue-benchmarking/blob/main/results/2026-05-01-bulk-everywhere/SUMMARY.md",
    },
    Published {
        name: "River (Go)",
        per_s: 46_000,
        what: "no-op jobs of a million filled before, 2,000 workers, 8-core M2 MacBook Air",
        source: "https://riverqueue.com/docs/benchmarks",
    },
    Published {
        name: "River (Go)",
        per_s: 344,
        what: "in and out together, 128 workers, run by the author of awa",
        source: "https://github.com/hardbyte/postgresql-job-queue-benchmarking/blob/main/results/2026-05-01-bulk-everywhere/SUMMARY.md",
    },
];
