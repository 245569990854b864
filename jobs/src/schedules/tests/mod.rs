//! When schedules tick: against an oracle that isn't ours (`oracle`), against a walk from minute to minute (`walk`), across
//! chosen changes of the clock (`zones`), and what missed ticks come to (`missed`). The store's tests are in `tests/it/`.

mod missed;
mod oracle;
mod walk;
mod zones;

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Timetable;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("RFC 3339")
}

fn timetable(expression: &str, zone: &str) -> Timetable {
    Timetable {
        name: "sweep-sensors".to_owned(),
        expression: expression.parse().expect(expression),
        zone: zone.parse().expect(zone),
        anchor: at("2026-01-01T00:00:00Z"),
        jitter: Duration::ZERO,
    }
}

fn moments(timetable: &Timetable, after: &str, count: usize) -> Vec<DateTime<Utc>> {
    timetable.upcoming(at(after), count).into_iter().map(|tick| tick.at).collect()
}
