//! The JSON of readsb, of old dump1090 and of the v2 web interfaces: one shape, three spellings. Unknown keys are
//! ignored, since every release adds some; a key that is missing is not known.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    sbs_row::is_squawk,
    sighting::{Sighting, callsign, entity_id, feet, feet_per_minute, knots},
};
use crate::event::{Code, Point, PositionSource};

/// `now` above this is in milliseconds (as seconds it would be the year 5138).
const SECONDS_MAX: f64 = 1e11;

/// One snapshot; aircraft stay text so that one bad one doesn't spoil the others.
#[derive(Deserialize)]
pub(super) struct Snapshot<'a> {
    now: f64,
    #[serde(borrow, default, alias = "ac")]
    pub(super) aircraft: Vec<&'a RawValue>,
    /// There when the object is a single aircraft with a `now` of its own (`--json-port`).
    #[serde(default)]
    pub(super) hex: Option<String>,
}

impl Snapshot<'_> {
    /// Seconds or milliseconds since 1970, by size; none for nonsense.
    pub(super) fn now(&self) -> Option<DateTime<Utc>> {
        let seconds = if self.now > SECONDS_MAX { self.now / 1e3 } else { self.now };
        let plausible = seconds.is_finite() && seconds > 0.0 && seconds < SECONDS_MAX;
        if plausible { DateTime::from_timestamp_micros((seconds * 1e6).round() as i64) } else { None }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Altitude {
    Feet(f64),
    Word(String),
}

/// One aircraft as written. Fields that only one dialect has stand side by side.
#[derive(Deserialize)]
pub(super) struct Aircraft {
    hex: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    flight: Option<String>,
    alt_baro: Option<Altitude>,
    altitude: Option<Altitude>,
    alt_geom: Option<f64>,
    gs: Option<f64>,
    speed: Option<f64>,
    track: Option<f64>,
    baro_rate: Option<f64>,
    vert_rate: Option<f64>,
    geom_rate: Option<f64>,
    squawk: Option<String>,
    category: Option<String>,
    lat: Option<f64>,
    lon: Option<f64>,
    seen_pos: Option<f64>,
    seen: Option<f64>,
    rssi: Option<f64>,
    #[serde(default)]
    mlat: Vec<String>,
    #[serde(default)]
    tisb: Vec<String>,
}

/// An aircraft's sighting with the two moments a snapshot tells, as ages before `now`.
pub(super) struct Seen {
    pub(super) sighting: Sighting,
    /// When the last message came.
    pub(super) heard_at: DateTime<Utc>,
    /// When the position came.
    pub(super) placed_at: Option<DateTime<Utc>>,
}

impl Aircraft {
    pub(super) fn seen(self, now: DateTime<Utc>) -> Result<Seen, (Code, String)> {
        let entity_id = entity_id(&self.hex).ok_or((Code::Entity, "not a six-digit address".to_owned()))?;
        let place_source = self.place_source();
        let (alt_baro_m, on_ground) = match self.alt_baro.or(self.altitude) {
            Some(Altitude::Feet(value)) => (Some(feet(value)), Some(false)),
            Some(Altitude::Word(word)) if word == "ground" => (None, Some(true)),
            Some(Altitude::Word(word)) => return Err((Code::Number, format!("{word:?} is no altitude"))),
            None => (None, None),
        };
        let place = self.lat.zip(self.lon).map(|(lat, lon)| Point { lon, lat });
        let heard_at = before(now, self.seen.unwrap_or(0.0))?;
        let placed_at = match place {
            Some(_) => Some(before(now, self.seen_pos.or(self.seen).unwrap_or(0.0))?),
            None => None,
        };
        let sighting = Sighting {
            entity_id,
            place,
            place_source,
            callsign: self.flight.as_deref().and_then(callsign),
            category: self.category.filter(|category| category.len() == 2 && category.is_ascii()),
            squawk: self.squawk.filter(|squawk| is_squawk(squawk)),
            alt_baro_m,
            alt_hae_m: self.alt_geom.map(feet),
            on_ground,
            speed_mps: self.gs.or(self.speed).map(knots),
            course_deg: self.track,
            vrate_mps: self.baro_rate.or(self.vert_rate).or(self.geom_rate).map(feet_per_minute),
            rssi_dbfs: self.rssi,
        };
        Ok(Seen { sighting, heard_at, placed_at })
    }

    fn place_source(&self) -> Option<PositionSource> {
        let lists = |list: &[String]| list.iter().any(|field| field == "lat");
        let kind = self.kind.as_deref().unwrap_or_default();
        if lists(&self.mlat) || kind == "mlat" {
            Some(PositionSource::Mlat)
        } else if lists(&self.tisb) || kind.starts_with("tisb") {
            Some(PositionSource::Tisb)
        } else {
            None
        }
    }
}

/// `age_s` seconds before `now`. An age is never an epoch: one of more than a day is refused.
fn before(now: DateTime<Utc>, age_s: f64) -> Result<DateTime<Utc>, (Code, String)> {
    if !(0.0..=86_400.0).contains(&age_s) {
        return Err((Code::Time, format!("an age of {age_s} seconds is impossible")));
    }
    Ok(now - TimeDelta::milliseconds((age_s * 1e3).round() as i64))
}
