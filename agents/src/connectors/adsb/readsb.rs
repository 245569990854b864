//! A stream of snapshots: one JSON object a line, or one whole `aircraft.json`. A snapshot repeats what it knows, so
//! an aircraft is told again only when its position is a new one (`now` minus `seen_pos` moved) or something else
//! about it changed. Memory: one snapshot and one small record per address.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::value::RawValue;

use super::{
    sighting::{Heard, Sighting},
    snapshot::{Aircraft, Seen, Snapshot},
};
use crate::{
    connectors::{Origin, recording::Lines},
    event::{Code, Encoding, Event, ObservedAtSource, Quarantined},
};

/// Ages are rounded to a tenth of a second, so the same position wobbles by that much between snapshots.
const WOBBLE_MAX: TimeDelta = TimeDelta::milliseconds(250);

pub(super) struct Readsb {
    lines: Lines,
    origin: Origin,
    told: HashMap<String, Told>,
    ready: VecDeque<Result<Event, Quarantined>>,
    started: bool,
}

/// What was told last about an aircraft.
struct Told {
    sighting: Sighting,
    placed_at: Option<DateTime<Utc>>,
}

impl Readsb {
    pub(super) fn new(lines: Lines, origin: Origin) -> Self {
        Self { lines, origin, told: HashMap::new(), ready: VecDeque::new(), started: false }
    }

    fn take_line(&mut self, line: &[u8]) {
        let number = self.lines.line_number();
        let text = String::from_utf8_lossy(line);
        if text.trim().is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.started, true) && serde_json::from_str::<&RawValue>(&text).is_err() {
            return self.take_document(&text);
        }
        self.take_record(&text, number);
    }

    /// The first line isn't a JSON value of its own, so the file should be one value over many lines. If it isn't,
    /// the lines are taken one by one after all and the first is the bad one.
    fn take_document(&mut self, first: &str) {
        let mut lines = vec![first.to_owned()];
        for line in self.lines.by_ref() {
            match line {
                Ok(line) => lines.push(String::from_utf8_lossy(&line).into_owned()),
                Err(torn) => self.ready.push_back(Err(torn)),
            }
        }
        let whole = lines.join("\n");
        if serde_json::from_str::<&RawValue>(&whole).is_ok() {
            return self.take_record(&whole, 1);
        }
        for (line, number) in lines.iter().zip(1..) {
            if !line.trim().is_empty() {
                self.take_record(line, number);
            }
        }
    }

    fn take_record(&mut self, text: &str, number: u64) {
        let refused = |code, detail: String| Err(Quarantined::new(code, format!("line {number}: {detail}"), text));
        let snapshot: Snapshot<'_> = match serde_json::from_str(text) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let detail = format!("not a snapshot ({:?} error at column {})", error.classify(), error.column());
                return self.ready.push_back(refused(Code::Malformed, detail));
            }
        };
        let Some(now) = snapshot.now() else {
            return self.ready.push_back(refused(Code::Time, "now is not a time".into()));
        };
        if snapshot.hex.is_some() {
            return self.take_aircraft(text, now);
        }
        for aircraft in &snapshot.aircraft {
            self.take_aircraft(aircraft.get(), now);
        }
    }

    fn take_aircraft(&mut self, json: &str, now: DateTime<Utc>) {
        let seen = match serde_json::from_str::<Aircraft>(json) {
            Ok(aircraft) => aircraft.seen(now),
            Err(error) => Err((Code::Malformed, format!("an aircraft is not one: {error}"))),
        };
        let item = match seen {
            Ok(seen) => self.news(seen).map(|(sighting, at)| {
                let heard = Heard {
                    at,
                    at_source: ObservedAtSource::Derived,
                    decoder: "adsb/readsb",
                    enc: Encoding::Json,
                    raw: json,
                };
                sighting.into_event(&heard, &self.origin)
            }),
            Err((code, detail)) => Some(Err(Quarantined::new(code, detail, json))),
        };
        self.ready.extend(item);
    }

    /// What a snapshot's entry adds to what was told, and when that was true: with its position when that is a new
    /// one, without when only something else changed.
    fn news(&mut self, seen: Seen) -> Option<(Sighting, DateTime<Utc>)> {
        let Seen { sighting, heard_at, placed_at } = seen;
        let before = self.told.get(&sighting.entity_id);
        let same_place = before.is_some_and(|told| {
            let near = |a: DateTime<Utc>, b: DateTime<Utc>| (a - b).abs() <= WOBBLE_MAX;
            told.sighting.place == sighting.place && told.placed_at.zip(placed_at).is_some_and(|(a, b)| near(a, b))
        });
        let said = |mut sighting: Sighting| {
            (sighting.place, sighting.place_source, sighting.rssi_dbfs) = (None, None, None);
            sighting
        };
        let same_rest = before.is_some_and(|told| said(told.sighting.clone()) == said(sighting.clone()));
        let news = match placed_at {
            Some(at) if !same_place => Some((sighting.clone(), at)),
            _ if !same_rest => {
                let placeless = Sighting { place: None, place_source: None, ..sighting.clone() };
                Some((placeless, heard_at))
            }
            _ => None,
        };
        if news.is_some() {
            self.told.insert(sighting.entity_id.clone(), Told { sighting, placed_at });
        }
        news
    }
}

impl Iterator for Readsb {
    type Item = Result<Event, Quarantined>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            match self.lines.next()? {
                Ok(line) => self.take_line(&line),
                Err(torn) => self.ready.push_back(Err(torn)),
            }
        }
    }
}
