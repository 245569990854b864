//! The finisher: gathers results into batches and has them written. What couldn't be written is kept until it can be: a
//! database that is away neither loses a result nor ends the process. Its channel is bounded, so a long outage stops new claims.

use std::{
    collections::{HashMap, HashSet},
    panic::resume_unwind,
    sync::Arc,
    time::{Duration, Instant},
};

use jobs::{
    Database,
    kinds::Kinds,
    queue::{Ending, Fate, Held},
};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::sleep_until,
};
use tokio_util::sync::CancellationToken;

use super::{outage::Outage, writer::Writer};
use crate::flights::{Flight, Flights};

/// Batches that are written at a time: while one waits for the disk, another keeps the server busy.
const WRITES_MAX: usize = 2;

/// How long results wait for the next one of their lease: one that ends as a whole is written with the least work.
const HOLD: Duration = Duration::from_millis(5);
/// How long they wait while others keep coming.
const HOLD_MAX: Duration = Duration::from_millis(25);

/// One job's end, on its way to the database.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) held: Held,
    pub(super) ending: Option<Ending>,
    pub(super) stale: bool,
}

/// The way to the finisher. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Results {
    sender: mpsc::Sender<Landed>,
    kinds: Arc<Kinds>,
}

impl Results {
    /// Hands a job's fate over; waits while the finisher is behind.
    pub(crate) async fn settle(&self, flight: &Flight, fate: Fate) {
        let held = &flight.held;
        let Some(kind) = self.kinds.get(&held.kind) else { return };
        let stale = fate == Fate::Stale;
        let ending = fate.ending(&kind.policy.backoff, held.attempt, held.attempts_max, rand::random());
        flight.land();
        // The finisher outlives every handler.
        let _ = self.sender.send(Landed { held: held.clone(), ending, stale }).await;
    }
}

/// The landed jobs of one lease.
#[derive(Debug)]
struct Gathered {
    jobs: Vec<Landed>,
    since: Instant,
    latest: Instant,
}

impl Gathered {
    fn new(now: Instant) -> Self {
        Self { jobs: Vec::new(), since: now, latest: now }
    }

    /// When they wait no longer.
    fn due(&self) -> Instant {
        (self.latest + HOLD).min(self.since + HOLD_MAX)
    }
}

/// Results that are written together.
#[derive(Debug)]
struct Batch {
    jobs: Vec<Landed>,
    /// Their leases.
    tokens: Vec<i64>,
    /// Those of the leases that end with them, though not with a batch of their own.
    retired: Vec<i64>,
}

/// The finisher's own end.
#[derive(Debug)]
pub(crate) struct Finisher {
    received: mpsc::Receiver<Landed>,
    gathered: HashMap<i64, Gathered>,
    /// Leases with results that are being written; others of theirs wait until that is known.
    busy: HashSet<i64>,
    writer: Writer,
    batch_max: usize,
}

impl Finisher {
    /// A finisher and the way to it, with room for `capacity` results.
    pub(crate) fn new(
        database: Database,
        flights: Flights,
        kinds: Arc<Kinds>,
        outage: Outage,
        batch_max: usize,
        capacity: usize,
    ) -> (Results, Self) {
        let (sender, received) = mpsc::channel(capacity);
        let writer = Writer { database, flights, outage };
        let finisher = Self { received, gathered: HashMap::new(), busy: HashSet::new(), writer, batch_max };
        (Results { sender, kinds }, finisher)
    }

    /// Writes until it is told that no more results come, and then what has come. A handler that holds its thread for
    /// ever can't keep it.
    pub(crate) async fn run(mut self, closing: CancellationToken) {
        let (mut landed, mut writes) = (Vec::new(), JoinSet::new());
        let mut open = true;
        while open || !self.gathered.is_empty() || !writes.is_empty() {
            // Nothing is taken in that nobody could write: in an outage handlers wait with their results.
            let free = writes.len() < WRITES_MAX;
            let due = self.due().filter(|_| free);
            tokio::select! {
                biased;
                Some(written) = writes.join_next() => self.written(written),
                received = self.received.recv_many(&mut landed, self.batch_max), if open && free => open = received > 0,
                () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {}
                () = closing.cancelled(), if !self.received.is_closed() => self.received.close(),
            }
            let now = Instant::now();
            for job in landed.drain(..) {
                let gathered = self.gathered.entry(job.held.token).or_insert_with(|| Gathered::new(now));
                gathered.latest = now;
                gathered.jobs.push(job);
            }
            while writes.len() < WRITES_MAX
                && let Some(Batch { jobs, tokens, retired }) = self.next_batch(!open)
            {
                self.busy.extend(&tokens);
                let writer = self.writer.clone();
                writes.spawn(async move {
                    writer.land(jobs, &retired).await;
                    tokens
                });
            }
        }
    }

    /// When the next results have waited long enough.
    fn due(&self) -> Option<Instant> {
        let free = self.gathered.iter().filter(|(token, _)| !self.busy.contains(token));
        free.map(|(_, gathered)| gathered.due()).min()
    }

    fn written(&mut self, written: Result<Vec<i64>, JoinError>) {
        match written.map_err(JoinError::try_into_panic) {
            Ok(tokens) => self.busy.retain(|token| !tokens.contains(token)),
            Err(Ok(panic)) => resume_unwind(panic),
            // Nobody aborts a write.
            Err(Err(_)) => {}
        }
    }

    /// Results that needn't wait for others of their lease, as many as fit into a batch, and the leases that end with them.
    fn next_batch(&mut self, closing: bool) -> Option<Batch> {
        let now = Instant::now();
        let free = || self.gathered.iter().filter(|(token, _)| !self.busy.contains(token));
        let counts = free().map(|(token, gathered)| (*token, gathered.jobs.len()));
        let complete = self.writer.flights.with_at_most(counts);
        let due = |(token, gathered): (&i64, &Gathered)| {
            (closing || complete.contains(token) || gathered.due() <= now).then_some(*token)
        };
        let due: Vec<i64> = free().filter_map(due).collect();
        let (mut jobs, mut tokens, mut retired) = (Vec::new(), Vec::new(), Vec::new());
        for token in due {
            let more = self.gathered.get(&token).map_or(0, |gathered| gathered.jobs.len());
            if !jobs.is_empty() && jobs.len() + more > self.batch_max {
                break;
            }
            let Some(gathered) = self.gathered.remove(&token) else { continue };
            let whole = gathered.jobs.iter().filter(|job| job.ending.is_some()).count();
            if complete.contains(&token) && gathered.jobs.iter().any(|job| usize::try_from(job.held.batch) != Ok(whole))
            {
                retired.push(token);
            }
            tokens.push(token);
            jobs.extend(gathered.jobs);
        }
        (!jobs.is_empty()).then_some(Batch { jobs, tokens, retired })
    }
}
