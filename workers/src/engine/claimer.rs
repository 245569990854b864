//! The claimer: fills free slots, and claims ahead of them only what will be done within a few milliseconds. It claims when it
//! is told that there is work and goes on at once while claims come back full.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesUnordered};
use jobs::{
    Database,
    kinds::Kinds,
    queue::{
        Claimed, Fate,
        claim::{Claim, claim, claim_suspect, step},
    },
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{finisher::Results, outage::Outage, pace::Pace};
use crate::{
    config::Limits,
    flights::{Boarded, Flights},
};

/// While there is a backlog, how long at most to wait for more room before claiming for a little: as long as a claim takes.
const GATHER_MAX: Duration = Duration::from_millis(10);
/// Claims under way at a time.
const CLAIMS_MAX: usize = 2;

/// What came of a claim.
struct Filled {
    /// There may be more where that came from.
    full: bool,
    took: Duration,
}

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
    /// One permit for each slot, and for each job that may be claimed ahead.
    pub(crate) room: Arc<Semaphore>,
    pub(crate) jobs: mpsc::Sender<Boarded>,
    pub(crate) stopping: CancellationToken,
}

impl Claimer {
    /// Claims until the process is told to stop. While there is a backlog two claims are under way, so that the server has the
    /// next one when it has done with one.
    pub(crate) async fn run(self) {
        let names = self.kinds.names();
        let mut pace = Pace::new(self.limits.claim_max as usize * 2);
        let (mut claims, mut backlog) = (FuturesUnordered::new(), false);
        loop {
            if claims.is_empty() && !backlog {
                tokio::select! {
                    biased;
                    () = self.stopping.cancelled() => return,
                    () = self.bell.notified() => {}
                }
            }
            pace.keep(self.flights.counters.finished.load(Ordering::Relaxed), &self.room);
            let may_claim = claims.is_empty() || backlog && claims.len() < CLAIMS_MAX;
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => break,
                Some(claimed) = claims.next() => {
                    let Filled { full, took } = claimed;
                    pace.claimed_in(took);
                    // What another claim had locked, this one stepped over.
                    backlog = full || backlog && !claims.is_empty();
                }
                room = self.free_room(backlog.then(|| pace.claim()), self.concurrency + pace.ahead()), if may_claim => {
                    claims.push(self.fill(&names, room));
                }
            }
        }
        // A claim that was sent must be heard out, or its jobs wait for their lease to end.
        while claims.next().await.is_some() {}
    }

    /// Waits for room; while there is a backlog, for a moment also for more of it.
    async fn free_room(&self, gather: Option<Duration>, all: usize) -> OwnedSemaphorePermit {
        let acquire = |room: usize| Arc::clone(&self.room).acquire_many_owned(u32::try_from(room).unwrap_or(u32::MAX));
        let claim_max = self.limits.claim_max as usize;
        let many = (all / 2).clamp(1, claim_max);
        let gathered = match gather {
            Some(gather) => tokio::time::timeout(gather.min(GATHER_MAX), acquire(many)).await.ok(),
            None => None,
        };
        let mut room = match gathered {
            Some(room) => room,
            None => acquire(1).await,
        }
        .expect("the semaphore is never closed");
        let more = self.room.available_permits().min(claim_max.saturating_sub(room.num_permits()));
        if let Ok(more) = Arc::clone(&self.room).try_acquire_many_owned(u32::try_from(more).unwrap_or(0)) {
            room.merge(more);
        }
        room
    }

    /// Claims for `room`.
    async fn fill(&self, names: &[String], mut room: OwnedSemaphorePermit) -> Filled {
        let limit = step(u32::try_from(room.num_permits()).unwrap_or(u32::MAX));
        // What is over makes room for the next claim.
        drop(room.split(room.num_permits() - limit as usize));
        let since = Instant::now();
        let request =
            Claim { worker: self.worker, queues: &self.queues, kinds: names, limit, lease: self.limits.lease };
        let claimed = claim(&self.database, &request).await;
        let took = since.elapsed();
        let full = match claimed {
            Ok(claimed) => {
                let full = claimed.len() == limit as usize;
                self.send(claimed, room, since).await;
                full
            }
            Err(error) => {
                self.outage.note(&error);
                tracing::warn!(%error, "a claim failed; the next follows with the next poll");
                false
            }
        };
        Filled { full, took }
    }

    /// Runs suspects, one after another and never two at once, until none is left; then lets the process end.
    pub(crate) async fn run_suspects(self) {
        let names = self.kinds.names();
        while !self.stopping.is_cancelled() {
            // After a stop the room that a job leaves is for no other.
            let room = tokio::select! {
                biased;
                () = self.stopping.cancelled() => break,
                room = self.free_room(None, 1) => room,
            };
            let since = Instant::now();
            let request =
                Claim { worker: self.worker, queues: &self.queues, kinds: &names, limit: 1, lease: self.limits.lease };
            match claim_suspect(&self.database, &request).await {
                Ok(Some(job)) => self.send(vec![job], room, since).await,
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "no suspect can be claimed now");
                    break;
                }
            }
        }
        // The only slot is free again once the last result is with the finisher.
        drop(self.free_room(None, 1).await);
        self.stopping.cancel();
    }

    /// Takes jobs on board and hands them to the handlers.
    async fn send(&self, claimed: Vec<Claimed>, mut room: OwnedSemaphorePermit, since: Instant) {
        let time_limit =
            |kind: &str| self.kinds.get(kind).map_or(Duration::from_secs(60), |kind| kind.policy.time_limit);
        for (claimed, flight) in self.flights.board(claimed, time_limit, since) {
            let room = room.split(1).expect("a claim answers with no more jobs than it asked for");
            let boarded = Boarded { claimed, flight, room: Some(room), slot: None };
            if let Err(refused) = self.jobs.send(boarded).await {
                // The lane has closed: the process is stopping.
                self.results.settle(&refused.0.flight, Fate::Interrupted).await;
            }
        }
    }
}
