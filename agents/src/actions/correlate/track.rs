//! One aircraft's track out of its reports: the newest of everything that is still true, what positions say where the
//! aircraft itself doesn't, and how much to trust it.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Options, Report};
use crate::geodesy::{self, Place};

/// How much older than the newest report a speed, course, climb or altitude may be.
const MOTION_AGE_MAX: TimeDelta = TimeDelta::seconds(30);
/// Positions of several receivers this near in time and place are one transmission.
const SAME_POINT_APART_MAX: TimeDelta = TimeDelta::milliseconds(500);
const SAME_POINT_DISTANCE_MAX_M: f64 = 5.0;
/// Time between the two positions that a speed is computed from.
const BASE_MIN: TimeDelta = TimeDelta::seconds(2);
const BASE_MAX: TimeDelta = TimeDelta::seconds(60);
/// A computed speed above this is a bad position, not an aircraft.
const SPEED_MAX_MPS: f64 = 700.0;
/// This many positions are as good as more.
const POINTS_ENOUGH: f64 = 10.0;

/// Whether an aircraft is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// First heard within `lost_after`.
    New,
    /// Heard before and lately.
    Current,
    /// Not heard for longer than `lost_after`.
    Lost,
}

/// One aircraft. What isn't known is none, never a zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// The entity's id.
    pub id: String,
    /// The callsign, else the address: what to say on the radio.
    pub label: String,
    /// The newest callsign.
    pub callsign: Option<String>,
    /// Ids of reports without an ICAO address that belong to it.
    pub aliases: Vec<String>,
    /// The newest category.
    pub category: Option<String>,
    /// The newest transponder code.
    pub squawk: Option<String>,
    /// Degrees east, newest position.
    pub lon: Option<f64>,
    /// Degrees north, newest position.
    pub lat: Option<f64>,
    /// When it was there.
    pub positioned_at: Option<DateTime<Utc>>,
    /// Pressure altitude, metres.
    pub alt_m: Option<f64>,
    /// Reported, else computed from positions.
    pub speed_mps: Option<f64>,
    /// Reported, else computed from positions; degrees true.
    pub course_deg: Option<f64>,
    /// Climb, up is positive.
    pub vrate_mps: Option<f64>,
    /// On the ground, when it says so.
    pub on_ground: Option<bool>,
    /// The oldest report.
    pub first_seen: DateTime<Utc>,
    /// The newest report.
    pub last_seen: DateTime<Utc>,
    /// Seconds since the newest report; zero when that is ahead of now.
    pub age_s: f64,
    /// Different positions; one that several sources heard counts once.
    pub points: u64,
    /// Reports, positions or not.
    pub reports: u64,
    /// Reports by source.
    pub sources: BTreeMap<String, u64>,
    /// 0 to 1: 0.3 for being fresh, 0.3 for ten positions, 0.2 for a known motion, 0.2 for a second source.
    pub quality: f64,
    /// Whether it is still there.
    pub state: State,
}

