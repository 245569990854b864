//! The tasks of a worker process that talk to the queue. None is driven by another's polling: they run on a thread and
//! runtime of their own, where no handler can hold them up, and the renewer on one more.

pub(crate) mod alarm;
pub(crate) mod claimer;
pub(crate) mod finisher;
pub(crate) mod lookout;
pub(crate) mod outage;
mod pace;
pub(crate) mod pruner;
mod rarely;
pub(crate) mod renewer;
pub(crate) mod share;
pub(crate) mod sharer;
pub(crate) mod sweeper;
pub(crate) mod ticker;
mod writer;

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use jobs::{
    ConnectOptions, Database,
    workers::{NewWorker, register, retire},
};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    alarm::Alarm,
    claimer::Claimer,
    finisher::Finisher,
    lookout::{Lookout, listen},
    pruner::Pruner,
    sharer::Sharer,
    sweeper::Sweeper,
    ticker::Ticker,
};
use crate::process::Role;

/// The tasks of one process, ready to start.
pub(crate) struct Engine {
    pub(crate) claimer: Claimer,
    pub(crate) sweeper: Sweeper,
    pub(crate) pruner: Pruner,
    pub(crate) sharer: Sharer,
    pub(crate) ticker: Ticker,
    pub(crate) lookout: Lookout,
    /// Where wake-ups come from and which bell they ring; none polls.
    pub(crate) listener: Option<(String, ConnectOptions, Arc<Notify>)>,
    pub(crate) finisher: Finisher,
    pub(crate) database: Database,
    pub(crate) newcomer: NewWorker,
    pub(crate) role: Role,
    pub(crate) alarm: Alarm,
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
        let alarm = self.alarm;
        let looking = tokio::spawn(alarm.clone().watch("lookout", self.lookout.run()));
        let claiming = match self.role {
            Role::Member => {
                tracker.spawn(alarm.clone().watch("sweeper", self.sweeper.run()));
                tracker.spawn(alarm.clone().watch("pruner", self.pruner.run()));
                tracker.spawn(alarm.clone().watch("ticker", self.ticker.run()));
                tracker.spawn(alarm.clone().watch("sharer", self.sharer.run()));
                if let Some((url, options, bell)) = self.listener {
                    tracker
                        .spawn(alarm.clone().watch("listener", listen(url, options, queues, bell, self.stop.clone())));
                }
                tokio::spawn(alarm.clone().watch("claimer", self.claimer.run()))
            }
            Role::Isolated => tokio::spawn(alarm.clone().watch("claimer", self.claimer.run_suspects())),
        };
        tracker.close();
        // Not before the claimer has ended: a claim that is answered late is given back through the finisher.
        let (closing, handed_over) = (CancellationToken::new(), self.closing);
        let last = closing.clone();
        tokio::spawn(async move {
            handed_over.cancelled().await;
            // It ends with the token; a panic in it has raised the alarm.
            let _ = claiming.await;
            last.cancel();
        });
        alarm.watch("finisher", self.finisher.run(closing)).await;
        tracker.wait().await;
        if let Some(suspects) = suspects {
            suspects.ended().await;
        }
        if let Err(error) = retire(&self.database, self.newcomer.id).await {
            tracing::warn!(%error, "the registry couldn't be told that this process ends");
        }
        self.ended.cancel();
        // It ends with the token; a panic in it has raised the alarm.
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
