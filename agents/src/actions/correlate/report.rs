//! A report: one stored event of one source about one aircraft, with what correlation needs of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{event::Event, geodesy::Place};

/// One stored event of one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `icao24:…`, or `nonicao:…` where there is no ICAO address.
    pub entity_id: String,
    /// The source that heard it.
    pub source: String,
    /// When it was true.
    pub observed_at: DateTime<Utc>,
    /// Degrees east.
    pub lon: Option<f64>,
    /// Degrees north.
    pub lat: Option<f64>,
    /// Pressure altitude, metres.
    pub alt_m: Option<f64>,
    /// Over ground.
    pub speed_mps: Option<f64>,
    /// Over ground, degrees true.
    pub course_deg: Option<f64>,
    /// Climb.
    pub vrate_mps: Option<f64>,
    /// On the ground, when the source says so.
    pub on_ground: Option<bool>,
    /// What people call it.
    pub callsign: Option<String>,
    /// The transponder code.
    pub squawk: Option<String>,
    /// The feed's category (`A3`).
    pub category: Option<String>,
}

impl Report {
    /// What correlation needs of an event.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        Self {
            entity_id: event.entity.id.clone(),
            source: event.provenance.connector.clone(),
            observed_at: event.observed_at,
            lon: event.geometry.map(|point| point.lon),
            lat: event.geometry.map(|point| point.lat),
            alt_m: event.position.alt_baro_m,
            speed_mps: event.motion.speed_mps,
            course_deg: event.motion.course_deg,
            vrate_mps: event.motion.vrate_mps,
            on_ground: event.position.on_ground,
            callsign: event.entity.name.clone(),
            squawk: event.attrs.get("squawk").and_then(|squawk| squawk.as_str()).map(str::to_owned),
            category: event.entity.category.clone(),
        }
    }

    /// Where, when both coordinates are known.
    pub(super) fn place(&self) -> Option<Place> {
        Some(Place { lon: self.lon?, lat: self.lat? })
    }

    /// Whether every number is one and the place is on earth.
    pub(super) fn is_sound(&self) -> bool {
        let numbers = self.numbers();
        let on_earth = self.place().is_none_or(|place| place.lat.abs() <= 90.0 && place.lon.abs() <= 180.0);
        numbers.iter().flatten().all(|value| value.is_finite()) && on_earth
    }

    fn numbers(&self) -> [Option<f64>; 6] {
        [self.lon, self.lat, self.alt_m, self.speed_mps, self.course_deg, self.vrate_mps]
    }

    /// Everything it says, in an order by time; two reports with the same key are one.
    pub(super) fn key(&self) -> impl Ord + use<> {
        (
            self.observed_at,
            self.source.clone(),
            self.entity_id.clone(),
            self.numbers().map(|value| value.map(|value| (value + 0.0).to_bits())),
            self.on_ground,
            self.callsign.clone(),
            self.squawk.clone(),
            self.category.clone(),
        )
    }
}
