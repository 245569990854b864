//! The lanes of one queue, a station's jobs each: what they have had, who wants more, and whose turn it is.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::{Duration, Instant},
};

use jobs::StationId;

/// What any job takes at least, or nobody would ever have had anything.
const LEAST: f64 = 1e-6;
/// Who has heard nothing for so long knows nothing of the others.
const STALE: Duration = Duration::from_secs(5);

/// What is known of a lane.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lane {
    /// What it has had, as far as this process knows.
    pub(super) had: f64,
    /// Of that, what nobody else knows.
    pub(super) unsent: f64,
    /// What everybody had when it came.
    pub(super) floor: f64,
    /// It had more jobs than it was asked for, the last time.
    pub(super) wanting: bool,
    /// What its jobs take.
    pub(super) cost: f64,
}

/// A queue's lanes.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) lanes: HashMap<Option<StationId>, Lane>,
    /// What those who want it, or wanted it last, have had at least; whoever comes begins here.
    pub(super) clock: f64,
    /// When the other processes were last heard of.
    heard: Option<Instant>,
}

impl Queue {
    /// Lets the clock go with those who want more.
    pub(super) fn tick(&mut self) {
        let least = self.lanes.values().filter(|lane| lane.wanting).map(|lane| lane.had).min_by(f64::total_cmp);
        self.clock = least.unwrap_or(self.clock);
    }

    /// Other processes were heard of. After a silence, what one had while nobody else wanted it is nobody's debt: all who want more begin
    /// anew, equal.
    pub(super) fn hear(&mut self) {
        if self.heard.is_none_or(|heard| heard.elapsed() > STALE) {
            let most = self.lanes.values().map(|lane| lane.had).max_by(f64::total_cmp).unwrap_or_default();
            self.clock = self.clock.max(most);
            for lane in self.lanes.values_mut().filter(|lane| lane.wanting) {
                (lane.had, lane.floor) = (most, most);
            }
        }
        self.heard = Some(Instant::now());
        self.tick();
    }

    /// Deals `room` out: one job after another to whoever has had least.
    pub(super) fn deal(
        &self,
        room: usize,
        weight: impl Fn(Option<StationId>) -> f64,
    ) -> Vec<(Option<StationId>, usize)> {
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
