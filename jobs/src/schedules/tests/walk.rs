//! Ticks against a walk from minute to minute that knows neither gaps nor folds: a minute fires when the local clock reaches,
//! for the first time, a time that the fields allow.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use proptest::{prelude::*, sample::select};

use super::{at, timetable};

/// How far the walk goes.
const WALK_MINUTES: i64 = 3 * 24 * 60;
/// How long before its start the walk begins to watch the clock: longer than any fold.
const WARM_UP_MINUTES: i64 = 30 * 60;

/// Zones and instants about which their clocks change.
const CHANGES: [(&str, &str); 10] = [
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    // By half an hour.
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    // A whole day that never was.
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    // At midnight, so that a day begins at one.
    ("America/Asuncion", "2023-10-01T04:00:00Z"),
    ("Asia/Kathmandu", "2026-06-01T00:00:00Z"),
    ("UTC", "2026-12-31T22:00:00Z"),
];

#[derive(Debug, Clone)]
struct Drawn {
    minutes: BTreeSet<u32>,
    hours: Option<BTreeSet<u32>>,
    days: Option<BTreeSet<u32>>,
    weekdays: Option<BTreeSet<u32>>,
}

fn list(values: &Option<BTreeSet<u32>>) -> String {
    let list = |values: &BTreeSet<u32>| values.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    values.as_ref().map_or("*".to_owned(), list)
}

impl Drawn {
    fn expression(&self) -> String {
        let minutes = list(&Some(self.minutes.clone()));
        format!("{minutes} {} {} * {}", list(&self.hours), list(&self.days), list(&self.weekdays))
    }

    fn allows(&self, local: NaiveDateTime) -> bool {
        let day = |days: &BTreeSet<u32>| days.contains(&local.day());
        let weekday = |weekdays: &BTreeSet<u32>| weekdays.contains(&local.weekday().num_days_from_sunday());
        self.minutes.contains(&local.minute())
            && self.hours.as_ref().is_none_or(|hours| hours.contains(&local.hour()))
            && match (&self.days, &self.weekdays) {
                (Some(days), Some(weekdays)) => day(days) || weekday(weekdays),
                (days, weekdays) => days.as_ref().is_none_or(day) && weekdays.as_ref().is_none_or(weekday),
            }
    }

    /// Every minute of the walk that fires.
    fn walk(&self, zone: Tz, after: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let local = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local();
        let minute = |n: i64| after + TimeDelta::minutes(n);
        let (mut reached, mut fired) = (local(minute(-WARM_UP_MINUTES)), Vec::new());
        for n in 1 - WARM_UP_MINUTES..=WALK_MINUTES {
            let shown = local(minute(n));
            let mut allowed = false;
            while reached < shown {
                reached += TimeDelta::minutes(1);
                allowed |= self.allows(reached);
            }
            if allowed && n > 0 {
                fired.push(minute(n));
            }
        }
        fired
    }
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let some = |range, size| proptest::collection::btree_set(range, size);
    let perhaps = |range, size| proptest::option::of(proptest::collection::btree_set(range, size));
    (some(0..60_u32, 1..4), perhaps(0..24_u32, 1..8), perhaps(1..32_u32, 1..20), perhaps(0..7_u32, 1..4))
        .prop_map(|(minutes, hours, days, weekdays)| Drawn { minutes, hours, days, weekdays })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_next_ticks_are_those_of_a_walk(drawn in drawn(), (zone, change) in select(&CHANGES), offset in -1_800..300_i64) {
        let after = at(change) + TimeDelta::minutes(offset);
        let walked = drawn.walk(zone.parse().unwrap(), after);
        let until = after + TimeDelta::minutes(WALK_MINUTES);
        let ticks = timetable(&drawn.expression(), zone).upcoming(after, walked.len() + 1);
        let moments: Vec<_> = ticks.iter().map(|tick| tick.at).filter(|at| *at <= until).collect();
        prop_assert_eq!(&moments, &walked, "{} in {}", drawn.expression(), zone);
        prop_assert_eq!(&moments[..moments.len().min(5)], &walked[..walked.len().min(5)]);
    }

    #[test]
    fn ticks_and_their_jobs_are_strictly_in_order(
        drawn in drawn(), (zone, change) in select(&CHANGES), offset in -1_800..300_i64, jitter_s in 0..100_000_u64,
    ) {
        let mut timetable = timetable(&drawn.expression(), zone);
        timetable.jitter = std::time::Duration::from_secs(jitter_s.min(86_400));
        let ticks = timetable.upcoming(at(change) + TimeDelta::minutes(offset), 20);
        for pair in ticks.windows(2) {
            prop_assert!(pair[0].at <= pair[0].run_at && pair[0].run_at < pair[1].at, "{:?}", pair);
            prop_assert!((pair[0].run_at - pair[0].at).to_std().unwrap() <= timetable.jitter);
        }
    }
}
