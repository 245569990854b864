//! Position gating for reports without an ICAO address. Such a stray belongs to an aircraft when, report by report, it
//! is where that aircraft would be at the same instant: the aircraft's nearest report is moved along its course to
//! the stray's time (dead reckoning), and what is left is within the gate. In doubt it stays a track of its own.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::{Joined, Report};
use crate::geodesy;

/// How far apart in time two reports may be to be compared.
const APART_MAX: TimeDelta = TimeDelta::seconds(10);
/// The same without a speed to move by.
const APART_UNMOVED_MAX: TimeDelta = TimeDelta::seconds(1);
/// How much the gate widens per second of dead reckoning, metres: what a turn makes of it.
const GATE_GROWTH_M: f64 = 20.0;
/// How different pressure altitudes may be, metres.
const ALTITUDE_APART_MAX_M: f64 = 150.0;
/// How many comparisons a verdict needs, and which share of them must fit.
const COMPARED_MIN: u32 = 2;
const FITTING_SHARE_MIN: f64 = 0.8;

/// Moves the reports of strays to the aircraft they belong to and says which. The strays are looked at by id, against
/// aircraft with an ICAO address only, so the outcome doesn't depend on the order of anything.
pub(super) fn join<'a>(by_entity: &mut BTreeMap<&'a str, Vec<&'a Report>>, gate_m: f64) -> Vec<Joined> {
    let is_known = |id: &str| id.starts_with("icao24:");
    let mut verdicts = Vec::new();
    for (id, stray) in by_entity.iter().filter(|(id, _)| !is_known(id)) {
        let fitting = by_entity
            .iter()
            .filter(|(id, _)| is_known(id))
            .filter_map(|(known, reports)| Some((mean_distance_m(stray, reports, gate_m)?, *known)));
        let best = fitting.min_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)));
        verdicts.extend(best.map(|(_, known)| (*id, known)));
    }
    for (id, known) in &verdicts {
        let mut moved = by_entity.remove(id).unwrap_or_default();
        let reports = by_entity.entry(known).or_default();
        reports.append(&mut moved);
        reports.sort_by_cached_key(|report| report.key());
    }
    verdicts.into_iter().map(|(id, known)| Joined { id: id.to_owned(), into: known.to_owned() }).collect()
}

/// How far the stray's reports are from where the aircraft was; none when they don't belong to it.
fn mean_distance_m(stray: &[&Report], aircraft: &[&Report], gate_m: f64) -> Option<f64> {
    let placed: Vec<&Report> = aircraft.iter().copied().filter(|report| report.place().is_some()).collect();
    let (mut compared, mut fitting, mut sum_m) = (0_u32, 0_u32, 0.0);
    for report in stray {
        let Some((distance_m, apart_s, altitude_fits)) = nearest(&placed, report).and_then(|near| apart(report, near))
        else {
            continue;
        };
        compared += 1;
        if distance_m <= gate_m + GATE_GROWTH_M * apart_s && altitude_fits {
            fitting += 1;
            sum_m += distance_m;
        }
    }
    let enough = compared >= COMPARED_MIN && f64::from(fitting) >= FITTING_SHARE_MIN * f64::from(compared);
    enough.then(|| sum_m / f64::from(fitting))
}

/// The report of `placed` (by time) that is nearest in time.
fn nearest<'a>(placed: &[&'a Report], to: &Report) -> Option<&'a Report> {
    let after = placed.partition_point(|report| report.observed_at < to.observed_at);
    let around = [after.checked_sub(1), Some(after)];
    around
        .into_iter()
        .flatten()
        .filter_map(|index| placed.get(index).copied())
        .min_by_key(|report| (report.observed_at - to.observed_at).abs())
}

/// Distance in metres once `near` is moved to the time of `stray`, the seconds between them, and whether the
/// altitudes allow it; none when the two can't be compared.
fn apart(stray: &Report, near: &Report) -> Option<(f64, f64, bool)> {
    let (here, from) = (stray.place()?, near.place()?);
    let between = stray.observed_at - near.observed_at;
    let seconds = between.as_seconds_f64();
    let there = match (near.speed_mps, near.course_deg) {
        (Some(speed), Some(course)) if between.abs() <= APART_MAX => geodesy::moved(from, course, speed * seconds),
        _ if between.abs() <= APART_UNMOVED_MAX => from,
        _ => return None,
    };
    let altitude_fits = stray.alt_m.zip(near.alt_m).is_none_or(|(a, b)| (a - b).abs() <= ALTITUDE_APART_MAX_M);
    Some((geodesy::distance_m(here, there), seconds.abs(), altitude_fits))
}
