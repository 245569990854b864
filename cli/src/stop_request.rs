//! How a person or a service manager tells `vtoc` to stop: Ctrl-C, SIGTERM or SIGHUP, once to stop in order, again to hurry.

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Stop requests as they come in. From its making on, the signals no longer end this process by themselves.
#[derive(Debug)]
pub(crate) struct StopRequests {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl StopRequests {
    pub(crate) fn listen() -> Result<StopRequests> {
        let on = |kind| signal(kind).context("listen for signals");
        Ok(StopRequests {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hang_up: on(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
