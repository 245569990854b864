//! The report for programs: medians under each figure's name, and beside them the spread and the ratio to the floor.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json as value};

use super::{Facts, ratios};
use crate::{
    figure::Figure,
    peers::{PEERS, PUBLISHED},
    record::{Record, Who},
    steady::Course,
};

/// Everything that was measured.
pub(crate) fn json(
    facts: &Facts,
    record: &Record,
    versions: &BTreeMap<&'static str, String>,
    courses: &[Course],
) -> Value {
    let mut peers = Map::new();
    for who in record.participants() {
        let Who::Peer { name, settings } = &who else { continue };
        let peer = peers.entry(name).or_insert_with(|| described(name, versions));
        peer[settings] = figures(record, &who);
    }
    let ratios: Map<String, Value> =
        ratios(record).into_iter().map(|(name, _, spread)| (name.to_owned(), value!(spread))).collect();
    let published = PUBLISHED.map(
        |figure| value!({ "name": figure.name, "per_s": figure.per_s, "what": figure.what, "source": figure.source }),
    );
    value!({
        "machine": facts.machine,
        "postgres": facts.postgres,
        "jobs": facts.jobs,
        "backlog": facts.backlog,
        "pairs": facts.pairs,
        "engine": figures(record, &Who::Engine),
        "floor": figures(record, &Who::Floor),
        "peers": peers,
        "published": published,
        "ratios": ratios,
        "steady": courses,
        "faults": record.faults,
    })
}

fn described(name: &str, versions: &BTreeMap<&'static str, String>) -> Value {
    let lacks = PEERS.iter().find(|peer| peer.name == name).map(|peer| peer.lacks);
    value!({ "version": versions.get(name), "lacks": lacks })
}

/// The figures of one participant.
fn figures(record: &Record, who: &Who) -> Value {
    let mut figures = Map::new();
    for figure in Figure::ALL {
        let Some(spread) = record.spread(figure, who) else { continue };
        let name = figure.name();
        figures.insert(name.to_owned(), value!(spread.median));
        figures.insert(format!("{name}_spread"), value!([spread.least, spread.most]));
        figures.insert(format!("{name}_count"), value!(spread.count));
        if let Some(ratio) = record.of_floor(figure, who).filter(|_| *who != Who::Floor) {
            figures.insert(format!("{name}_of_floor"), value!(ratio));
        }
    }
    Value::Object(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headline_stands_where_programs_look_for_it() {
        let mut record = Record::default();
        let peer = Who::Peer { name: "graphile_worker".to_owned(), settings: "best".to_owned() };
        for (who, rate) in [(Who::Engine, 60_000.0), (Who::Floor, 100_000.0), (peer, 30_000.0)] {
            record.add(1, Figure::DrainNoop, &who, rate);
        }
        let facts = Facts { machine: Value::Null, postgres: Value::Null, jobs: 1, backlog: 1, pairs: 1 };
        let report = json(&facts, &record, &BTreeMap::new(), &[]);
        assert_eq!(report["engine"]["drain_noop_per_s"], 60_000.0);
        assert_eq!(report["engine"]["drain_noop_per_s_spread"], value!([60_000.0, 60_000.0]));
        assert_eq!(report["engine"]["drain_noop_per_s_of_floor"]["median"], 0.6);
        assert_eq!(report["peers"]["graphile_worker"]["best"]["drain_noop_per_s"], 30_000.0);
        assert!(report["peers"]["graphile_worker"]["lacks"].is_string());
        assert_eq!(report["ratios"]["drain_of_best_peer"]["median"], 2.0);
    }
}
