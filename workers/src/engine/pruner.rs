//! The pruner: makes the days of bodies and history before they come, and drops those whose time is over. One process of
//! the fleet at a time prunes; nothing that runs or waits depends on when.

use std::time::Duration;

use jobs::{
    Database,
    queue::{
        history::make_partitions,
        prune::{Detaching, prune},
        wait::forget_ended,
    },
};
use rand::RngExt;
use tokio_util::sync::CancellationToken;

/// How often, give or take a half; days are made a week ahead.
const EVERY: Duration = Duration::from_secs(600);
/// How soon after a failure days are made again.
const AGAIN: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Pruner {
    /// A pool of its own: a run keeps two connections busy for as long as it takes.
    pub(crate) database: Database,
    pub(crate) detaching: Detaching,
    pub(crate) stopping: CancellationToken,
}

impl Pruner {
    /// Looks after the days until the process is told to stop; a run that is cut off is gone on with by another's.
    pub(crate) async fn run(self) {
        let stopping = self.stopping.clone();
        stopping.run_until_cancelled(Box::pin(self.look_after_days())).await;
    }

    async fn look_after_days(self) {
        loop {
            let pause = match make_partitions(&self.database).await {
                Ok(()) => EVERY.mul_f64(rand::rng().random_range(0.5..1.5)),
                Err(error) => {
                    tracing::warn!(%error, "the days to come have no partitions yet; they are tried again");
                    AGAIN
                }
            };
            tokio::time::sleep(pause).await;
            self.prune().await;
            if let Err(error) = forget_ended(&self.database).await {
                tracing::debug!(%error, "what is left of ended waits stays for now");
            }
        }
    }

    async fn prune(&self) {
        match prune(&self.database, self.detaching).await {
            Ok(Some(pruned)) => {
                if !pruned.left.is_empty() {
                    tracing::warn!(left = ?pruned.left, "days are still in use and stay until the next run");
                }
                if !pruned.dropped.is_empty() {
                    tracing::info!(dropped = ?pruned.dropped, kept = pruned.kept, deleted = pruned.deleted, "days were dropped");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "pruning stopped; the next run goes on"),
        }
    }
}