impl Track {
    /// From reports in order of time, at least one.
    pub(super) fn of(id: &str, aliases: Vec<String>, reports: &[&Report], options: Options) -> Self {
        let (first_seen, last_seen) = match (reports.first(), reports.last()) {
            (Some(first), Some(last)) => (first.observed_at, last.observed_at),
            _ => (options.now, options.now),
        };
        let points = points(reports);
        let base = base(&points);
        let lately = |report: &&&Report| last_seen - report.observed_at <= MOTION_AGE_MAX;
        let recent =
            |of: fn(&Report) -> Option<f64>| reports.iter().rev().take_while(lately).find_map(|report| of(report));
        let callsign = newest(reports, |report| report.callsign.clone());
        let age_s = (options.now - last_seen).as_seconds_f64().max(0.0);
        let mut sources = BTreeMap::new();
        for report in reports {
            *sources.entry(report.source.clone()).or_insert(0) += 1;
        }
        let newest_point = points.last();
        let mut track = Self {
            id: id.to_owned(),
            label: callsign.clone().unwrap_or_else(|| address(id)),
            callsign,
            aliases,
            category: newest(reports, |report| report.category.clone()),
            squawk: newest(reports, |report| report.squawk.clone()),
            lon: newest_point.map(|(_, place)| place.lon),
            lat: newest_point.map(|(_, place)| place.lat),
            positioned_at: newest_point.map(|(at, _)| *at),
            alt_m: recent(|report| report.alt_m),
            speed_mps: recent(|report| report.speed_mps).or(base.map(|(speed, _)| speed)),
            course_deg: recent(|report| report.course_deg).or(base.map(|(_, course)| course)),
            vrate_mps: recent(|report| report.vrate_mps),
            on_ground: newest(reports, |report| report.on_ground),
            first_seen,
            last_seen,
            age_s,
            points: points.len() as u64,
            reports: reports.len() as u64,
            sources,
            quality: 0.0,
            state: state(first_seen, age_s, options),
        };
        track.quality = quality(&track, options.lost_after);
        track
    }
}

fn newest<T>(reports: &[&Report], of: impl Fn(&Report) -> Option<T>) -> Option<T> {
    reports.iter().rev().find_map(|report| of(report))
}

/// The address as receivers show it: `~` before one that isn't from ICAO.
fn address(id: &str) -> String {
    match id.split_once(':') {
        Some(("nonicao", address)) => format!("~{}", address.to_ascii_uppercase()),
        Some((_, address)) => address.to_ascii_uppercase(),
        None => id.to_ascii_uppercase(),
    }
}

fn state(first_seen: DateTime<Utc>, age_s: f64, options: Options) -> State {
    let limit_s = options.lost_after.as_secs_f64();
    if age_s > limit_s {
        State::Lost
    } else if (options.now - first_seen).as_seconds_f64() <= limit_s {
        State::New
    } else {
        State::Current
    }
}

/// The different positions, by time.
fn points(reports: &[&Report]) -> Vec<(DateTime<Utc>, Place)> {
    let mut points: Vec<(DateTime<Utc>, Place)> = Vec::new();
    for report in reports {
        let Some(place) = report.place() else {
            continue;
        };
        let heard = points
            .iter()
            .rev()
            .take_while(|(at, _)| report.observed_at - *at <= SAME_POINT_APART_MAX)
            .any(|(_, before)| geodesy::distance_m(*before, place) <= SAME_POINT_DISTANCE_MAX_M);
        if !heard {
            points.push((report.observed_at, place));
        }
    }
    points
}

/// Speed and course between the newest position and the nearest earlier one that is far enough back.
fn base(points: &[(DateTime<Utc>, Place)]) -> Option<(f64, f64)> {
    let (to_at, to) = points.last()?;
    let (from_at, from) =
        points.iter().rev().find(|(at, _)| *to_at - *at >= BASE_MIN).filter(|(at, _)| *to_at - *at <= BASE_MAX)?;
    let speed_mps = geodesy::distance_m(*from, *to) / (*to_at - *from_at).as_seconds_f64();
    (speed_mps <= SPEED_MAX_MPS).then(|| (speed_mps, geodesy::course_deg(*from, *to)))
}

fn quality(track: &Track, lost_after: Duration) -> f64 {
    let fresh = 1.0 - (track.age_s / lost_after.as_secs_f64().max(1.0)).min(1.0);
    let placed = (track.points as f64).min(POINTS_ENOUGH) / POINTS_ENOUGH;
    let known =
        [track.alt_m.is_some() || track.on_ground == Some(true), track.speed_mps.is_some(), track.course_deg.is_some()];
    let motion = known.iter().filter(|known| **known).count() as f64 / known.len() as f64;
    let seconded = f64::from(u8::from(track.sources.len() > 1));
    let quality = 0.3 * fresh + 0.3 * placed + 0.2 * motion + 0.2 * seconded;
    (quality * 100.0).round() / 100.0
}
