//! One row of SBS (BaseStation, port 30003): 22 columns. Rows other than `MSG` are the program's own and say nothing
//! about the sky. Units are still those of the wire turned to SI; times are still without a zone.

use chrono::NaiveDateTime;

use super::sighting::{callsign, entity_id, feet, feet_per_minute, knots};
use crate::event::{Code, Point};

/// Columns of every row.
const COLUMNS: usize = 22;

/// What one `MSG` row says; most rows say one or two of these.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) entity_id: String,
    /// When the message was received, on the receiver's own clock.
    pub(super) at: NaiveDateTime,
    pub(super) callsign: Option<String>,
    pub(super) alt_baro_m: Option<f64>,
    pub(super) speed_mps: Option<f64>,
    pub(super) course_deg: Option<f64>,
    pub(super) place: Option<Point>,
    pub(super) vrate_mps: Option<f64>,
    pub(super) squawk: Option<String>,
    pub(super) on_ground: Option<bool>,
}

/// None for a blank line and for rows that aren't `MSG`.
pub(super) fn parse(line: &str) -> Result<Option<Row>, (Code, String)> {
    if line.trim().is_empty() {
        return Ok(None);
    }
    let columns: Vec<&str> = line.split(',').map(str::trim).collect();
    if matches!(columns[0], "SEL" | "ID" | "AIR" | "STA" | "CLK") {
        return Ok(None);
    }
    if columns[0] != "MSG" {
        return Err((Code::Malformed, "not an SBS row".into()));
    }
    let Ok(columns) = <[&str; COLUMNS]>::try_from(columns.as_slice()) else {
        return Err((Code::Malformed, format!("{} columns instead of {COLUMNS}", columns.len())));
    };
    let entity_id = entity_id(columns[4]).ok_or((Code::Entity, "not a six-digit address".to_owned()))?;
    let place = match (number(columns[14], "latitude")?, number(columns[15], "longitude")?) {
        (Some(lat), Some(lon)) => Some(Point { lon, lat }),
        (None, None) => None,
        _ => return Err((Code::Position, "half a position".into())),
    };
    Ok(Some(Row {
        entity_id,
        at: time(columns[6], columns[7])?,
        callsign: callsign(columns[10]),
        alt_baro_m: number(columns[11], "altitude")?.map(feet),
        speed_mps: number(columns[12], "speed")?.map(knots),
        course_deg: number(columns[13], "track")?,
        place,
        vrate_mps: number(columns[16], "climb")?.map(feet_per_minute),
        squawk: Some(columns[17]).filter(|squawk| is_squawk(squawk)).map(str::to_owned),
        on_ground: ground(columns[21])?,
    }))
}

fn number(text: &str, what: &str) -> Result<Option<f64>, (Code, String)> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Some(value)),
        _ => Err((Code::Number, format!("{what} is not a number"))),
    }
}

fn time(date: &str, time: &str) -> Result<NaiveDateTime, (Code, String)> {
    NaiveDateTime::parse_from_str(&format!("{date} {time}"), "%Y/%m/%d %H:%M:%S%.f")
        .map_err(|_| (Code::Time, "the time of reception cannot be read".into()))
}

/// `-1` and `1` are on the ground, `0` is in the air, nothing is not known.
fn ground(text: &str) -> Result<Option<bool>, (Code, String)> {
    match text {
        "" => Ok(None),
        "0" => Ok(Some(false)),
        "-1" | "1" => Ok(Some(true)),
        _ => Err((Code::Malformed, "the ground flag is not -1, 0 or 1".into())),
    }
}

pub(super) fn is_squawk(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit))
}
