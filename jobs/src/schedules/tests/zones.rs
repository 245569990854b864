//! Chosen ticks: across changes of the clock, of intervals, of `now`, with jitter, and where there are none any more.

use std::{collections::HashSet, process::Command, time::Duration};

use super::{at, moments, timetable};

#[test]
fn a_local_time_that_is_skipped_ticks_once_after_the_gap() {
    // At two o'clock it is three.
    let berlin = timetable("30 2 * * *", "Europe/Berlin");
    let expected = ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"].map(at);
    assert_eq!(moments(&berlin, "2026-03-27T12:00:00Z", 3), expected);
    let often = timetable("*/20 2,3 * * *", "Europe/Berlin");
    let expected =
        ["2026-03-29T01:00:00Z", "2026-03-29T01:20:00Z", "2026-03-29T01:40:00Z", "2026-03-30T00:00:00Z"].map(at);
    assert_eq!(
        moments(&often, "2026-03-28T12:00:00Z", 4),
        expected,
        "the gap's three and three o'clock itself are one"
    );
    let half = timetable("15 2 * * *", "Australia/Lord_Howe");
    assert_eq!(moments(&half, "2026-10-03T00:00:00Z", 1), [at("2026-10-03T15:30:00Z")]);
}

#[test]
fn a_local_time_that_comes_twice_ticks_at_the_first() {
    let york = timetable("30 1 * * *", "America/New_York");
    let expected = ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"].map(at);
    assert_eq!(moments(&york, "2026-10-31T12:00:00Z", 2), expected);
    // From within the second pass, too.
    assert_eq!(moments(&york, "2026-11-01T06:10:00Z", 1), [expected[1]]);
    let half = timetable("45 1 * * *", "Australia/Lord_Howe");
    assert_eq!(moments(&half, "2026-04-04T00:00:00Z", 2), ["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"].map(at));
    let often = timetable("*/30 * * * *", "Europe/Berlin");
    let expected = ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z"].map(at);
    assert_eq!(moments(&often, "2026-10-24T23:59:00Z", 3), expected, "an hour is silent, and an interval is not");
}

#[test]
fn the_process_own_zone_changes_nothing() {
    for zone in ["Pacific/Apia", "Europe/Berlin", "Nowhere/Else"] {
        let again = Command::new(std::env::current_exe().unwrap())
            .args(["schedules::tests::zones::a_local_time", "schedules::tests::oracle"])
            .env("TZ", zone)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&again.stdout).into_owned();
        assert!(again.status.success() && said.contains("3 passed"), "{zone}: {said}");
    }
}

#[test]
fn an_interval_counts_from_its_anchor_in_every_zone() {
    let every = timetable("90m", "Europe/Berlin");
    let expected = ["2026-03-29T00:00:00Z", "2026-03-29T01:30:00Z", "2026-03-29T03:00:00Z"].map(at);
    assert_eq!(moments(&every, "2026-03-28T23:00:00Z", 3), expected);
    assert_eq!(every.first().unwrap().at, at("2026-01-01T01:30:00Z"));
    assert_eq!(moments(&every, "2020-01-01T00:00:00Z", 1), [at("2026-01-01T01:30:00Z")], "not before it was given");
}

#[test]
fn now_is_one_tick() {
    let now = timetable("now", "UTC");
    assert_eq!(now.first().unwrap().at, now.anchor);
    assert_eq!(now.next_after(now.anchor), None);
}

#[test]
fn what_is_over_or_never_comes_has_no_ticks() {
    for never in ["0 0 0 1 1 * 2025", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 0 29 2 * 2026-2027"] {
        assert_eq!(timetable(never, "Europe/Berlin").next_after(at("2026-01-01T00:00:00Z")), None, "{never}");
    }
    let last = timetable("0 0 0 24 12 * 2026", "Europe/Berlin");
    assert_eq!(moments(&last, "2026-06-01T00:00:00Z", 5), [at("2026-12-23T23:00:00Z")]);
}

#[test]
fn jitter_is_drawn_from_name_and_tick_and_nothing_else() {
    let mut hourly = timetable("0 * * * *", "UTC");
    hourly.jitter = Duration::from_secs(600);
    let jitters = |name: &str| -> Vec<_> {
        let timetable = super::Timetable { name: name.to_owned(), ..hourly.clone() };
        timetable.upcoming(at("2026-05-01T00:00:00Z"), 200).iter().map(|tick| tick.run_at - tick.at).collect()
    };
    let drawn = jitters("a");
    assert_eq!(drawn, jitters("a"));
    assert_ne!(drawn, jitters("b"));
    assert!(drawn.iter().collect::<HashSet<_>>().len() > 190, "ticks differ from each other");
    let seconds: Vec<_> = drawn.iter().map(chrono::TimeDelta::num_seconds).collect();
    assert!(seconds.iter().all(|second| (0..600).contains(second)));
    assert!(
        seconds.iter().any(|second| *second < 60) && seconds.iter().any(|second| *second > 540),
        "over the whole bound"
    );
    // What fleets have seen stays: another release mustn't move it.
    assert_eq!(drawn[0].num_milliseconds(), JITTER_OF_A_MS);
}

/// Of schedule `a` at 2026-05-01T01:00:00Z within ten minutes, as Python's hashlib has it.
const JITTER_OF_A_MS: i64 = 512_325;
