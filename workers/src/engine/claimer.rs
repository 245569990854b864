//! The claimer: fills free slots, and only those. It claims when it is told that there is work and goes on at once while
//! claims come back full.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jobs::{
    Database,
    kinds::Kinds,
    queue::{
        Claimed, Fate,
        claim::{Claim, claim, claim_suspect},
    },
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{finisher::Results, outage::Outage};
use crate::{
    config::Limits,
    flights::{Boarded, Facts, Flights},
};

/// While there is a backlog, how long to wait for more slots before claiming for a few.
const GATHER: Duration = Duration::from_millis(2);

/// See the module.
#[derive(Debug)]
pub(crate) struct Claimer {
    pub(crate) database: Database,
    pub(crate) worker: Uuid,
    pub(crate) queues: Vec<String>,
    pub(crate) kinds: Arc<Kinds>,
    pub(crate) limits: Limits,
    pub(crate) concurrency: usize,
    pub(crate) flights: Flights,
    pub(crate) outage: Outage,
    pub(crate) results: Results,
    /// Rung when there may be work.
    pub(crate) bell: Arc<Notify>,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) jobs: mpsc::Sender<Boarded>,
    pub(crate) stopping: CancellationToken,
}

impl Claimer {
    /// Claims until the process is told to stop.
    pub(crate) async fn run(self) {
        let names = self.kinds.names();
        let mut backlog = false;
        loop {
            if !backlog {
                tokio::select! {
                    () = self.stopping.cancelled() => return,
                    () = self.bell.notified() => {}
                }
            }
            let slots = tokio::select! {
                () = self.stopping.cancelled() => return,
                slots = self.free_slots(backlog) => slots,
            };
            // Not inside the select: a claim that was sent must be heard out, or its jobs wait for their lease to end.
            backlog = self.fill(&names, slots).await;
        }
    }

    /// Waits for a free slot; while there is a backlog, a moment longer for more of them.
    async fn free_slots(&self, backlog: bool) -> OwnedSemaphorePermit {
        let acquire =
            |slots: usize| Arc::clone(&self.slots).acquire_many_owned(u32::try_from(slots).unwrap_or(u32::MAX));
        let many = (self.concurrency / 2).max(1);
        let gathered = if backlog { tokio::time::timeout(GATHER, acquire(many)).await.ok() } else { None };
        let mut slots = match gathered {
            Some(slots) => slots,
            None => acquire(1).await,
        }
        .expect("the semaphore is never closed");
        let claim_max = self.limits.claim_max as usize;
        let more = self.slots.available_permits().min(claim_max.saturating_sub(slots.num_permits()));
        if let Ok(more) = Arc::clone(&self.slots).try_acquire_many_owned(u32::try_from(more).unwrap_or(0)) {
            slots.merge(more);
        }
        slots
    }

    /// Claims for `slots`; true when there may be more where that came from.
    async fn fill(&self, names: &[String], mut slots: OwnedSemaphorePermit) -> bool {
        let limit = u32::try_from(slots.num_permits()).unwrap_or(u32::MAX);
        let since = Instant::now();
        let request =
            Claim { worker: self.worker, queues: &self.queues, kinds: names, limit, lease: self.limits.lease };
        let claimed = match claim(&self.database, &request).await {
            Ok(claimed) => claimed,
            Err(error) => {
                self.outage.note(&error);
                tracing::warn!(%error, "a claim failed; the next follows with the next poll");
                return false;
            }
        };
        let full = claimed.len() == limit as usize;
        for job in claimed {
            let slot = slots.split(1).expect("a claim answers with no more jobs than it asked for");
            self.send(job, slot, since).await;
        }
        full
    }

    /// Runs suspects, one after another and never two at once, until none is left; then lets the process end.
    pub(crate) async fn run_suspects(self) {
        let names = self.kinds.names();
        while !self.stopping.is_cancelled() {
            let slot = self.free_slots(false).await;
            let since = Instant::now();
            let request =
                Claim { worker: self.worker, queues: &self.queues, kinds: &names, limit: 1, lease: self.limits.lease };
            match claim_suspect(&self.database, &request).await {
                Ok(Some(job)) => self.send(job, slot, since).await,
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "no suspect can be claimed now");
                    break;
                }
            }
        }
        // The only slot is free again once the last result is with the finisher.
        drop(self.free_slots(false).await);
        self.stopping.cancel();
    }

    /// Takes a job on board and hands it to the handlers.
    async fn send(&self, job: Claimed, slot: OwnedSemaphorePermit, since: Instant) {
        let time_limit = self.kinds.get(&job.kind).map_or(Duration::from_secs(60), |kind| kind.policy.time_limit);
        let boarded = self.flights.board(job, slot, time_limit, since);
        if let Err(refused) = self.jobs.send(boarded).await {
            // The lane has closed: the process is stopping.
            self.results.settle(&Facts::of(&refused.0.claimed), Fate::Interrupted).await;
        }
    }
}
