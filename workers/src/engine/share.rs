//! Which stations' jobs are next: those of whoever has had least of the queue, in seconds of workers by its weight. A job is counted
//! with what its kind takes when it is claimed, and with what it took as it goes on; what all processes of the fleet count is
//! added up in the database now and then, never for each job.

mod queue;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use jobs::{
    StationId,
    queue::{
        Claimed,
        share::{Had, Report},
    },
};

use self::queue::{Lane, Queue};

/// What a job of an unknown kind is thought to take, in seconds.
const UNKNOWN: f64 = 0.01;
/// What a job is counted with at most before it has taken as much, in seconds: what it was thought to take may be far from the truth, and
/// who comes begins where the others are.
const AHEAD_MAX: f64 = 1.0;
/// How much of what a kind is thought to take is what its last job took.
const LAST: f64 = 0.05;
/// Lanes that are looked into on the off chance have so many jobs of a claim, when nobody is known to want it all.
const CHANCE: usize = 4;

/// A station's jobs in a queue, and how many of them the next claim may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) queue: Arc<str>,
    pub(crate) station: Option<StationId>,
    pub(crate) quota: usize,
}

/// What a job took of its worker, in seconds, and what it was counted with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took<'a> {
    pub(crate) queue: &'a Arc<str>,
    pub(crate) station: Option<StationId>,
    pub(crate) kind: &'a Arc<str>,
    pub(crate) counted: f64,
    pub(crate) took: f64,
    /// It has ended, and so tells what its kind takes.
    pub(crate) ended: bool,
}

#[derive(Debug, Default)]
struct State {
    /// By station; the fleet's own jobs weigh 1.
    weights: HashMap<StationId, f64>,
    queues: HashMap<Arc<str>, Queue>,
    /// What a station's jobs of a kind take.
    kinds: HashMap<(Arc<str>, Option<StationId>), f64>,
    /// With which queue the next claim begins.
    turn: usize,
}

impl State {
    fn weight(&self, station: Option<StationId>) -> f64 {
        station.and_then(|station| self.weights.get(&station).copied()).unwrap_or(1.0)
    }

    fn expected(&self, kind: &Arc<str>, station: Option<StationId>) -> f64 {
        self.kinds.get(&(Arc::clone(kind), station)).copied().unwrap_or(UNKNOWN)
    }

    fn lane(&mut self, queue: &Arc<str>, station: Option<StationId>) -> &mut Lane {
        if !self.queues.contains_key(queue) {
            self.queues.insert(Arc::clone(queue), Queue::default());
        }
        self.queues.entry(Arc::clone(queue)).or_default().lanes.entry(station).or_default()
    }

    fn count(&mut self, queue: &Arc<str>, station: Option<StationId>, seconds: f64) {
        let seconds = seconds / self.weight(station);
        let lane = self.lane(queue, station);
        lane.had += seconds;
        lane.unsent += seconds;
    }
}

/// See the module. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shares(Arc<Mutex<State>>);

