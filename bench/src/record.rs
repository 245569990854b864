//! What was measured, pair by pair: medians with their spread, and ratios that are taken within a pair first, so that
//! what slows a whole pair down is in neither.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{engine::Faults, figure::Figure};

/// Whose figure it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// The engine in `jobs` and `workers`.
    Engine,
    /// Bare SQL on the engine's tables.
    Floor,
    /// Somebody else's queue.
    Peer {
        /// Its registry name.
        name: String,
        /// `best` or `defaults`.
        settings: String,
    },
}

/// The middle of some values and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    /// The smallest.
    pub(crate) least: f64,
    /// The middle one; of an even number the mean of the two in the middle.
    pub(crate) median: f64,
    /// The largest.
    pub(crate) most: f64,
    /// How many there are.
    pub(crate) count: usize,
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (count, half) = (values.len(), values.len() / 2);
        let median = if count.is_multiple_of(2) {
            f64::midpoint(*values.get(half.checked_sub(1)?)?, values[half])
        } else {
            values[half]
        };
        Some(Self { least: *values.first()?, median, most: *values.last()?, count })
    }
}

/// Every value of one run of the benchmark.
#[derive(Debug, Default)]
pub(crate) struct Record {
    values: BTreeMap<(Figure, Who), BTreeMap<usize, f64>>,
    /// What was done to the engine's workers and what came of it, a drain each.
    pub(crate) faults: Vec<Faults>,
}

impl Record {
    /// Notes the value of a pair.
    pub(crate) fn add(&mut self, pair: usize, figure: Figure, who: &Who, value: f64) {
        self.values.entry((figure, who.clone())).or_default().insert(pair, value);
    }

    /// Everybody with at least one value.
    pub(crate) fn participants(&self) -> BTreeSet<Who> {
        self.values.keys().map(|(_, who)| who.clone()).collect()
    }

    /// A figure's values over all pairs.
    pub(crate) fn spread(&self, figure: Figure, who: &Who) -> Option<Spread> {
        Spread::of(self.values.get(&(figure, who.clone()))?.values().copied().collect())
    }

    /// One figure divided by another, pair by pair.
    pub(crate) fn ratio(&self, one: (Figure, &Who), other: (Figure, &Who)) -> Option<Spread> {
        let (one, other) = (self.values.get(&(one.0, one.1.clone()))?, self.values.get(&(other.0, other.1.clone()))?);
        Spread::of(one.iter().filter_map(|(pair, value)| Some(value / other.get(pair)?)).collect())
    }

    /// A figure in terms of the floor's.
    pub(crate) fn of_floor(&self, figure: Figure, who: &Who) -> Option<Spread> {
        self.ratio((figure, who), (figure.floor()?, &Who::Floor))
    }

    /// The peer and settings with the highest median of `figure`.
    pub(crate) fn best_peer(&self, figure: Figure) -> Option<Who> {
        let peers = self.participants().into_iter().filter(|who| matches!(who, Who::Peer { .. }));
        let ranked = peers.filter_map(|who| Some((self.spread(figure, &who)?.median, who)));
        ranked.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, who)| who)
    }
}

impl std::fmt::Display for Who {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Engine => formatter.write_str("engine"),
            Self::Floor => formatter.write_str("floor"),
            Self::Peer { name, settings } => write!(formatter, "{name} ({settings})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Figure, Record, Spread, Who};

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let spread = Spread::of(vec![4.0, 1.0, 3.0, 100.0]).unwrap();
        assert_eq!((spread.least, spread.median, spread.most, spread.count), (1.0, 3.5, 100.0, 4));
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn a_ratio_is_taken_within_each_pair_and_only_where_both_ran() {
        let mut record = Record::default();
        for (pair, engine, floor) in [(1, 10.0, 20.0), (2, 300.0, 400.0), (3, 5.0, 5.0)] {
            record.add(pair, Figure::DrainNoop, &Who::Engine, engine);
            record.add(pair, Figure::DrainNoop, &Who::Floor, floor);
        }
        record.add(4, Figure::DrainNoop, &Who::Engine, 1_000.0);
        let ratio = record.of_floor(Figure::DrainNoop, &Who::Engine).unwrap();
        assert_eq!((ratio.least, ratio.median, ratio.most, ratio.count), (0.5, 0.75, 1.0, 3));
    }

    #[test]
    fn the_best_peer_is_the_one_with_the_highest_median() {
        let mut record = Record::default();
        let peer = |name: &str| Who::Peer { name: name.to_owned(), settings: "best".to_owned() };
        record.add(1, Figure::DrainNoop, &Who::Engine, 99.0);
        record.add(1, Figure::DrainNoop, &peer("slow"), 1.0);
        record.add(1, Figure::DrainNoop, &peer("quick"), 2.0);
        assert_eq!(record.best_peer(Figure::DrainNoop), Some(peer("quick")));
        assert_eq!(record.best_peer(Figure::Drain1Ms), None);
    }
}
