//! What a history is made of. Records of one job stand in the order in which they were committed; deliveries may stand
//! anywhere.

use crate::JobId;

/// One thing that was sent, answered or done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A delivery was sent, and this is what its sender saw.
    Sent {
        /// What tells it from others.
        delivery: String,
        /// The sender's side of it.
        sight: Sight,
    },
    /// A job stands in the database.
    Enqueued {
        /// Which.
        job: JobId,
        /// The delivery that it was made of, if any.
        delivery: Option<String>,
        /// Attempts at most.
        attempts_max: i16,
    },
    /// An attempt began under a lease.
    Claimed {
        /// Of which job.
        job: JobId,
        /// The claim's token.
        token: i64,
        /// Which attempt, from 1.
        attempt: i16,
    },
    /// The result of an attempt was written.
    Finished {
        /// Of which job.
        job: JobId,
        /// The claim of whoever brought it.
        token: i64,
        /// What it came to.
        came: Came,
    },
    /// A process brought a result, or asked to hold the job, and was refused.
    Refused {
        /// Which job.
        job: JobId,
        /// The claim of whoever came.
        token: i64,
    },
    /// A sweep took the job back.
    Swept {
        /// Which job.
        job: JobId,
        /// The claim that it took it from.
        token: i64,
        /// Whether the attempt was held to have died with its process.
        blamed: bool,
    },
    /// The blame for an attempt was taken back: its process had only been away.
    Cleared {
        /// Which job.
        job: JobId,
        /// The attempt's claim.
        token: i64,
    },
    /// The job's completion was committed: done, dead or cancelled.
    Ended {
        /// Which job.
        job: JobId,
    },
    /// An effect arrived where it takes effect, and was counted there.
    Effect {
        /// On behalf of which job.
        job: JobId,
        /// What the effect is called within the job.
        name: String,
        /// The key it came under.
        key: String,
        /// The claim of whoever sent it, where it could only be written under one.
        token: Option<i64>,
        /// Whether it changed anything: a known key doesn't.
        took: bool,
    },
}

impl Record {
    /// The job that it is about; what was sent is about none yet.
    #[must_use]
    pub fn job(&self) -> Option<JobId> {
        match self {
            Self::Sent { .. } => None,
            Self::Enqueued { job, .. }
            | Self::Claimed { job, .. }
            | Self::Finished { job, .. }
            | Self::Refused { job, .. }
            | Self::Swept { job, .. }
            | Self::Cleared { job, .. }
            | Self::Ended { job }
            | Self::Effect { job, .. } => Some(*job),
        }
    }
}

/// What a sender saw come of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// A 2xx that names the job.
    Accepted(JobId),
    /// An answer that asks to try again: nothing may have been kept.
    Unavailable,
    /// No answer: it may have been kept or not.
    Unanswered,
}

/// What an attempt came to, as far as the laws care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// The job's end.
    Ended,
    /// Another attempt; this one counts.
    Burned,
    /// Another attempt; this one doesn't count.
    GivenBack,
}
