//! What a panic in the engine leads to: a process that goes on without its claimer or finisher would look alive and do
//! nothing, or hold its jobs for ever. It stops, and says by its exit that something is wrong.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// Shared by the tasks and threads of one engine. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Alarm {
    stop: CancellationToken,
    raised_by: Arc<OnceLock<&'static str>>,
}

impl Alarm {
    /// One that stops a process by `stop`.
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { stop, raised_by: Arc::default() }
    }

    /// The part that raised it first.
    pub(crate) fn raised_by(&self) -> Option<&'static str> {
        self.raised_by.get().copied()
    }

    /// Raises the alarm when whoever holds the answer panics.
    pub(crate) fn armed(&self, part: &'static str) -> Armed {
        Armed { alarm: self.clone(), part }
    }

    /// `task`, which raises the alarm when it panics.
    pub(crate) async fn watch<F: Future>(self, part: &'static str, task: F) -> F::Output {
        let _armed = self.armed(part);
        task.await
    }
}

/// See [`Alarm::armed`].
#[derive(Debug)]
pub(crate) struct Armed {
    alarm: Alarm,
    part: &'static str,
}

impl Drop for Armed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.alarm.raised_by.set(self.part);
            tracing::error!(part = self.part, "a part of the engine panicked: this process stops");
            self.alarm.stop.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_panics_stops_its_process_and_one_that_ends_doesnt() {
        let stop = CancellationToken::new();
        let alarm = Alarm::new(stop.clone());
        tokio::spawn(alarm.clone().watch("sweeper", async {})).await.unwrap();
        assert_eq!((stop.is_cancelled(), alarm.raised_by()), (false, None));
        let panicked = tokio::spawn(alarm.clone().watch("claimer", async { panic!("as it was told to") })).await;
        assert!(panicked.unwrap_err().is_panic());
        assert_eq!((stop.is_cancelled(), alarm.raised_by()), (true, Some("claimer")));
    }
}
