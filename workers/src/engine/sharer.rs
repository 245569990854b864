//! The sharer: tells the fleet now and then what this process' jobs have taken of its queues, and hears what all have. While nothing runs
//! it says nothing.

use std::time::Duration;

use jobs::{Database, queue::share::report};
use tokio_util::sync::CancellationToken;

use super::outage::Outage;
use crate::flights::Flights;

/// How often: for as long two processes may give the same station its turn.
const EVERY: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub(crate) struct Sharer {
    pub(crate) database: Database,
    pub(crate) queues: Vec<String>,
    pub(crate) flights: Flights,
    pub(crate) outage: Outage,
    pub(crate) stopping: CancellationToken,
}

impl Sharer {
    /// Reports until the process is told to stop.
    pub(crate) async fn run(self) {
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            self.flights.count();
            let reports = self.flights.shares.report();
            // While jobs run it hears what the others had, or it would take itself for the only one.
            if reports.is_empty() && self.flights.len() == 0 {
                continue;
            }
            match report(&self.database, &self.queues, &reports).await {
                Ok(known) => self.flights.shares.hear(&known),
                Err(error) => {
                    self.outage.note(&error);
                    self.flights.shares.unheard(&reports);
                    tracing::debug!(%error, "the stations' shares can't be reported now");
                }
            }
        }
    }
}
