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

    /// Notes an error of a call, if the database wasn't there.
    pub(crate) fn note(&self, error: &Error) {
        if error.is_outage() {
            *self.last.lock().expect("no holder of this lock panics") = Instant::now();
        }
    }

    /// Whether the database was there for all of the last `period`.
    pub(crate) fn none_for(&self, period: Duration) -> bool {
        self.last.lock().expect("no holder of this lock panics").elapsed() > period
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadlock_is_no_outage() {
        let outage = Outage::new();
        let began = *outage.last.lock().expect("nobody else");
        outage.note(&Error::Contended("deadlock detected".to_owned()));
        outage.note(&Error::NoDay("yesterday".to_owned()));
        assert_eq!(*outage.last.lock().expect("nobody else"), began);
        outage.note(&Error::Unavailable("connection refused".to_owned()));
        assert!(*outage.last.lock().expect("nobody else") > began);
    }
}
