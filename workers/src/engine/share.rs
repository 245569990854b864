//! Which stations' jobs are next: those of whoever has had least of the queue, in seconds of workers by its weight. A job is counted
//! with what its kind takes when it is claimed, and with what it took as it goes on; what all processes of the fleet count is
//! added up in the database now and then, never for each job.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use jobs::{
    StationId,
    queue::{
        Claimed,
        share::{Had, Report},
    },
};

/// What a job of an unknown kind is thought to take, in seconds.
const UNKNOWN: f64 = 0.01;
/// What a job is counted with at most before it has taken as much, in seconds: what it was thought to take may be far from the truth, and
/// who comes begins where the others are.
const AHEAD_MAX: f64 = 1.0;
/// What any job takes at least, or nobody would ever have had anything.
const LEAST: f64 = 1e-6;
/// How much of what a kind is thought to take is what its last job took.
const LAST: f64 = 0.05;
/// Who has heard nothing for so long knows nothing of the others.
const STALE: Duration = Duration::from_secs(5);
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

/// What is known of a lane.
#[derive(Debug, Clone, Copy, Default)]
struct Lane {
    /// What it has had, as far as this process knows.
    had: f64,
    /// Of that, what nobody else knows.
    unsent: f64,
    /// What everybody had when it came.
    floor: f64,
    /// It had more jobs than it was asked for, the last time.
    wanting: bool,
    /// What its jobs take.
    cost: f64,
}

#[derive(Debug, Default)]
struct Queue {
    lanes: HashMap<Option<StationId>, Lane>,
    /// What those who want it, or wanted it last, have had at least; whoever comes begins here.
    clock: f64,
    /// When the other processes were last heard of.
    heard: Option<Instant>,
}

impl Queue {
    fn tick(&mut self) {
        let least = self.lanes.values().filter(|lane| lane.wanting).map(|lane| lane.had).min_by(f64::total_cmp);
        self.clock = least.unwrap_or(self.clock);
    }

    /// Deals `room` out: one job after another to whoever has had least.
    fn deal(&self, room: usize, weight: impl Fn(Option<StationId>) -> f64) -> Vec<(Option<StationId>, usize)> {
        let wanting: Vec<_> = self.lanes.iter().filter(|(_, lane)| lane.wanting).collect();
        if let [(station, _)] = wanting[..] {
            return vec![(*station, room)];
        }
        let mut quotas = vec![0; wanting.len()];
        let mut next: BinaryHeap<Reverse<Turn>> =
            wanting.iter().enumerate().map(|(place, (_, lane))| Reverse(Turn { had: lane.had, place })).collect();
        for _ in 0..room {
            let Some(mut turn) = next.peek_mut() else { break };
            let (station, lane) = wanting[turn.0.place];
            quotas[turn.0.place] += 1;
            turn.0.had += lane.cost.max(LEAST) / weight(*station);
        }
        wanting.iter().zip(quotas).map(|((station, _), quota)| (**station, quota)).collect()
    }
}

/// Whose turn it is.
#[derive(Debug, PartialEq)]
struct Turn {
    had: f64,
    place: usize,
}

