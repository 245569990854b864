//! The claimer: fills free slots, and claims ahead of them only what will be done within a few milliseconds. It claims when it
//! is told that there is work and goes on at once while claims come back full: from where the last one ended, and now and then
//! from the beginning.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use jobs::{
    Database,
    kinds::Kinds,
    queue::{
        Claimed, Fate, Fronts, Lane,
        claim::{Claim, claim_from, claim_suspect, step},
    },
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    finisher::Results,
    outage::Outage,
    pace::Pace,
    rarely::Rarely,
    share::{Share, Shares},
};
use crate::{
    config::Limits,
    flights::{Boarded, Flights},
};

/// While there is a backlog, how long at most to wait for more room before claiming for a little: as long as a claim takes.
const GATHER_MAX: Duration = Duration::from_millis(10);
/// Claims under way at a time.
const CLAIMS_MAX: usize = 2;
/// After a claim that ended where there was no more, how long to wait at least before one from the beginning.
const CALM: Duration = Duration::from_millis(250);

/// What came of a claim.
struct Filled {
    /// There may be more where that came from.
    full: bool,
    /// Whether it began at the beginning.
    whole: bool,
    /// Which fronts it began from, or before.
    since: u64,
    /// Where it ended; unknown when it failed.
    fronts: Option<Fronts>,
    took: Duration,
}

/// How far the process has come, and when it is to begin again.
struct Course {
    fronts: Fronts,
    /// Counts how often they were put back.
    set: u64,
    wholes: Rarely,
    /// A claim from the beginning is under way.
    whole: bool,
    /// What stands behind the fronts wasn't seen since there was no more before them.
    unsure: bool,
}

impl Course {
    fn new() -> Self {
        Self { fronts: Fronts::default(), set: 0, wholes: Rarely::new(), whole: false, unsure: false }
    }

    /// From where the next claim goes; none from the beginning.
    fn next(&mut self) -> Option<Fronts> {
        if self.whole || !self.wholes.may() {
            return Some(self.fronts.clone());
        }
        self.whole = true;
        None
    }

    fn note(&mut self, filled: &Filled) {
        if filled.whole {
            self.whole = false;
            self.wholes.took(filled.took);
        }
        self.unsure = !filled.full && !filled.whole;
        // Of a claim that failed nothing is known: what it had taken, if anything, is found from the beginning.
        let Some(fronts) = &filled.fronts else { return };
        if filled.whole && filled.full {
            // There is more behind the fronts than one claim takes: they go on from there. What other claims come to that began
            // further on is no news.
            self.fronts.put(fronts);
            self.set += 1;
        } else if filled.since == self.set {
            self.fronts.join(fronts);
        }
    }

    /// Until when nobody need look behind the fronts.
    async fn unsure_for_too_long(&self) {
        let calm = tokio::time::Instant::now() + CALM;
        tokio::time::sleep_until(calm.max(self.wholes.next().into())).await;
    }
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
    /// Claims until the process is told to stop. One claim takes jobs at a time, since two of each of several processes were in each
    /// other's way; while it reads their bodies and commits, the next one may begin.
    pub(crate) async fn run(self) {
        let names = self.kinds.names();
        let queues: Vec<Arc<str>> = self.queues.iter().map(|queue| queue.as_str().into()).collect();
        let mut pace = Pace::new(self.limits.claim_max as usize * 2);
        let (taken, mut taking) = (Notify::new(), false);
        let (mut claims, mut backlog, mut course) = (FuturesUnordered::new(), false, Course::new());
        // Heard, and not followed by a claim yet.
        let mut rung = false;
        loop {
            if claims.is_empty() && !backlog && !rung {
                tokio::select! {
                    biased;
                    () = self.stopping.cancelled() => return,
                    () = self.bell.notified() => {}
                    () = course.unsure_for_too_long(), if course.unsure => {}
                }
                rung = true;
            }
            pace.keep(self.flights.counters.finished.load(Ordering::Relaxed), &self.room);
            let may_claim = !taking && (claims.is_empty() || backlog && claims.len() < CLAIMS_MAX);
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => break,
                Some(filled) = claims.next() => {
                    let filled: Filled = filled;
                    pace.claimed_in(filled.took);
                    course.note(&filled);
                    // What another claim had locked, this one stepped over.
                    backlog = filled.full || backlog && !claims.is_empty();
                }
                () = taken.notified(), if taking => taking = false,
                room = self.free_room(backlog.then(|| pace.claim()), self.concurrency + pace.ahead()), if may_claim => {
                    let Some(room) = pace.shrink(room) else { continue };
                    let fronts = course.next();
                    // Who is told of work doesn't know whose it is.
                    let everybody = rung || fronts.is_none() || self.bell.notified().now_or_never().is_some();
                    (taking, rung) = (true, false);
                    let limit = step(u32::try_from(room.num_permits()).unwrap_or(u32::MAX));
                    let shares = self.shares().next(&queues, limit as usize, everybody);
                    claims.push(self.fill(&names, (room, limit), shares, (fronts, course.set), &taken));
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

    fn shares(&self) -> &Shares {
        &self.flights.shares
    }

    /// Claims `limit` jobs at most, for which there is `room`, by their stations' `shares`; from the beginning or from `fronts` on.
    async fn fill(
        &self,
        names: &[String],
        (mut room, limit): (OwnedSemaphorePermit, u32),
        shares: Vec<Share>,
        (fronts, set): (Option<Fronts>, u64),
        taken: &Notify,
    ) -> Filled {
        // What is over makes room for the next claim.
        drop(room.split(room.num_permits() - limit as usize));
        let since = Instant::now();
        let request =
            Claim { worker: self.worker, queues: &self.queues, kinds: names, limit, lease: self.limits.lease };
        let whole = fronts.is_none();
        let mut told = false;
        let tell = || {
            told = true;
            taken.notify_one();
        };
        let lanes: Vec<Lane<'_>> = shares
            .iter()
            .map(|share| Lane {
                queue: &share.queue,
                station: share.station,
                quota: u32::try_from(share.quota).unwrap_or(u32::MAX),
            })
            .collect();
        let claimed = claim_from(&self.database, &request, &lanes, &fronts.unwrap_or_default(), tell).await;
        // One that failed before it took anything is over, too.
        if !told {
            taken.notify_one();
        }
        let mut filled = Filled { full: false, whole, since: set, fronts: None, took: since.elapsed() };
        match claimed {
            Ok(claimed) => {
                filled.full = self.shares().took(&shares, &claimed, limit as usize);
                filled.fronts = Some(Fronts::of(&claimed));
                self.send(claimed, room, since).await;
            }
            Err(error) => {
                self.shares().forget();
                self.outage.note(&error);
                tracing::warn!(%error, "a claim failed; the next follows with the next poll");
            }
        }
        filled
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
