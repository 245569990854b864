//! How far a process has come in each queue. What it claimed stays in the index until a vacuum takes it out, and no vacuum can
//! while anybody's transaction is older: a claim from the beginning steps over all of it. One that goes on where the last one
//! ended doesn't. It is a hint: who claims from a front must claim from the beginning now and then, too.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::Claimed;

/// Priorities of a queue whose fronts are kept; jobs of others are looked for from the beginning.
const PRIORITIES_MAX: usize = 16;

/// Where a process goes on: by queue, and there by priority, the place of the last job that it claimed.
#[derive(Debug, Clone, Default)]
pub struct Fronts(HashMap<String, BTreeMap<i16, Place>>);

/// A job's place among those of its priority: the time it might run from, and its id.
type Place = (DateTime<Utc>, i64);

impl Fronts {
    /// Where `claimed`, which are in order, end.
    #[must_use]
    pub fn of(claimed: &[Claimed]) -> Self {
        let mut fronts = Self::default();
        for job in claimed.chunk_by(|a, b| a.queue == b.queue && a.priority == b.priority).filter_map(<[_]>::last) {
            fronts.pass(&job.queue, job.priority, (job.run_at, job.key));
        }
        fronts
    }

    /// Moves on to where `others` are, unless it is further already.
    pub fn join(&mut self, others: &Self) {
        for (queue, fronts) in &others.0 {
            fronts.iter().for_each(|(priority, place)| self.pass(queue, *priority, *place));
        }
    }

    fn pass(&mut self, queue: &str, priority: i16, place: Place) {
        if !self.0.contains_key(queue) {
            self.0.insert(queue.to_owned(), BTreeMap::new());
        }
        let Some(fronts) = self.0.get_mut(queue) else { return };
        if let Some(front) = fronts.get_mut(&priority) {
            *front = place.max(*front);
        } else if fronts.len() < PRIORITIES_MAX {
            fronts.insert(priority, place);
        }
    }

    /// Begins again at the beginning: something may have come to stand behind a front.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// What is to be walked, of each of `queues` in the order of its claims.
    pub(super) fn stretches(&self, queues: &[String]) -> Stretches {
        let mut stretches = Stretches::default();
        let none = BTreeMap::new();
        for queue in queues {
            let fronts = self.0.get(queue).unwrap_or(&none);
            let mut above = Some(i16::MAX);
            for (priority, place) in fronts.iter().rev() {
                stretches.between(queue, above, priority.checked_add(1));
                stretches.behind(queue, *priority, *place);
                above = priority.checked_sub(1);
            }
            stretches.between(queue, above, Some(i16::MIN));
        }
        stretches
    }
}

/// Stretches of the index, as columns: a priority's jobs behind a place, or all of the priorities between two.
#[derive(Debug, Default)]
pub(super) struct Stretches {
    pub(super) queue: Vec<String>,
    pub(super) behind: Vec<bool>,
    pub(super) high: Vec<i16>,
    pub(super) low: Vec<i16>,
    pub(super) run_at: Vec<DateTime<Utc>>,
    pub(super) id: Vec<i64>,
}

impl Stretches {
    fn between(&mut self, queue: &str, high: Option<i16>, low: Option<i16>) {
        if let (Some(high), Some(low)) = (high, low)
            && low <= high
        {
            self.push(queue, (high, low), None);
        }
    }

    fn behind(&mut self, queue: &str, priority: i16, place: Place) {
        self.push(queue, (priority, priority), Some(place));
    }

    fn push(&mut self, queue: &str, (high, low): (i16, i16), behind: Option<Place>) {
        let (run_at, id) = behind.unwrap_or_default();
        self.queue.push(queue.to_owned());
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
        let fronts = Fronts(HashMap::from([("q".to_owned(), fronts.iter().map(place).collect())]));
        let stretches = fronts.stretches(&["q".to_owned()]);
        (0..stretches.id.len())
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
