//! The sweeper: takes jobs back whose lease ran out, whoever held it, and makes the history's partitions
//! before their day comes.

use std::time::{Duration, Instant};

use jobs::{
    Database,
    queue::{history::make_partitions, sweep::sweep, wait::forget_ended},
};
use rand::RngExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::outage::Outage;
use crate::config::Limits;

/// How often partitions are looked after; they are made a month ahead.
const PARTITIONS_EVERY: Duration = Duration::from_secs(6 * 3600);

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
        let mut partitions_made = None::<Instant>;
        loop {
            if partitions_made.is_none_or(|at| at.elapsed() > PARTITIONS_EVERY) {
                if let Err(error) = forget_ended(&self.database).await {
                    tracing::debug!(%error, "what is left of ended waits stays for now");
                }
                match make_partitions(&self.database).await {
                    Ok(()) => partitions_made = Some(Instant::now()),
                    Err(error) => {
                        tracing::warn!(%error, "the history's partitions can't be made now; they are tried again")
                    }
                }
            }
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
