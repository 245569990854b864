//! What is drawn: bars and lines read from a report.

use serde_json::Value;

use crate::{figure::Figure, steady::Course};

/// One bar with its spread.
#[derive(Debug, PartialEq)]
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
    /// Ours, the floor's, or a peer's: the colour.
    pub(super) side: Side,
}

/// Whose bar or line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Engine,
    Floor,
    Peer,
}

/// One line through moments in minutes.
pub(super) struct Line {
    pub(super) label: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// One participant's figures in a report.
pub(super) struct Participant<'a> {
    pub(super) label: String,
    pub(super) side: Side,
    pub(super) figures: &'a Value,
}

/// Everybody in a report: the engine, the floor, and each peer at its best and at its defaults.
pub(super) fn participants(report: &Value) -> Vec<Participant<'_>> {
    let mut everybody = vec![
        Participant { label: "vTOC engine".to_owned(), side: Side::Engine, figures: &report["engine"] },
        Participant { label: "floor: bare SQL".to_owned(), side: Side::Floor, figures: &report["floor"] },
    ];
    for (name, peer) in report["peers"].as_object().into_iter().flatten() {
        for settings in ["best", "defaults"].into_iter().filter(|settings| peer[settings].is_object()) {
            let label = if settings == "best" { name.clone() } else { format!("{name}, defaults") };
            everybody.push(Participant { label, side: Side::Peer, figures: &peer[settings] });
        }
    }
    everybody
}

fn bar(label: String, side: Side, figures: &Value, figure: Figure) -> Option<Bar> {
    let spread = &figures[format!("{}_spread", figure.name())];
    Some(Bar {
        label,
        side,
        median: figures[figure.name()].as_f64()?,
        least: spread[0].as_f64()?,
        most: spread[1].as_f64()?,
    })
}

/// One figure of everybody who has it.
pub(super) fn bars_of(everybody: &[Participant<'_>], figure: Figure) -> Vec<Bar> {
    everybody.iter().filter_map(|who| bar(who.label.clone(), who.side, who.figures, figure)).collect()
}

/// The middle and the slow start of everybody.
pub(super) fn latencies(everybody: &[Participant<'_>]) -> Vec<Bar> {
    let both = [(Figure::StartLatencyP50, "p50"), (Figure::StartLatencyP99, "p99")];
    let of = |who: &Participant<'_>| {
        both.map(|(figure, name)| bar(format!("{} {name}", who.label), who.side, who.figures, figure))
    };
    everybody.iter().flat_map(of).flatten().collect()
}

/// The engine's drains.
pub(super) fn circumstances(report: &Value) -> Vec<Bar> {
    let drains = [
        (Figure::DrainNoop, "200 at once"),
        (Figure::DrainNoop50, "50 at once"),
        (Figure::Drain1Ms, "1 ms jobs, 200 at once"),
        (Figure::Drain1Ms50, "1 ms jobs, 50 at once"),
        (Figure::DrainPending, "in front of a backlog"),
        (Figure::DrainFinished, "beside a long history"),
        (Figure::DrainRetries, "every tenth fails once"),
        (Figure::DrainFourProcesses, "four processes"),
        (Figure::DrainIdleTransaction, "beside an idle transaction"),
        (Figure::DrainPruning, "while a day is pruned"),
        (Figure::DrainKilled, "four processes under faults, 1 ms jobs"),
    ];
    drains
        .into_iter()
        .filter_map(|(figure, label)| bar(label.to_owned(), Side::Engine, &report["engine"], figure))
        .collect()
}

/// Jobs out per second over the minutes.
pub(super) fn rates_of(courses: &[&Course]) -> Vec<Line> {
    lines(courses, |sample| sample.finished_per_s)
}

/// Dead tuples over the minutes.
pub(super) fn tuples_of(courses: &[&Course]) -> Vec<Line> {
    lines(courses, |sample| sample.dead_tuples() as f64)
}

fn lines(courses: &[&Course], value: impl Fn(&crate::steady::Sample) -> f64) -> Vec<Line> {
    let of = |course: &&Course| {
        let beside = if course.idle_transaction { ", idle transaction" } else { "" };
        let points = course.samples.iter().map(|sample| (sample.at_s / 60.0, value(sample))).collect();
        Line { label: format!("{}{beside}", course.who), points }
    };
    courses.iter().map(of).collect()
}
