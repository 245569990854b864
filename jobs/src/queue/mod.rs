//! The queue engine. Where a job stands is said by a narrow row in `job_ready`, by its place in a row of `job_lease`, by a row
//! in `job_waiting`, or at its end by a row in `job_finished`, beside its immutable body (`job`). Every change to a running job is conditional on the token of the
//! claim that made it run. Nothing here knows what a job does, and nothing here waits: waiting is the worker's.

pub mod attempt;
pub mod batch;
pub mod callback;
pub mod cancel;
pub mod claim;
pub mod dead;
pub mod enqueue;
pub mod family;
mod fate;
pub mod finish;
pub mod group;
pub mod history;
pub mod large;
pub mod lease;
pub mod prune;
mod settle;
pub mod share;
mod standing;
pub mod sweep;
pub mod wait;
pub mod wake;

pub use attempt::{Attempt, Locked};
pub use claim::{Claim, Claimed, Fronts, Held, Lane, Look};
pub use enqueue::{Dedupe, Enqueued, NewJob, enqueue};
pub use fate::{Backoff, Fate, Fault};
pub use finish::{Ending, Outcome};
pub use group::Grouped;
pub use wait::{Until, Woken};

/// How long finished jobs stay visible: done ones a day, dead and cancelled ones a month.
pub(crate) const RETENTION_DONE_H: i32 = 24;
/// See [`RETENTION_DONE_H`].
pub(crate) const RETENTION_OTHER_H: i32 = 30 * 24;
/// Statements at most in search of a job that moves; its history may also be pruned.
const LOOKS_MAX: u32 = 5;
/// Deaths of its process after which a job that ran alone is dead.
pub const CRASHES_MAX: i16 = 3;
