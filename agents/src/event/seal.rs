//! How a draft becomes an event: ranges are checked, the time is cut to the feed's resolution, the key is computed.
//! Odd but possible values are flagged and kept; impossible ones quarantine the reading. Reads no clock.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use super::{Code, Encoding, Event, Quarantined, Raw, dedupe_key};

/// How far ahead of its reception an event may claim to be.
pub const FUTURE_MAX: TimeDelta = TimeDelta::minutes(5);
/// How much of the original is kept.
pub const RAW_BYTES_MAX: usize = 8 * 1024;
/// Longest entity id and name.
const NAME_CHARS_MAX: usize = 200;
/// Faster than anything that answers on 1090 MHz.
const AIRCRAFT_SPEED_MAX_MPS: f64 = 700.0;

/// Decimal digits of a second that `observed_at` keeps: receivers of one feed don't agree on more.
#[must_use]
pub fn resolution(feed: &str) -> u16 {
    match feed {
        "adsb" => 1,
        _ => 6,
    }
}

impl Raw {
    /// Keeps `text`, cut and escaped.
    #[must_use]
    pub fn of(enc: Encoding, text: &str) -> Self {
        let (body, truncated) = printable(text);
        Self { enc, body, truncated }
    }
}

impl Event {
    /// Checks the draft, cuts its time, flags what is odd and computes the key.
    ///
    /// # Errors
    /// [`Quarantined`] when something in it can't be true.
    pub fn sealed(mut self) -> Result<Self, Quarantined> {
        if let Err((code, detail)) = check(&self) {
            let raw = self.raw.as_ref().map_or("", |raw| raw.body.as_str());
            return Err(Quarantined::new(code, detail, raw));
        }
        self.observed_at = cut(&self.feed, self.observed_at);
        if let Some(course) = &mut self.motion.course_deg {
            *course = course.rem_euclid(360.0);
        }
        if let Some(point) = &mut self.geometry {
            (point.lon, point.lat) = (seven_decimals(point.lon), seven_decimals(point.lat));
        }
        flag_oddities(&mut self);
        self.dedupe_key = dedupe_key::of(&self);
        Ok(self)
    }
}

/// `at` cut down to the feed's resolution.
fn cut(feed: &str, at: DateTime<Utc>) -> DateTime<Utc> {
    at.trunc_subsecs(resolution(feed))
}

fn check(event: &Event) -> Result<(), (Code, String)> {
    let id = &event.entity.id;
    let sane = |text: &str| text.chars().count() <= NAME_CHARS_MAX && !text.chars().any(char::is_control);
    if id.split_once(':').is_none_or(|(scheme, rest)| scheme.is_empty() || rest.is_empty()) || !sane(id) {
        return Err((Code::Entity, format!("entity id {:?} is not scheme:name", printable(id).0)));
    }
    if !event.entity.name.as_deref().is_none_or(sane) {
        return Err((Code::Entity, "the entity's name is too long or not text".into()));
    }
    for (name, value) in numbers(event) {
        if !value.is_finite() {
            return Err((Code::Number, format!("{name} is not a number")));
        }
    }
    if let Some(point) = event.geometry
        && (point.lat.abs() > 90.0 || point.lon.abs() > 180.0)
    {
        return Err((Code::Position, format!("lon {} lat {} is not on earth", point.lon, point.lat)));
    }
    if event.motion.speed_mps.is_some_and(|speed| speed < 0.0) {
        return Err((Code::Number, "a speed is negative".into()));
    }
    if event.observed_at > event.received_at + FUTURE_MAX {
        return Err((Code::Future, format!("{} is more than 5 minutes ahead", event.observed_at)));
    }
    Ok(())
}

fn numbers(event: &Event) -> impl Iterator<Item = (&str, f64)> {
    let (position, motion) = (&event.position, &event.motion);
    let named = [
        ("longitude", event.geometry.map(|point| point.lon)),
        ("latitude", event.geometry.map(|point| point.lat)),
        ("alt_baro_m", position.alt_baro_m),
        ("alt_hae_m", position.alt_hae_m),
        ("alt_msl_m", position.alt_msl_m),
        ("ce_m", position.ce_m),
        ("speed_mps", motion.speed_mps),
        ("course_deg", motion.course_deg),
        ("heading_deg", motion.heading_deg),
        ("vrate_mps", motion.vrate_mps),
        ("confidence", event.quality.confidence),
        ("rssi_dbfs", event.quality.rssi_dbfs),
    ];
    let measured = event.measurements.iter().map(|measured| (measured.name.as_str(), measured.value));
    named.into_iter().filter_map(|(name, value)| Some((name, value?))).chain(measured)
}

fn flag_oddities(event: &mut Event) {
    let null_island = event.geometry.is_some_and(|point| point.lon == 0.0 && point.lat == 0.0);
    let too_fast =
        event.entity.class == "aircraft" && event.motion.speed_mps.is_some_and(|speed| speed > AIRCRAFT_SPEED_MAX_MPS);
    for (odd, flag) in [(null_island, "null_island"), (too_fast, "implausible")] {
        if odd && !event.quality.flags.iter().any(|known| known == flag) {
            event.quality.flags.push(flag.into());
        }
    }
}

fn seven_decimals(degrees: f64) -> f64 {
    (degrees * 1e7).round() / 1e7
}

/// `text` with control characters escaped, at most [`RAW_BYTES_MAX`] bytes; and whether it was cut.
pub(super) fn printable(text: &str) -> (String, bool) {
    let mut out = String::new();
    for letter in text.chars() {
        let written = if letter.is_control() { letter.escape_default().to_string() } else { letter.to_string() };
        if out.len() + written.len() > RAW_BYTES_MAX {
            return (out, true);
        }
        out.push_str(&written);
    }
    (out, false)
}
