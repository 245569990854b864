//! A stream of SBS rows. A row says one thing (a position, a speed, a callsign), so what is known of an aircraft is
//! carried into its position reports for a bounded age. Without a current position, what changed becomes an event
//! of its own, at most one in five seconds; what is still unsaid at the end is said then. So nothing new is swallowed
//! and 70,000 rows don't become 70,000 events. Memory: one small record per address.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::{
    sbs_row::{self, Row},
    sighting::{Heard, Sighting},
};
use crate::{
    connectors::{Origin, recording::Lines},
    event::{Code, Encoding, Event, ObservedAtSource, Point, Quarantined},
};

/// How long altitude, speed, course and climb stay true.
const MOTION_AGE_MAX: TimeDelta = TimeDelta::seconds(15);
/// How long a callsign and a squawk stay true.
const IDENTITY_AGE_MAX: TimeDelta = TimeDelta::minutes(10);
/// How long after a position what changes waits for the next one.
const PLACE_AGE_MAX: TimeDelta = TimeDelta::seconds(30);
/// Shortest time between two events without a position.
const PLACELESS_INTERVAL_MIN: TimeDelta = TimeDelta::seconds(5);
/// The same report again within this time says nothing new.
const REPEAT_WINDOW: TimeDelta = TimeDelta::seconds(5);

pub(super) struct Sbs {
    lines: Lines,
    origin: Origin,
    timezone: Tz,
    aircraft: BTreeMap<String, Aircraft>,
    /// What is said after the last row.
    unsaid: Option<VecDeque<(String, Unsaid)>>,
}

/// A value and when it was heard.
#[derive(Debug, Clone)]
struct Known<T> {
    value: T,
    at: DateTime<Utc>,
}

#[derive(Debug, Default)]
struct Aircraft {
    callsign: Option<Known<String>>,
    squawk: Option<Known<String>>,
    alt_baro_m: Option<Known<f64>>,
    speed_mps: Option<Known<f64>>,
    course_deg: Option<Known<f64>>,
    vrate_mps: Option<Known<f64>>,
    on_ground: Option<Known<bool>>,
    place: Option<Known<Point>>,
    said_at: Option<DateTime<Utc>>,
    unsaid: Option<Unsaid>,
}

/// A change that no event has carried yet.
#[derive(Debug, Clone)]
struct Unsaid {
    at: DateTime<Utc>,
    raw: String,
}

impl Sbs {
    pub(super) fn new(lines: Lines, origin: Origin, timezone: Tz) -> Self {
        Self { lines, origin, timezone, aircraft: BTreeMap::new(), unsaid: None }
    }

    /// The event that a line completes, if it does.
    fn take(&mut self, line: &[u8]) -> Option<Result<Event, Quarantined>> {
        let text = String::from_utf8_lossy(line);
        let refused = |(code, detail): (Code, String), number| {
            Some(Err(Quarantined::new(code, format!("line {number}: {detail}"), &text)))
        };
        let row = match sbs_row::parse(&text) {
            Ok(row) => row?,
            Err(why) => return refused(why, self.lines.line_number()),
        };
        let at = match zoned(self.timezone, row.at) {
            Ok(at) => at,
            Err(why) => return refused(why, self.lines.line_number()),
        };
        let aircraft = self.aircraft.entry(row.entity_id.clone()).or_default();
        let sighting = aircraft.hear(&row, at, &text)?;
        Some(self.said(sighting, at, &text))
    }

    fn said(&self, sighting: Sighting, at: DateTime<Utc>, raw: &str) -> Result<Event, Quarantined> {
        let heard =
            Heard { at, at_source: ObservedAtSource::Reported, decoder: "adsb/sbs", enc: Encoding::Utf8, raw };
        sighting.into_event(&heard, &self.origin)
    }
}

impl Iterator for Sbs {
    type Item = Result<Event, Quarantined>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(line) = self.lines.next() {
            match line {
                Err(torn) => return Some(Err(torn)),
                Ok(line) => {
                    if let Some(item) = self.take(&line) {
                        return Some(item);
                    }
                }
            }
        }
        let aircraft = &mut self.aircraft;
        let unsaid = self.unsaid.get_or_insert_with(|| {
            aircraft.iter_mut().filter_map(|(id, known)| Some((id.clone(), known.unsaid.take()?))).collect()
        });
        let (id, Unsaid { at, raw }) = unsaid.pop_front()?;
        let sighting = self.aircraft.get(&id)?.sighting(&id, at, None);
        Some(self.said(sighting, at, &raw))
    }
}

