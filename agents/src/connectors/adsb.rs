//! ADS-B: aircraft heard by a receiver on 1090 MHz, from SBS rows or readsb snapshots. Both decoders produce
//! [`sighting::Sighting`]s, which are in the units of the wire turned to SI at this edge and nowhere else.

mod readsb;
mod sbs;
mod sbs_row;
mod sighting;
mod snapshot;

use crate::connectors::{Events, Origin, config::Source, recording::Lines};

pub(super) const FORMATS: &[&str] = &["sbs", "readsb-json"];

pub(super) fn open(source: &Source, lines: Lines, origin: Origin) -> Events {
    match source.format.as_str() {
        "sbs" => Box::new(sbs::Sbs::new(lines, origin, source.timezone)),
        _ => Box::new(readsb::Readsb::new(lines.of_bodies(), origin)),
    }
}

#[cfg(test)]
mod tests;
