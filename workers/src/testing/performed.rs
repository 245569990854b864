//! What one attempt came to.

use std::fmt;

use jobs::{JobId, inspect::State, queue::Fate, testing::Queued};

/// An attempt that was performed.
#[derive(Debug, Clone)]
pub struct Performed {
    /// The job.
    pub id: JobId,
    /// What it does.
    pub kind: String,
    /// Which attempt it was, from 1.
    pub attempt: i16,
    /// What the handler and the layers around it made of it; [`Fate::Stale`] when the result was refused.
    pub fate: Fate,
    /// Where the job stands since: a retry is ready again, or dead with its last attempt.
    pub state: State,
    /// What was enqueued meanwhile and waits. Repeats under a taken key aren't new.
    pub enqueued: Vec<Queued>,
}

impl fmt::Display for Performed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (attempt {}): {:?}", self.kind, self.attempt, self.fate)
    }
}