impl Shares {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder of this lock panics")
    }

    /// Who shares the queues, with their weights. Answers whether anybody is new.
    pub(crate) fn know(&self, stations: &[(StationId, f32)]) -> bool {
        let weights: HashMap<_, _> = stations.iter().map(|(station, weight)| (*station, f64::from(*weight))).collect();
        let mut state = self.state();
        let news = weights.keys().any(|station| !state.weights.contains_key(station));
        state.weights = weights;
        news
    }

    /// What a station's job of `kind` is counted with when it is claimed, in seconds.
    pub(crate) fn counted(&self, kind: &Arc<str>, station: Option<StationId>) -> f64 {
        self.state().expected(kind, station).min(AHEAD_MAX)
    }

    /// From which lanes a claim for `room` jobs takes how many. Those that are known to want more share it all; with `everybody`
    /// the others are looked into as well, and named first.
    pub(crate) fn next(&self, queues: &[Arc<str>], room: usize, everybody: bool) -> Vec<Share> {
        let mut state = self.state();
        state.turn = state.turn.wrapping_add(1);
        let wanted = |queue: &&Arc<str>| {
            state.queues.get(*queue).is_some_and(|queue| queue.lanes.values().any(|lane| lane.wanting))
        };
        let mut wanted: Vec<&Arc<str>> = queues.iter().filter(wanted).collect();
        if !wanted.is_empty() {
            let turn = state.turn % wanted.len();
            wanted.rotate_left(turn);
        }
        let mut dealt = Vec::new();
        for (place, queue) in wanted.iter().enumerate() {
            // What doesn't come out even goes to those whose turn it is.
            let room = (room + wanted.len() - 1 - place) / wanted.len();
            let quotas = state.queues[*queue].deal(room, |station| state.weight(station)).into_iter();
            let quotas = quotas.filter(|(_, quota)| *quota > 0);
            dealt.extend(quotas.map(|(station, quota)| Share { queue: Arc::clone(queue), station, quota }));
        }
        if !everybody && !dealt.is_empty() {
            return dealt;
        }
        let mut stations: Vec<Option<StationId>> = state.weights.keys().copied().map(Some).collect();
        stations.push(None);
        let mut shares = Vec::new();
        for queue in queues {
            let known = state.queues.get(queue);
            let wanting = |station| known.and_then(|queue| queue.lanes.get(station)).is_some_and(|lane| lane.wanting);
            let others = stations.iter().filter(|station| !wanting(station));
            let rivals = if dealt.is_empty() { CHANCE.min(stations.len()) } else { dealt.len() + 1 };
            let quota = room.div_ceil(rivals.max(1));
            shares.extend(others.map(|station| Share { queue: Arc::clone(queue), station: *station, quota }));
        }
        shares.extend(dealt);
        shares
    }

    /// Counts what a claim of at most `limit` jobs took from `shares`, a lane's jobs side by side, and notes who wants more. Answers
    /// whether anybody does.
    pub(crate) fn took(&self, shares: &[Share], claimed: &[Claimed], limit: usize) -> bool {
        let mut state = self.state();
        let mut counts = HashMap::new();
        for jobs in claimed.chunk_by(|a, b| a.queue == b.queue && a.station == b.station) {
            let same = |a: &Claimed, b: &Claimed| a.kind == b.kind;
            let (mut cost, mut counted) = (0.0, 0.0);
            for jobs in jobs.chunk_by(same) {
                let count = u32::try_from(jobs.len()).map_or(f64::MAX, f64::from);
                let expected = state.expected(&jobs[0].kind, jobs[0].station);
                cost += count * expected;
                counted += count * expected.min(AHEAD_MAX);
            }
            counts.insert((Arc::clone(&jobs[0].queue), jobs[0].station), (jobs.len(), cost, counted));
        }
        // A claim that was cut short tells of nobody that there is no more.
        let cut = claimed.len() >= limit;
        for share in shares {
            let (count, cost, counted) =
                counts.get(&(Arc::clone(&share.queue), share.station)).copied().unwrap_or_default();
            let queue = state.queues.entry(Arc::clone(&share.queue)).or_default();
            let lane = queue.lanes.entry(share.station).or_default();
            let came = count > 0 && !lane.wanting;
            lane.wanting = count >= share.quota || cut && (count > 0 || lane.wanting);
            if came {
                lane.floor = queue.clock;
                lane.had = lane.had.max(queue.clock);
            }
            if count > 0 {
                lane.cost = cost / f64::from(u32::try_from(count).unwrap_or(u32::MAX));
                state.count(&share.queue, share.station, counted);
            }
        }
        state.queues.values_mut().for_each(Queue::tick);
        state.queues.values().any(|queue| queue.lanes.values().any(|lane| lane.wanting))
    }

    /// Nobody knows any more who wants what: a claim has failed.
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.queues.values_mut().flat_map(|queue| queue.lanes.values_mut()).for_each(|lane| lane.wanting = false);
    }

    /// Counts jobs with what they took, in place of what they were counted with.
    pub(crate) fn count<'a>(&self, jobs: impl IntoIterator<Item = Took<'a>>) {
        let mut state = self.state();
        for job in jobs {
            state.count(job.queue, job.station, job.took - job.counted);
            if job.ended {
                let expected = state.kinds.entry((Arc::clone(job.kind), job.station)).or_insert(job.took);
                *expected += (job.took - *expected) * LAST;
            }
        }
    }

    /// What this process has counted since the last report.
    pub(crate) fn report(&self) -> Vec<Report> {
        let mut state = self.state();
        let mut reports = Vec::new();
        for (queue, known) in &mut state.queues {
            for (station, lane) in &mut known.lanes {
                if lane.unsent != 0.0 {
                    let (queue, station, floor) = (queue.to_string(), *station, lane.floor);
                    reports.push(Report { queue, station, floor, more: std::mem::take(&mut lane.unsent) });
                }
            }
        }
        reports
    }

    /// A report wasn't heard: it is made again.
    pub(crate) fn unheard(&self, reports: &[Report]) {
        let mut state = self.state();
        for report in reports {
            state.lane(&report.queue.as_str().into(), report.station).unsent += report.more;
        }
    }

    /// What all processes together have counted.
    pub(crate) fn hear(&self, known: &[Had]) {
        let mut state = self.state();
        for known in known {
            let lane = state.lane(&known.queue.as_str().into(), known.station);
            // Where it began when it came may not have been heard yet.
            lane.had = known.had.max(lane.floor) + lane.unsent;
        }
        state.queues.values_mut().for_each(Queue::hear);
    }
}
