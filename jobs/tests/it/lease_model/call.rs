//! What is asked of a queue, what it answers, and what can be seen of it: the common tongue of the model and of Postgres.
//! Jobs, claims and processes are called by their order of appearance, so that both sides use the same names.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use jobs::queue::{cancel::Cancelled, sweep::Swept};

/// The fleet's lease. Time passes in tens of seconds, so that nothing happens at the moment a lease ends.
pub(crate) const LEASE_S: i64 = 25;
/// The kind's backoff, waited in full: 10 s, 160 s, 810 s.
pub(crate) const BACKOFF_BASE_S: i64 = 10;
/// How long a snooze is.
pub(crate) const SNOOZE_S: i64 = 20;
/// What a far side asks for when it does.
pub(crate) const ASKED_S: i64 = 30;

pub(crate) type Job = usize;
pub(crate) type Token = usize;
pub(crate) type Process = usize;

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    Done,
    Retry,
    RetryAsked,
    TimedOut,
    Panicked,
    Snooze,
    Cancel,
    Dead,
    Interrupted,
    GivenUp,
}

/// What the sender of a delivery got to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    Answer,
    /// It was committed and the answer lost.
    Nothing,
    /// It was rolled back.
    Unavailable,
}

/// A delivery, whose key makes a repeat the same job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) number: u8,
    pub(crate) attempts_max: i16,
    pub(crate) priority: i16,
    pub(crate) delay_s: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Start {
        process: Process,
    },
    Die {
        process: Process,
        reported: bool,
    },
    Retire {
        process: Process,
    },
    Enqueue {
        delivery: Delivery,
        heard: Heard,
    },
    Look {
        process: Process,
    },
    Claim {
        process: Process,
        limit: usize,
    },
    /// Of suspects that have been due equally long it may be any: the first side takes which it likes, the others follow.
    ClaimSuspect {
        process: Process,
        among_equals: Option<Job>,
    },
    Renew {
        process: Process,
        tokens: Vec<Token>,
    },
    Finish {
        results: Vec<(Job, Token, Came)>,
    },
    Overrule {
        job: Job,
        token: Token,
    },
    /// Opens a transaction that holds the job and writes the job's effect unless it is there.
    Lock {
        process: Process,
        job: Job,
        token: Token,
    },
    /// Commits it; the job goes on.
    Commit {
        process: Process,
        job: Job,
        token: Token,
    },
    /// Commits it with the job's end.
    Complete {
        process: Process,
        job: Job,
        token: Token,
    },
    /// Rolls it back.
    Drop {
        process: Process,
    },
    /// Writes a job's effect in a transaction that holds nothing: what no driver should do.
    Scribble {
        job: Job,
    },
    Sweep {
        blame: bool,
    },
    Cancel {
        job: Job,
    },
    ClearBlame {
        stale: Vec<(Job, Token)>,
    },
    Pass {
        seconds: i64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Nothing,
    Enqueued { job: Job, fresh: bool },
    Looked { promoted: usize, next_due_in_s: Option<i64>, called_off: BTreeSet<Job> },
    Claimed { token: Token, attempts: BTreeMap<Job, i16> },
    Stand(BTreeSet<Token>),
    Written(BTreeSet<(Job, Token)>),
    Held,
    Stale,
    Swept(Swept),
    Cancelled(Cancelled),
    Cleared(usize),
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Ready { run_at_s: i64, due: bool },
    Running { token: Token, process: Process },
    Done,
    Dead,
    Cancelled,
}

impl Place {
    pub(crate) fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Dead | Self::Cancelled)
    }
}

/// What can be seen of a job. The number of a ready job is of attempts burned, of a running one the attempt under way, of
/// a finished one the last. Crashes and suspicion are only kept while it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) place: Place,
    pub(crate) attempt: i16,
    pub(crate) crash_count: i16,
    pub(crate) suspect: bool,
    /// How often its effect stands in the ledger.
    pub(crate) effects: usize,
}

/// What can be seen of a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) jobs: BTreeMap<Job, Standing>,
    /// Attempts that ended in something else than done, with number and outcome.
    pub(crate) attempts: BTreeMap<(Job, Token), (i16, Cow<'static, str>)>,
}

/// A queue that can be asked, whatever is behind it.
pub(crate) trait Queue {
    fn perform(&mut self, call: &Call) -> Answer;
    fn seen(&mut self) -> Seen;
}
