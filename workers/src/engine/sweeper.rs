//! The sweeper: takes jobs back whose lease ran out, whoever held it.

use std::time::Duration;

use jobs::{Database, queue::sweep::sweep};
use rand::RngExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::outage::Outage;
use crate::config::Limits;

/// See the module.
#[derive(Debug)]
pub(crate) struct Sweeper {
    pub(crate) database: Database,
    pub(crate) limits: Limits,
    pub(crate) outage: Outage,
    /// Rung when somebody knows of a death.
    pub(crate) bell: std::sync::Arc<Notify>,
    pub(crate) stopping: CancellationToken,
}

impl Sweeper {
    /// Sweeps until the process is told to stop.
    pub(crate) async fn run(self) {
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = self.bell.notified() => {}
                () = tokio::time::sleep(jittered(self.limits.sweep)) => {}
            }
            let blame = self.outage.none_for(self.limits.lease);
            match sweep(&self.database, self.limits.lease, blame).await {
                Ok(swept) if swept.again + swept.dead > 0 => {
                    tracing::warn!(
                        again = swept.again,
                        suspects = swept.suspects,
                        dead = swept.dead,
                        "jobs of lost processes were taken back"
                    );
                }
                Ok(_) => {}
                Err(error) => {
                    self.outage.note(&error);
                    tracing::debug!(%error, "no sweep now");
                }
            }
        }
    }
}

/// Within a fifth of `period`, so that workers started together don't sweep together.
fn jittered(period: Duration) -> Duration {
    period.mul_f64(rand::rng().random_range(0.8..1.2))
}
