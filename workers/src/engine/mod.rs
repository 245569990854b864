//! The tasks of a worker process that talk to the queue. None is driven by another's polling: they run on a thread and
//! runtime of their own, where no handler can hold them up, and the renewer on one more.

pub(crate) mod claimer;
pub(crate) mod finisher;
pub(crate) mod lookout;
pub(crate) mod outage;
mod pace;
pub(crate) mod pruner;
pub(crate) mod renewer;
pub(crate) mod sweeper;
mod writer;

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use jobs::{
    ConnectOptions, Database,
    workers::{NewWorker, register, retire},
};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    claimer::Claimer,
    finisher::Finisher,
    lookout::{Lookout, listen},
    pruner::Pruner,
    sweeper::Sweeper,
};
use crate::process::Role;

/// The tasks of one process, ready to start.
pub(crate) struct Engine {
    pub(crate) claimer: Claimer,
    pub(crate) sweeper: Sweeper,
    pub(crate) pruner: Pruner,
    pub(crate) lookout: Lookout,
    /// Where wake-ups come from and which bell they ring; none polls.
    pub(crate) listener: Option<(String, ConnectOptions, Arc<Notify>)>,
    pub(crate) finisher: Finisher,
    pub(crate) database: Database,
    pub(crate) newcomer: NewWorker,
    pub(crate) role: Role,
    /// Tells all but the finisher and the lookout to end.
    pub(crate) stop: CancellationToken,
    /// Set when no handler will hand over another result.
    pub(crate) closing: CancellationToken,
    /// Set when the last result is written.
    pub(crate) ended: CancellationToken,
}

impl Engine {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub(crate) fn start(self) -> std::io::Result<JoinHandle<()>> {
        // Tasks are spawned from inside, so that they belong to this thread's runtime.
        std::thread::Builder::new().name("vtoc-engine".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime needs no more than a thread");
            runtime.block_on(self.run());
        })
    }

    async fn run(self) {
        if !registered(&self.database, &self.newcomer, &self.stop).await {
            return;
        }
        let tracker = TaskTracker::new();
        let queues = self.newcomer.queues.clone();
        let suspects = self.lookout.suspects.clone();
        let looking = tokio::spawn(self.lookout.run());
        match self.role {
            Role::Member => {
                tracker.spawn(self.claimer.run());
                tracker.spawn(self.sweeper.run());
                tracker.spawn(self.pruner.run());
                if let Some((url, options, bell)) = self.listener {
                    tracker.spawn(listen(url, options, queues, bell, self.stop.clone()));
                }
            }
            Role::Isolated => {
                tracker.spawn(self.claimer.run_suspects());
            }
        }
        tracker.close();
        self.finisher.run(self.closing).await;
        tracker.wait().await;
        if let Some(suspects) = suspects {
            suspects.ended().await;
        }
        if let Err(error) = retire(&self.database, self.newcomer.id).await {
            tracing::warn!(%error, "the registry couldn't be told that this process ends");
        }
        self.ended.cancel();
        // It ends with the token; a panic in it has been reported by the hook.
        let _ = looking.await;
    }
}

/// Registers the process, waiting for the database as long as it takes; false when it was told to stop meanwhile.
async fn registered(database: &Database, newcomer: &NewWorker, stop: &CancellationToken) -> bool {
    loop {
        match register(database, newcomer).await {
            Ok(()) => return true,
            Err(error) => tracing::warn!(%error, "waiting for the database"),
        }
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}
