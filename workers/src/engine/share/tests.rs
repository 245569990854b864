//! A worker whose stations never have enough, or come and go: who is dealt how much.

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
