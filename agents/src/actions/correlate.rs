//! `correlate`: one track per aircraft from what several receivers heard. By ICAO address where there is one; a report
//! without one joins the aircraft it flies with (`correlate/gate.rs`) or stays a track of its own. Pure: the same
//! reports in any order, any of them twice, give the same answer. What was stored before is the caller's to read.

mod gate;
mod notable;
mod report;
mod track;

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Action, InputError, input};
pub use notable::Notable;
pub use report::Report;
pub use track::{State, Track};

pub(super) const INPUTS: &[&str] = &["window", "lost_after", "gate_m"];

/// A step's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Input {
    /// How far back reports are read. Default 30 minutes.
    #[serde(with = "crate::durations")]
    pub window: Duration,
    /// An aircraft not heard for longer is lost. Default 60 seconds.
    #[serde(with = "crate::durations")]
    pub lost_after: Duration,
    /// How near a report without an ICAO address must be to an aircraft to belong to it, metres. Default 800.
    pub gate_m: f64,
}

impl Default for Input {
    fn default() -> Self {
        Self { window: Duration::from_secs(1_800), lost_after: Duration::from_secs(60), gate_m: 800.0 }
    }
}

impl Input {
    /// Reads a step's input.
    ///
    /// # Errors
    /// When it isn't one.
    pub fn of(with: &Value) -> Result<Self, InputError> {
        let read: Self = input(Action::Correlate, with)?;
        if read.gate_m.is_finite() && read.gate_m > 0.0 {
            return Ok(read);
        }
        Err(InputError { action: Action::Correlate.name(), message: format!("gate_m {} is no distance", read.gate_m) })
    }

    /// The options of a merge at `now`.
    #[must_use]
    pub fn options(&self, now: DateTime<Utc>) -> Options {
        Options { now, lost_after: self.lost_after, gate_m: self.gate_m }
    }
}

/// How to merge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Ages are counted from here.
    pub now: DateTime<Utc>,
    /// An aircraft not heard for longer is lost; one first heard within this time is new.
    pub lost_after: Duration,
    /// See [`Input::gate_m`].
    pub gate_m: f64,
}

/// What one source contributed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Reports, without repetitions.
    pub reports: u64,
    /// Aircraft.
    pub aircraft: u64,
}

/// A report's entity that was found to be an aircraft known by its ICAO address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Joined {
    /// The address that isn't from ICAO.
    pub id: String,
    /// The track it became part of.
    pub into: String,
}

/// The merged picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Merge {
    /// One per aircraft, by id.
    pub tracks: Vec<Track>,
    /// How many there are.
    pub aircraft: u64,
    /// How many of them have a position.
    pub positioned: u64,
    /// Heard by more than one source.
    pub heard_by_both: u64,
    /// Heard by one source only, by that source.
    pub only: BTreeMap<String, u64>,
    /// What each source contributed.
    pub sources: BTreeMap<String, Heard>,
    /// Reports that were used.
    pub reports: u64,
    /// Reports that said the same as another of the same source and time.
    pub duplicates: u64,
    /// Reports with a value that isn't a number.
    pub refused: u64,
    /// Aircraft first heard within `lost_after`.
    pub new: u64,
    /// Aircraft not heard for longer than `lost_after`.
    pub lost: u64,
    /// Reports without an ICAO address that belong to an aircraft with one.
    pub joined: Vec<Joined>,
    /// What an operator looks at first, among aircraft that aren't lost.
    pub notable: Notable,
}

/// Merges the reports of all sources. Order and repetitions don't matter.
#[must_use]
pub fn merge(reports: &[Report], options: Options) -> Merge {
    let mut sound: Vec<&Report> = reports.iter().filter(|report| report.is_sound()).collect();
    let refused = reports.len() - sound.len();
    sound.sort_by_cached_key(|report| report.key());
    let before = sound.len();
    sound.dedup_by_key(|report| report.key());
    let duplicates = before - sound.len();

    let mut by_entity: BTreeMap<&str, Vec<&Report>> = BTreeMap::new();
    for report in &sound {
        by_entity.entry(&report.entity_id).or_default().push(report);
    }
    let joined = gate::join(&mut by_entity, options.gate_m);
    let tracks: Vec<Track> = by_entity
        .iter()
        .map(|(id, reports)| {
            let aliases = joined.iter().filter(|joined| joined.into == *id).map(|joined| joined.id.clone());
            Track::of(id, aliases.collect(), reports, options)
        })
        .collect();
    account(tracks, joined, &sound, duplicates as u64, refused as u64)
}

/// Adds up what the tracks say.
fn account(tracks: Vec<Track>, joined: Vec<Joined>, used: &[&Report], duplicates: u64, refused: u64) -> Merge {
    let count = |which: &dyn Fn(&Track) -> bool| tracks.iter().filter(|track| which(track)).count() as u64;
    let mut sources: BTreeMap<String, Heard> = BTreeMap::new();
    let mut only: BTreeMap<String, u64> = BTreeMap::new();
    for track in &tracks {
        for (source, reports) in &track.sources {
            let heard = sources.entry(source.clone()).or_default();
            heard.reports += reports;
            heard.aircraft += 1;
            *only.entry(source.clone()).or_default() += u64::from(track.sources.len() == 1);
        }
    }
    Merge {
        aircraft: tracks.len() as u64,
        positioned: count(&|track| track.lat.is_some()),
        heard_by_both: count(&|track| track.sources.len() > 1),
        only,
        sources,
        reports: used.len() as u64,
        duplicates,
        refused,
        new: count(&|track| track.state == State::New),
        lost: count(&|track| track.state == State::Lost),
        joined,
        notable: Notable::among(&tracks),
        tracks,
    }
}

#[cfg(test)]
mod tests;
