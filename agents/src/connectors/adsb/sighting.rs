//! What one receiver knows of one aircraft at one moment, and the event that says it. Feet, knots and feet per minute
//! become SI here.

use chrono::{DateTime, Utc};

use crate::{
    connectors::Origin,
    event::{
        Code, Encoding, Entity, Event, Kind, Motion, ObservedAtSource, Point, Position, PositionSource, Provenance,
        Quality, Quarantined, Raw,
    },
};

/// Longest callsign; what is longer isn't one.
const CALLSIGN_CHARS_MAX: usize = 8;

pub(super) fn feet(value: f64) -> f64 {
    value * 0.3048
}

pub(super) fn knots(value: f64) -> f64 {
    value * 0.514_444
}

pub(super) fn feet_per_minute(value: f64) -> f64 {
    value * 0.005_08
}

/// An address on the wire: six hex digits, `~` before one that isn't from ICAO. None for anything else.
pub(super) fn entity_id(address: &str) -> Option<String> {
    let (scheme, digits) = match address.strip_prefix('~') {
        Some(digits) => ("nonicao", digits),
        None => ("icao24", address),
    };
    let well_formed = digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    (well_formed && digits != "000000").then(|| format!("{scheme}:{}", digits.to_ascii_lowercase()))
}

/// A padded callsign as people write it; none for blanks and for characters no callsign has.
pub(super) fn callsign(padded: &str) -> Option<String> {
    let text = padded.trim().trim_end_matches(['_', '@']);
    let well_formed = !text.is_empty()
        && text.len() <= CALLSIGN_CHARS_MAX
        && text.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'-');
    well_formed.then(|| text.to_ascii_uppercase())
}

/// What one receiver knows of one aircraft at one moment. SI units.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sighting {
    pub(super) entity_id: String,
    pub(super) place: Option<Point>,
    pub(super) place_source: Option<PositionSource>,
    pub(super) callsign: Option<String>,
    pub(super) category: Option<String>,
    pub(super) squawk: Option<String>,
    pub(super) alt_baro_m: Option<f64>,
    pub(super) alt_hae_m: Option<f64>,
    pub(super) on_ground: Option<bool>,
    pub(super) speed_mps: Option<f64>,
    pub(super) course_deg: Option<f64>,
    pub(super) vrate_mps: Option<f64>,
    pub(super) rssi_dbfs: Option<f64>,
}

/// How and when a sighting came to be known.
pub(super) struct Heard<'a> {
    pub(super) at: DateTime<Utc>,
    pub(super) at_source: ObservedAtSource,
    pub(super) decoder: &'static str,
    pub(super) enc: Encoding,
    pub(super) raw: &'a str,
}

impl Sighting {
    /// The event, at `heard.at` on the recording's clock moved to ours.
    pub(super) fn into_event(self, heard: &Heard<'_>, origin: &Origin) -> Result<Event, Quarantined> {
        let observed_at = origin.clock.moved(heard.at);
        let observed_at = observed_at.ok_or_else(|| Quarantined::new(Code::Time, "no calendar has it", heard.raw))?;
        let source = self.place.is_some().then(|| self.place_source.unwrap_or(PositionSource::Gnss));
        let confidence = source.map(|source| match source {
            PositionSource::Mlat => 0.6,
            PositionSource::Tisb => 0.5,
            _ => 0.9,
        });
        Event {
            feed: "adsb".into(),
            kind: Kind::Track,
            entity: Entity {
                id: self.entity_id,
                aliases: self.callsign.iter().map(|name| format!("callsign:{name}")).collect(),
                name: self.callsign,
                class: class(self.category.as_deref()).into(),
                category: self.category,
            },
            observed_at,
            observed_at_source: heard.at_source,
            received_at: origin.received_at,
            geometry: self.place,
            position: Position {
                alt_baro_m: self.alt_baro_m,
                alt_hae_m: self.alt_hae_m,
                on_ground: self.on_ground,
                source,
                ..Position::default()
            },
            motion: Motion {
                speed_mps: self.speed_mps,
                course_deg: self.course_deg,
                vrate_mps: self.vrate_mps,
                ..Motion::default()
            },
            measurements: Vec::new(),
            quality: Quality { confidence, rssi_dbfs: self.rssi_dbfs, ..Quality::default() },
            attrs: self.squawk.into_iter().map(|squawk| ("squawk".to_owned(), squawk.into())).collect(),
            provenance: Provenance {
                station: origin.station.clone(),
                connector: origin.source.clone(),
                decoder: heard.decoder.into(),
            },
            raw: Some(Raw::of(heard.enc, heard.raw)),
            dedupe_key: String::new(),
        }
        .sealed()
    }
}

/// Categories C1 and C2 are vehicles on the airfield.
fn class(category: Option<&str>) -> &'static str {
    match category {
        Some("C1" | "C2") => "vehicle",
        _ => "aircraft",
    }
}
