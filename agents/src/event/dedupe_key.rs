//! The identity of an observation: 128 bits of SHA-256 over entity, kind, time, quantised place and every value. Every
//! value counts, because a key over some of them swallows real updates; who received it and how well doesn't.

use sha2::{Digest, Sha256};

use super::Event;

/// Hex digits of a key.
const KEY_HEX_DIGITS: usize = 32;

/// The key of an event whose time is already cut to the feed's resolution.
pub(super) fn of(event: &Event) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    part(&event.entity.id);
    part(event.entity.name.as_deref().unwrap_or_default());
    part(event.entity.category.as_deref().unwrap_or_default());
    part(event.kind.as_str());
    part(&event.observed_at.timestamp_micros().to_string());
    let (position, motion) = (&event.position, &event.motion);
    let values = [
        event.geometry.map(|point| point.lon),
        event.geometry.map(|point| point.lat),
        position.alt_baro_m,
        position.alt_hae_m,
        position.alt_msl_m,
        motion.speed_mps,
        motion.course_deg,
        motion.heading_deg,
        motion.vrate_mps,
    ];
    for value in values {
        part(&quantised(value));
    }
    part(position.on_ground.map_or("-", |ground| if ground { "ground" } else { "air" }));
    for measured in &event.measurements {
        part(&measured.name);
        part(&quantised(Some(measured.value)));
        part(&measured.unit);
    }
    for (name, value) in &event.attrs {
        part(name);
        part(&value.to_string());
    }
    let mut key = hex::encode(hash.finalize());
    key.truncate(KEY_HEX_DIGITS);
    key
}

/// A value in millionths, so that the last bits of floating-point arithmetic don't matter.
fn quantised(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{:.0}", (value * 1e6).round() + 0.0))
}
