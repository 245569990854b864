//! The tasks of a worker process that talk to the queue. None is driven by another's polling: they run on a thread and
//! runtime of their own, where no handler can hold them up, and the renewer on one more.

pub(crate) mod claimer;
pub(crate) mod finisher;
pub(crate) mod lookout;
pub(crate) mod outage;
pub(crate) mod renewer;
pub(crate) mod sweeper;
