//! The event: one reading as every connector produces it (`vtoc.telemetry.v1`, the `data` part). SI units, degrees
//! true, UTC; the datum of an altitude is in the field's name. How an event becomes final (checked, cut to the feed's
//! resolution, keyed) is in `seal`; where events come from is in `connectors`, where they go to is the caller's.

mod dedupe_key;
mod parts;
mod quarantined;
mod seal;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use parts::{
    Encoding, Entity, Measurement, Motion, ObservedAtSource, Point, Position, PositionSource, Provenance, Quality, Raw,
};
pub use quarantined::{Code, Quarantined};
pub use seal::{FUTURE_MAX, RAW_BYTES_MAX, resolution};

/// What sort of thing an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something that moves was heard.
    Track,
    /// A sensor's reading.
    Sensor,
    /// Somebody should look; never merged by position.
    Alert,
    /// Something happened.
    Event,
    /// The state of a device or a source.
    Status,
    /// Something that doesn't move.
    Static,
    /// A text.
    Message,
}

impl Kind {
    /// The word stored in the database; part of an event's identity.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Track => "track",
            Self::Sensor => "sensor",
            Self::Alert => "alert",
            Self::Event => "event",
            Self::Status => "status",
            Self::Static => "static",
            Self::Message => "message",
        }
    }
}

/// One normalised reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// `adsb`, `ais`, …: the family of sources.
    pub feed: String,
    /// What sort of thing it says.
    pub kind: Kind,
    /// Whom it is about.
    pub entity: Entity,
    /// When it was true in the world, cut to the feed's resolution.
    pub observed_at: DateTime<Utc>,
    /// How `observed_at` is known.
    pub observed_at_source: ObservedAtSource,
    /// When we got it; no part of the event's identity.
    pub received_at: DateTime<Utc>,
    /// Where, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geometry: Option<Point>,
    /// Altitude and what is known about the position.
    #[serde(default)]
    pub position: Position,
    /// Speed, course, climb.
    #[serde(default)]
    pub motion: Motion,
    /// Named values with UCUM units.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
    /// How much to trust it.
    #[serde(default)]
    pub quality: Quality,
    /// What only this feed has (`squawk`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attrs: BTreeMap<String, Value>,
    /// Which source of which station produced it.
    pub provenance: Provenance,
    /// The original, for when the decoder was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Raw>,
    /// 128 bits in hex: the same for the same observation, whoever received it. Empty until [`Event::sealed`].
    #[serde(default)]
    pub dedupe_key: String,
}

#[cfg(test)]
mod tests;
