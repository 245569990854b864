//! The queue engine. A job has one narrow row that says where it stands (`job_ready`, `job_running`) or how it ended
//! (`job_finished`) beside its immutable body (`job`). Every change to a running job is conditional on the token of the
//! claim that made it run. Nothing here knows what a job does, and nothing here waits: waiting is the worker's.

pub mod attempt;
pub mod cancel;
pub mod claim;
pub mod enqueue;
mod fate;
pub mod finish;
pub mod history;
pub mod lease;
pub mod sweep;
pub mod wake;

pub use attempt::{Attempt, Locked};
pub use claim::{Claim, Claimed, Look};
pub use enqueue::{Dedupe, Enqueued, NewJob, enqueue};
pub use fate::{Backoff, Fate, Fault};
pub use finish::{Ending, Outcome};

/// How long finished jobs stay visible: done ones a day, dead and cancelled ones a month.
pub(crate) const RETENTION_DONE_H: i32 = 24;
/// See [`RETENTION_DONE_H`].
pub(crate) const RETENTION_OTHER_H: i32 = 30 * 24;
/// Deaths of its process after which a job that ran alone is dead.
pub const CRASHES_MAX: i16 = 3;
