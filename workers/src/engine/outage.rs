//! When this process was last without the database. Who was away himself can't say that others were.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jobs::Error;

/// Shared by the tasks of one process.
#[derive(Debug, Clone)]
pub(crate) struct Outage {
    last: Arc<Mutex<Instant>>,
}

impl Outage {
    /// A process that has just started knows nothing yet.
    pub(crate) fn new() -> Self {
        Self { last: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Notes an error of a call.
    pub(crate) fn note(&self, error: &Error) {
        if error.is_transient() {
            *self.last.lock().expect("no holder of this lock panics") = Instant::now();
        }
    }

    /// Whether the database was there for all of the last `period`.
    pub(crate) fn none_for(&self, period: Duration) -> bool {
        self.last.lock().expect("no holder of this lock panics").elapsed() > period
    }
}