impl Aircraft {
    /// Takes in what a row says; what is to be told about it now.
    fn hear(&mut self, row: &Row, at: DateTime<Utc>, raw: &str) -> Option<Sighting> {
        let changed = self.update(row, at);
        if let Some(place) = row.place {
            let repeated = self.place.replace(Known { value: place, at }).is_some_and(|before| {
                before.value == place && !changed && near(at, before.at, REPEAT_WINDOW) && self.unsaid.is_none()
            });
            return (!repeated).then(|| self.say(row, at, Some(place)));
        }
        if changed {
            self.unsaid = Some(Unsaid { at, raw: raw.to_owned() });
        }
        let place_is_current = self.place.as_ref().is_some_and(|place| near(at, place.at, PLACE_AGE_MAX));
        let said_lately = self.said_at.is_some_and(|said| (at - said).abs() < PLACELESS_INTERVAL_MIN);
        (self.unsaid.is_some() && !place_is_current && !said_lately).then(|| self.say(row, at, None))
    }

    fn say(&mut self, row: &Row, at: DateTime<Utc>, place: Option<Point>) -> Sighting {
        self.unsaid = None;
        self.said_at = Some(at);
        self.sighting(&row.entity_id, at, place)
    }

    /// Whether the row says anything that wasn't known.
    fn update(&mut self, row: &Row, at: DateTime<Utc>) -> bool {
        let changes = [
            learn(&mut self.callsign, row.callsign.as_ref(), at),
            learn(&mut self.squawk, row.squawk.as_ref(), at),
            learn(&mut self.alt_baro_m, row.alt_baro_m.as_ref(), at),
            learn(&mut self.speed_mps, row.speed_mps.as_ref(), at),
            learn(&mut self.course_deg, row.course_deg.as_ref(), at),
            learn(&mut self.vrate_mps, row.vrate_mps.as_ref(), at),
            learn(&mut self.on_ground, row.on_ground.as_ref(), at),
        ];
        changes.contains(&true)
    }

    fn sighting(&self, entity_id: &str, at: DateTime<Utc>, place: Option<Point>) -> Sighting {
        Sighting {
            entity_id: entity_id.to_owned(),
            place,
            callsign: current(self.callsign.as_ref(), at, IDENTITY_AGE_MAX),
            squawk: current(self.squawk.as_ref(), at, IDENTITY_AGE_MAX),
            alt_baro_m: current(self.alt_baro_m.as_ref(), at, MOTION_AGE_MAX),
            speed_mps: current(self.speed_mps.as_ref(), at, MOTION_AGE_MAX),
            course_deg: current(self.course_deg.as_ref(), at, MOTION_AGE_MAX),
            vrate_mps: current(self.vrate_mps.as_ref(), at, MOTION_AGE_MAX),
            on_ground: current(self.on_ground.as_ref(), at, MOTION_AGE_MAX),
            ..Sighting::default()
        }
    }
}

fn learn<T: Clone + PartialEq>(known: &mut Option<Known<T>>, heard: Option<&T>, at: DateTime<Utc>) -> bool {
    let Some(heard) = heard else { return false };
    let changed = known.as_ref().is_none_or(|known| known.value != *heard);
    // Only a change clones; a repetition only makes the value younger.
    if changed {
        *known = Some(Known { value: heard.clone(), at });
    } else if let Some(known) = known {
        known.at = at;
    }
    changed
}

fn current<T: Clone>(known: Option<&Known<T>>, at: DateTime<Utc>, age_max: TimeDelta) -> Option<T> {
    known.filter(|known| near(at, known.at, age_max)).map(|known| known.value.clone())
}

/// A row with a wrong clock may be far ahead, so what is far in either direction is not current.
fn near(a: DateTime<Utc>, b: DateTime<Utc>, apart_max: TimeDelta) -> bool {
    (a - b).abs() <= apart_max
}

/// The receiver's local time in UTC. Of an hour that the clocks repeat the first is taken; an hour they skip
/// doesn't exist.
fn zoned(timezone: Tz, local: NaiveDateTime) -> Result<DateTime<Utc>, (Code, String)> {
    match timezone.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Ok(at.with_timezone(&Utc)),
        LocalResult::None => Err((Code::Time, format!("{local} does not exist in {timezone}"))),
    }
}
