//! The parts of an event. Plain data; the rules that hold between them are in `seal`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Whom or what an event is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// `icao24:a7b315`, `nonicao:adf9d0`, `mmsi:…`: never a callsign, which is a name.
    pub id: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `aircraft`, `vehicle`, `ship`, …
    pub class: String,
    /// The feed's own category (`A3`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Other names: `callsign:UAL251`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

/// How `observed_at` is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObservedAtSource {
    /// The source says so.
    Reported,
    /// Computed from what the source says (an age before the snapshot).
    Derived,
    /// The time of reception stands in.
    Received,
}

/// A place in CRS84: degrees east and north; written as a GeoJSON point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Degrees east, -180 to 180.
    pub lon: f64,
    /// Degrees north, -90 to 90.
    pub lat: f64,
}

#[derive(Serialize, Deserialize)]
struct GeoJson {
    #[serde(rename = "type")]
    kind: String,
    coordinates: Vec<f64>,
}

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        GeoJson { kind: "Point".into(), coordinates: vec![self.lon, self.lat] }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let json = GeoJson::deserialize(from)?;
        match json.coordinates[..] {
            [lon, lat, ..] if json.kind == "Point" => Ok(Self { lon, lat }),
            _ => Err(D::Error::custom("a geometry is a Point with longitude and latitude")),
        }
    }
}

/// Altitudes by datum, metres, and where the position comes from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Pressure altitude against 1013.25 hPa.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alt_baro_m: Option<f64>,
    /// Above the WGS84 ellipsoid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alt_hae_m: Option<f64>,
    /// Above mean sea level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alt_msl_m: Option<f64>,
    /// On the ground, when the source says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_ground: Option<bool>,
    /// Horizontal error, metres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ce_m: Option<f64>,
    /// Who determined it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PositionSource>,
}

/// Who determined a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionSource {
    /// The entity's own receiver.
    Gnss,
    /// Multilateration by ground stations.
    Mlat,
    /// Relayed from a ground radar.
    Tisb,
    /// Typed by a person.
    Manual,
    /// Estimated from other reports.
    Estimated,
    /// Computed from orbital elements.
    Propagated,
}

/// How it moves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Motion {
    /// Over ground, m/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_mps: Option<f64>,
    /// Over ground, degrees true, 0 to 360.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub course_deg: Option<f64>,
    /// Where the nose points, degrees true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heading_deg: Option<f64>,
    /// Climb, m/s, up is positive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vrate_mps: Option<f64>,
}

/// A named value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// `temperature`.
    pub name: String,
    /// In `unit`.
    pub value: f64,
    /// UCUM (`Cel`, `hPa`).
    pub unit: String,
}

/// How much to trust an event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// 0 to 1; GNSS 0.9, MLAT 0.6, TIS-B 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// What was odd: `null_island`, `implausible`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Signal strength against full scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rssi_dbfs: Option<f64>,
}

/// Where an event came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The station's slug.
    pub station: String,
    /// The configured source's name.
    pub connector: String,
    /// Which decoder read it (`adsb/sbs`).
    pub decoder: String,
}

/// How the original is written in `body`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Text; control characters are escaped.
    Utf8,
    /// JSON text.
    Json,
}

/// The original.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raw {
    /// How `body` is written.
    pub enc: Encoding,
    /// At most [`super::RAW_BYTES_MAX`] bytes.
    pub body: String,
    /// Whether something was cut off.
    pub truncated: bool,
}
