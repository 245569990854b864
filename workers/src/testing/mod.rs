//! For people who write kinds: jobs run in the test's own process, one at a time, exactly as a worker would run them: claimed
//! under a lease, through the same layers, their fate written by the same finisher. What isn't here: a renewer (the lease is longer
//! than the time limit), calling off, and suspects' own processes. Assertions about what is queued are in `jobs::testing`.

mod drain;
mod performed;
mod workbench;

pub use self::{drain::Drain, performed::Performed, workbench::Workbench};
