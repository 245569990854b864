//! What an operator looks at first. Only aircraft that aren't lost and that were heard more than in passing; where
//! nothing qualifies there is nothing, not the next best.

use serde::{Deserialize, Serialize};

use super::{State, Track};

/// Reports below which a value may be a single bad decode.
const REPORTS_MIN: u64 = 3;
/// Faster than this isn't an aircraft.
const SPEED_MAX_MPS: f64 = 700.0;
/// Transponder codes for hijack, lost radio, emergency.
const EMERGENCY_SQUAWKS: [&str; 3] = ["7500", "7600", "7700"];

/// The tracks that stand out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notable {
    /// Highest speed over ground.
    pub fastest: Option<Track>,
    /// Lowest pressure altitude of those not known to be on the ground.
    pub lowest: Option<Track>,
    /// Most reports.
    pub busiest: Option<Track>,
    /// Strongest climb.
    pub climbing: Option<Track>,
    /// Strongest descent.
    pub descending: Option<Track>,
    /// Squawking 7500, 7600 or 7700; one report is enough.
    pub emergencies: Vec<Track>,
}

impl Notable {
    pub(super) fn among(tracks: &[Track]) -> Self {
        let here: Vec<&Track> = tracks.iter().filter(|track| track.state != State::Lost).collect();
        let highest = |value: &dyn Fn(&Track) -> Option<f64>| {
            here.iter()
                .filter(|track| track.reports >= REPORTS_MIN)
                .filter_map(|track| Some((value(track)?, *track)))
                .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.id.cmp(&a.1.id)))
                .map(|(_, track)| track.clone())
        };
        let airborne = |track: &Track| track.on_ground != Some(true);
        Self {
            fastest: highest(&|track| track.speed_mps.filter(|speed| *speed <= SPEED_MAX_MPS)),
            lowest: highest(&|track| track.alt_m.filter(|_| airborne(track)).map(|altitude| -altitude)),
            busiest: highest(&|track| Some(track.reports as f64)),
            climbing: highest(&|track| track.vrate_mps.filter(|climb| *climb > 0.0)),
            descending: highest(&|track| track.vrate_mps.filter(|climb| *climb < 0.0).map(|climb| -climb)),
            emergencies: here
                .iter()
                .filter(|track| track.squawk.as_deref().is_some_and(|code| EMERGENCY_SQUAWKS.contains(&code)))
                .map(|track| (*track).clone())
                .collect(),
        }
    }
}