impl Eq for Turn {}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.had.total_cmp(&other.had).then(self.place.cmp(&other.place))
    }
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
        for queue in state.queues.values_mut() {
            if queue.heard.is_none_or(|heard| heard.elapsed() > STALE) {
                // What one had while nobody else wanted it is nobody's debt.
                let most = queue.lanes.values().map(|lane| lane.had).max_by(f64::total_cmp).unwrap_or_default();
                queue.clock = queue.clock.max(most);
                for lane in queue.lanes.values_mut().filter(|lane| lane.wanting) {
                    (lane.had, lane.floor) = (most, most);
                }
            }
            queue.heard = Some(Instant::now());
            queue.tick();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flights::sample::claimed;

    const A: Option<StationId> = Some(StationId(1));
    const B: Option<StationId> = Some(StationId(2));

    /// A worker whose stations' jobs take so many seconds each, and which never has enough of either.
    struct Bench {
        shares: Shares,
        queues: Vec<Arc<str>>,
        takes: HashMap<Option<StationId>, f64>,
        had: HashMap<Option<StationId>, f64>,
    }

    impl Bench {
        fn new(weights: &[(i64, f32)]) -> Self {
            let shares = Shares::default();
            shares.know(&weights.iter().map(|(id, weight)| (StationId(*id), *weight)).collect::<Vec<_>>());
            Self { shares, queues: vec!["q".into()], takes: HashMap::new(), had: HashMap::new() }
        }

        /// Claims for `room`, of stations that have as many jobs as `has` says, and runs what it claimed. Answers who got how many.
        fn claim(
            &mut self,
            room: usize,
            everybody: bool,
            has: impl Fn(Option<StationId>) -> usize,
        ) -> HashMap<Option<StationId>, usize> {
            let shares = self.shares.next(&self.queues, room, everybody);
            let mut jobs = Vec::new();
            for share in shares.iter().filter(|share| share.station.is_some()) {
                let count = share.quota.min(has(share.station)).min(room - jobs.len());
                jobs.extend((0..count).map(|_| claimed(&share.queue, kind(share.station), share.station)));
            }
            self.shares.took(&shares, &jobs, room);
            let mut counts = HashMap::new();
            for job in &jobs {
                let took = self.takes[&job.station];
                let counted = self.shares.counted(&job.kind, job.station);
                let (queue, station, kind) = (&job.queue, job.station, &job.kind);
                self.shares.count([Took { queue, station, kind, counted, took, ended: true }]);
                *self.had.entry(station).or_default() += took;
                *counts.entry(station).or_default() += 1;
            }
            counts
        }
    }

    fn kind(station: Option<StationId>) -> &'static str {
        ["fleet", "one", "two"][usize::try_from(station.map_or(0, |station| station.0)).unwrap()]
    }

    #[test]
    fn time_is_shared_by_weight_however_long_jobs_take() {
        for (weight, takes) in [(1.0, 0.001), (3.0, 0.001), (1.0, 2.0), (0.25, 0.02)] {
            let mut bench = Bench::new(&[(1, 1.0), (2, weight)]);
            bench.takes = HashMap::from([(A, 0.01), (B, takes)]);
            bench.claim(8, true, |_| 1_000);
            for _ in 0..2_000 {
                bench.claim(8, false, |_| 1_000);
            }
            let share = bench.had[&B] / (bench.had[&A] + bench.had[&B]);
            let fair = f64::from(weight) / (1.0 + f64::from(weight));
            assert!((share / fair - 1.0).abs() < 0.1, "weight {weight}, {takes} s: {share} of {fair}");
        }
    }

    #[test]
    fn whoever_comes_gets_its_share_and_no_more_and_owes_nothing_for_what_it_had_alone() {
        let mut bench = Bench::new(&[(1, 1.0), (2, 1.0)]);
        bench.takes = HashMap::from([(A, 1.0), (B, 1.0)]);
        let only = |station| move |other| if other == station { 1_000 } else { 0 };
        bench.claim(10, true, only(A));
        for _ in 0..100 {
            assert_eq!(bench.claim(10, false, only(A)), HashMap::from([(A, 10)]));
        }
        let first = bench.claim(10, true, |_| 1_000);
        assert!(first[&B] >= 4, "{first:?}");
        let of = |counts: &HashMap<_, usize>, station| counts.get(&station).copied().unwrap_or_default();
        let both = |(a, b): (usize, usize), counts| (a + of(&counts, A), b + of(&counts, B));
        let counts = (0..10).map(|_| bench.claim(10, false, |_| 1_000)).fold((0, 0), both);
        assert!((45..=55).contains(&counts.0) && (45..=55).contains(&counts.1), "{counts:?}");
        for _ in 0..100 {
            bench.claim(10, false, only(B));
        }
        bench.claim(10, true, |_| 1_000);
        let counts = bench.claim(10, false, |_| 1_000);
        assert!((4..=6).contains(&counts[&A]), "{counts:?}");
    }

    #[test]
    fn a_report_that_was_not_heard_is_made_again() {
        let mut bench = Bench::new(&[(1, 1.0)]);
        bench.takes = HashMap::from([(A, 0.5)]);
        bench.claim(4, true, |_| 1);
        let lost = bench.shares.report();
        assert_eq!(lost.iter().map(|report| report.more).sum::<f64>(), 0.5);
        bench.shares.unheard(&lost);
        assert_eq!(bench.shares.report(), lost);
        assert_eq!(bench.shares.report(), []);
    }

    #[test]
    fn a_process_that_knew_nothing_of_the_others_makes_nobody_wait_for_what_was() {
        let mut bench = Bench::new(&[(1, 1.0), (2, 1.0)]);
        bench.takes = HashMap::from([(A, 1.0), (B, 1.0)]);
        bench.claim(10, true, |_| 1_000);
        let had = |station, had| Had { queue: "q".to_owned(), station, had };
        bench.shares.report();
        bench.shares.hear(&[had(A, 5_000.0), had(B, 10.0)]);
        let counts = bench.claim(10, false, |_| 1_000);
        assert!((4..=6).contains(&counts[&A]), "{counts:?}");
        // From then on it is believed, but for where B began, which the others haven't heard yet.
        bench.shares.report();
        bench.shares.hear(&[had(A, 5_100.0), had(B, 20.0)]);
        assert_eq!(bench.claim(10, false, |_| 1_000), HashMap::from([(B, 10)]));
        assert!(bench.shares.state().queues["q"].lanes[&B].had > 4_990.0);
    }

    #[test]
    fn whoever_comes_does_not_wait_for_what_others_were_only_thought_to_take() {
        let mut bench = Bench::new(&[(1, 1.0), (2, 1.0)]);
        let only = |other| if other == A { 1_000 } else { 0 };
        bench.takes = HashMap::from([(A, 3_600.0), (B, 0.01)]);
        bench.claim(20, true, only);
        // From now on its jobs are over at once; until one of them is, nobody knows.
        bench.takes.insert(A, 0.01);
        let shares = bench.shares.next(&bench.queues, 20, false);
        let jobs: Vec<_> = (0..20).map(|_| claimed(&bench.queues[0], kind(A), A)).collect();
        bench.shares.took(&shares, &jobs, 20);
        let first = bench.claim(20, true, |station| if station == A { 1_000 } else { 5 });
        assert_eq!(first[&B], 5);
        let counted = bench.shares.counted(&jobs[0].kind, A);
        let ends = jobs.iter().map(|job| Took {
            queue: &job.queue,
            station: A,
            kind: &job.kind,
            counted,
            took: 0.01,
            ended: true,
        });
        bench.shares.count(ends);
        let (a, b) = {
            let state = bench.shares.state();
            (state.queues["q"].lanes[&A].had, state.queues["q"].lanes[&B].had)
        };
        assert!(b - a < 20.0 * AHEAD_MAX, "{b} is {} more than {a}", b - a);
    }

    proptest! {
        /// Nobody starves: of those who want more, whoever has had least is dealt the first job, and all of the room is dealt.
        #[test]
        fn whoever_has_had_least_is_next(claims in prop::collection::vec((1_usize..50, 0_usize..80, 0_usize..80, any::<bool>()), 1..60)) {
            let mut bench = Bench::new(&[(1, 1.0), (2, 2.0)]);
            bench.takes = HashMap::from([(A, 0.3), (B, 0.02)]);
            for (room, a, b, everybody) in claims {
                let dealt = bench.shares.next(&bench.queues, room, false);
                let state = bench.shares.state();
                let wanting = || state.queues.get("q").into_iter().flat_map(|queue| &queue.lanes).filter(|(_, lane)| lane.wanting);
                let least = wanting().min_by(|a, b| a.1.had.total_cmp(&b.1.had)).map(|(station, _)| *station);
                if let Some(least) = least {
                    let had = |station| state.queues["q"].lanes[&station].had;
                    prop_assert!(dealt.iter().any(|share| had(share.station) <= had(least)), "{:?} isn't in {:?}", least, dealt);
                    prop_assert_eq!(dealt.iter().map(|share| share.quota).sum::<usize>(), room);
                }
                drop(state);
                bench.claim(room, everybody, |station| if station == A { a } else { b });
            }
        }
    }
}
