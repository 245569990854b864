//! What an overdue schedule comes to under each policy, and that it takes about as long however long it was overdue.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use proptest::{prelude::*, sample::select};

use super::{at, moments, timetable};
use crate::schedules::{
    GRACE, MISSED_MAX, Missed, Timetable,
    missed::{Due, due},
};

const POLICIES: [Missed; 5] = [Missed::Skip, Missed::Once, Missed::All(1), Missed::All(7), Missed::All(MISSED_MAX)];

/// As [`due`], from one tick to the next.
fn counted(timetable: &Timetable, policy: Missed, first: DateTime<Utc>, now: DateTime<Utc>) -> Due {
    let mut ticks = vec![timetable.tick(first)];
    while let Some(tick) = timetable.next_after(ticks[ticks.len() - 1].at).filter(|tick| tick.run_at <= now) {
        ticks.push(tick);
    }
    let next = timetable.next_after(ticks[ticks.len() - 1].at);
    let (missed, timely): (Vec<_>, Vec<_>) =
        ticks.iter().map(|tick| (tick.at, tick.run_at)).partition(|tick| tick.1 + GRACE < now);
    let mut chosen: Vec<_> = match policy {
        Missed::Once if !missed.is_empty() => ticks.iter().map(|tick| tick.at).rev().take(1).collect(),
        Missed::All(bound) => missed.iter().rev().take(bound.into()).rev().chain(&timely).map(|tick| tick.0).collect(),
        _ => timely.iter().map(|tick| tick.0).collect(),
    };
    chosen.sort();
    Due { ticks: chosen, missed: !missed.is_empty(), next }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_due_is_what_counting_every_tick_says(
        expression in select(&["1s", "7s", "30s", "*/5 * * * * *", "* * * * *", "0 * * * *", "0 3 * * *", "*/10 0-2 * * mon"][..]),
        policy in select(&POLICIES[..]),
        jitter_s in select(&[0_u64, 3, 45, 3_600][..]),
        start_s in 0..86_400_i64,
        late_ms in select(&[0_i64, 900, 29_000, 31_000, 59_999, 600_000, 3_600_000, 40_000_000][..]),
    ) {
        let mut timetable = timetable(expression, "Europe/Berlin");
        timetable.jitter = Duration::from_secs(jitter_s);
        let first = timetable.next_after(at("2026-03-28T12:00:00Z") + TimeDelta::seconds(start_s)).unwrap();
        let now = first.run_at + TimeDelta::milliseconds(late_ms);
        prop_assert_eq!(due(&timetable, policy, first.at, now), counted(&timetable, policy, first.at, now));
    }
}

#[test]
fn after_an_hour_away_skip_makes_none_once_makes_one_and_all_makes_as_many_as_it_may() {
    let minutely = timetable("* * * * *", "UTC");
    let (first, now) = (at("2026-05-01T12:00:00Z"), at("2026-05-01T12:59:45Z"));
    let jobs = |policy| due(&minutely, policy, first, now).ticks;
    assert!(jobs(Missed::Skip).is_empty());
    assert_eq!(jobs(Missed::Once), [at("2026-05-01T12:59:00Z")]);
    assert_eq!(jobs(Missed::All(3)), moments(&minutely, "2026-05-01T12:56:00Z", 3));
    assert_eq!(jobs(Missed::All(100)).len(), 60);
    for policy in POLICIES {
        let due = due(&minutely, policy, first, now);
        assert!(due.missed && due.next.unwrap().at == at("2026-05-01T13:00:00Z"), "{policy}");
    }
}

#[test]
fn a_tick_within_the_grace_was_not_missed() {
    let minutely = timetable("* * * * *", "UTC");
    let first = at("2026-05-01T12:00:00Z");
    for policy in POLICIES {
        let due = due(&minutely, policy, first, first + GRACE);
        assert_eq!((due.ticks, due.missed), (vec![first], false), "{policy}");
    }
}

#[test]
fn years_of_missed_seconds_cost_no_more_than_the_last_of_them() {
    let started = Instant::now();
    for expression in ["1s", "* * * * * *", "* * * * * * 2026", "* * * 29 2 *"] {
        let due = due(
            &timetable(expression, "UTC"),
            Missed::All(MISSED_MAX),
            at("2026-01-02T00:00:00Z"),
            at("2031-01-01T00:00:00Z"),
        );
        assert!(due.ticks.len() >= usize::from(MISSED_MAX), "{expression}");
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn policies_read_back_as_they_are_written() {
    for policy in POLICIES {
        assert_eq!(policy.to_string().parse::<Missed>().unwrap(), policy);
    }
    assert_eq!("all".parse::<Missed>().unwrap(), Missed::All(100));
    for wrong in ["", "none", "all:0", "all:501", "all:-1", "all:", "Once"] {
        assert!(wrong.parse::<Missed>().unwrap_err().to_string().starts_with("missed: "), "{wrong}");
    }
}
