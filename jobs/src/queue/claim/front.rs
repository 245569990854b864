//! How far a process has come in each lane. What it claimed stays in the index until a vacuum takes it out, and no vacuum can
//! while anybody's transaction is older: a claim from the beginning steps over all of it. One that goes on where the last one
//! ended doesn't. It is a hint: who claims from a front must claim from the beginning now and then, too.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::Claimed;
use crate::StationId;

/// Priorities of a lane whose fronts are kept; jobs of others are looked for from the beginning.
const PRIORITIES_MAX: usize = 16;

/// One station's jobs in one queue, and how many of them to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane<'a> {
    /// The queue.
    pub queue: &'a str,
    /// Whose jobs; none are the fleet's.
    pub station: Option<StationId>,
    /// Jobs at most.
    pub quota: u32,
}

/// Where a process goes on: by queue and station, and there by priority, the place of the last job that it claimed.
#[derive(Debug, Clone, Default)]
pub struct Fronts(HashMap<String, HashMap<Option<StationId>, BTreeMap<i16, Place>>>);

/// A job's place among those of its priority: the time it might run from, and its id.
type Place = (DateTime<Utc>, i64);

impl Fronts {
    /// Where `claimed` end, of which each lane's are in order.
    #[must_use]
    pub fn of(claimed: &[Claimed]) -> Self {
        let mut fronts = Self::default();
        let same = |a: &Claimed, b: &Claimed| a.queue == b.queue && a.station == b.station && a.priority == b.priority;
        for job in claimed.chunk_by(same).filter_map(<[_]>::last) {
            fronts.pass(&job.queue, job.station, job.priority, (job.run_at, job.key));
        }
        fronts
    }

    /// Moves on to where `others` are, unless it is further already.
    pub fn join(&mut self, others: &Self) {
        for (queue, stations) in &others.0 {
            for (station, fronts) in stations {
                fronts.iter().for_each(|(priority, place)| self.pass(queue, *station, *priority, *place));
            }
        }
    }

    fn pass(&mut self, queue: &str, station: Option<StationId>, priority: i16, place: Place) {
        if !self.0.contains_key(queue) {
            self.0.insert(queue.to_owned(), HashMap::new());
        }
        let Some(stations) = self.0.get_mut(queue) else { return };
        let fronts = stations.entry(station).or_default();
        if let Some(front) = fronts.get_mut(&priority) {
            *front = place.max(*front);
        } else if fronts.len() < PRIORITIES_MAX {
            fronts.insert(priority, place);
        }
    }

    /// Goes back, or on, to where `others` are: there is more behind that place.
    pub fn put(&mut self, others: &Self) {
        for (queue, stations) in &others.0 {
            for (station, fronts) in stations {
                for (priority, place) in fronts {
                    let known = self.0.get_mut(queue).and_then(|stations| stations.get_mut(station));
                    if let Some(front) = known.and_then(|fronts| fronts.get_mut(priority)) {
                        *front = *place;
                    }
                    self.pass(queue, *station, *priority, *place);
                }
            }
        }
    }

    /// What is to be walked, of each of `lanes` in the order of its claims.
    pub(super) fn stretches(&self, lanes: &[Lane<'_>]) -> Stretches {
        let mut stretches = Stretches::default();
        let none = BTreeMap::new();
        for lane in lanes {
            stretches.begin(lane);
            let fronts = self.0.get(lane.queue).and_then(|stations| stations.get(&lane.station)).unwrap_or(&none);
            let mut above = Some(i16::MAX);
            for (priority, place) in fronts.iter().rev() {
                stretches.between(above, priority.checked_add(1));
                stretches.behind(*priority, *place);
                above = priority.checked_sub(1);
            }
            stretches.between(above, Some(i16::MIN));
            stretches.end();
        }
        stretches
    }
}

/// Stretches of the index, as columns: a priority's jobs behind a place, or all of the priorities between two. Before them, by lane,
/// which stretches are its own, counted from 1.
#[derive(Debug, Default)]
pub(super) struct Stretches {
    pub(super) queue: Vec<String>,
    pub(super) station: Vec<i64>,
    pub(super) quota: Vec<i32>,
    pub(super) first: Vec<i32>,
    pub(super) last: Vec<i32>,
    pub(super) behind: Vec<bool>,
    pub(super) high: Vec<i16>,
    pub(super) low: Vec<i16>,
    pub(super) run_at: Vec<DateTime<Utc>>,
    pub(super) id: Vec<i64>,
}

impl Stretches {
    fn begin(&mut self, lane: &Lane<'_>) {
        self.queue.push(lane.queue.to_owned());
        self.station.push(lane.station.map_or(0, |station| station.0));
        self.quota.push(i32::try_from(lane.quota).unwrap_or(i32::MAX));
        self.first.push(self.count() + 1);
    }

    fn end(&mut self) {
        self.last.push(self.count());
    }

    fn count(&self) -> i32 {
        i32::try_from(self.id.len()).unwrap_or(i32::MAX)
    }

    fn between(&mut self, high: Option<i16>, low: Option<i16>) {
        if let (Some(high), Some(low)) = (high, low)
            && low <= high
        {
            self.push((high, low), None);
        }
    }

    fn behind(&mut self, priority: i16, place: Place) {
        self.push((priority, priority), Some(place));
    }

    fn push(&mut self, (high, low): (i16, i16), behind: Option<Place>) {
        let (run_at, id) = behind.unwrap_or_default();
        self.behind.push(behind.is_some());
        self.high.push(high);
        self.low.push(low);
        self.run_at.push(run_at);
        self.id.push(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(fronts: &[(i16, i64)]) -> Vec<(bool, i16, i16, i64)> {
        let place = |(priority, id): &(i16, i64)| (*priority, (DateTime::UNIX_EPOCH, *id));
        let fronts = HashMap::from([(Some(StationId(3)), fronts.iter().map(place).collect())]);
        let fronts = Fronts(HashMap::from([("q".to_owned(), fronts)]));
        let lane = |station: i64| Lane { queue: "q", station: Some(StationId(station)), quota: 1 };
        let stretches = fronts.stretches(&[lane(2), lane(3)]);
        assert_eq!((stretches.first, &stretches.last[..]), (vec![1, 2], &[1, stretches.last[1]][..]));
        assert_eq!((stretches.high[0], stretches.low[0]), (i16::MAX, i16::MIN), "another station's front is no front");
        (1..stretches.id.len())
            .map(|n| (stretches.behind[n], stretches.high[n], stretches.low[n], stretches.id[n]))
            .collect()
    }

    #[test]
    fn every_priority_is_walked_once_from_the_highest_down() {
        assert_eq!(walked(&[]), [(false, i16::MAX, i16::MIN, 0)]);
        assert_eq!(walked(&[(0, 7)]), [(false, i16::MAX, 1, 0), (true, 0, 0, 7), (false, -1, i16::MIN, 0)]);
        let ends = walked(&[(i16::MAX, 1), (4, 2), (5, 3), (i16::MIN, 4)]);
        let expected = [
            (true, i16::MAX, i16::MAX, 1),
            (false, i16::MAX - 1, 6, 0),
            (true, 5, 5, 3),
            (true, 4, 4, 2),
            (false, 3, i16::MIN + 1, 0),
            (true, i16::MIN, i16::MIN, 4),
        ];
        assert_eq!(ends, expected);
    }
}
