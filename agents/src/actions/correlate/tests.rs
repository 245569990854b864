//! Correlation on invented reports: the examples that explain it, and the laws that hold for any reports.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::geodesy::{self, Place};

fn now() -> DateTime<Utc> {
    "2026-11-22T08:30:00Z".parse().unwrap()
}

fn options() -> Options {
    Input::default().options(now())
}

/// A report `seconds` before now.
fn report(entity_id: &str, source: &str, seconds: i64) -> Report {
    Report {
        entity_id: entity_id.into(),
        source: source.into(),
        observed_at: now() - TimeDelta::seconds(seconds),
        lon: None,
        lat: None,
        alt_m: None,
        speed_mps: None,
        course_deg: None,
        vrate_mps: None,
        on_ground: None,
        callsign: None,
        squawk: None,
        category: None,
    }
}

/// A report of something that flies north at 200 m/s and is over the airport now.
fn flying(entity_id: &str, source: &str, seconds: i64, offset_m: f64) -> Report {
    let start = geodesy::moved(Place { lon: -118.4, lat: 33.9 }, 90.0, offset_m);
    let place = geodesy::moved(start, 0.0, -200.0 * seconds as f64);
    Report {
        lon: Some(place.lon),
        lat: Some(place.lat),
        alt_m: Some(3_000.0),
        speed_mps: Some(200.0),
        course_deg: Some(0.0),
        ..report(entity_id, source, seconds)
    }
}

#[test]
fn two_receivers_of_one_aircraft_make_one_track() {
    let merged = merge(&[flying("icao24:a1", "a", 9, 0.0), flying("icao24:a1", "b", 3, 0.0)], options());
    assert_eq!((merged.aircraft, merged.heard_by_both), (1, 1));
    let track = &merged.tracks[0];
    assert_eq!((track.points, track.age_s, track.state), (2, 3.0, State::New));
    assert_eq!(track.label, "A1");
}

#[test]
fn a_position_that_both_heard_is_one_point() {
    let merged = merge(&[flying("icao24:a1", "a", 9, 0.0), flying("icao24:a1", "b", 9, 1.0)], options());
    assert_eq!((merged.tracks[0].points, merged.tracks[0].reports, merged.duplicates), (1, 2, 0));
}

#[test]
fn speed_and_course_come_from_positions_when_nobody_says_them() {
    let silent = |seconds| Report { speed_mps: None, course_deg: None, ..flying("icao24:a1", "a", seconds, 0.0) };
    let merged = merge(&[silent(20), silent(10), silent(5)], options());
    let track = &merged.tracks[0];
    assert!((track.speed_mps.unwrap() - 200.0).abs() < 0.1);
    let course = track.course_deg.unwrap();
    assert!(!(0.1..=359.9).contains(&course), "{course}");
}

#[test]
fn a_stray_joins_the_aircraft_it_flies_with() {
    let mut reports: Vec<Report> = (0..5).map(|n| flying("icao24:a1", "a", 50 - n * 10, 0.0)).collect();
    reports.extend((0..5).map(|n| flying("icao24:a2", "a", 50 - n * 10, 5_000.0)));
    // Half-way between the aircraft's reports, 1,000 m from either: only dead reckoning brings them together.
    reports.extend((0..4).map(|n| flying("nonicao:99", "b", 45 - n * 10, 100.0)));
    let merged = merge(&reports, options());
    assert_eq!(merged.joined, [Joined { id: "nonicao:99".into(), into: "icao24:a1".into() }]);
    assert_eq!((merged.aircraft, merged.tracks[0].aliases.as_slice()), (2, &["nonicao:99".to_owned()][..]));
    assert_eq!(merged.heard_by_both, 1);
}

#[test]
fn a_stray_of_its_own_altitude_or_place_stays_alone() {
    let aircraft: Vec<Report> = (0..5).map(|n| flying("icao24:a1", "a", 50 - n * 10, 0.0)).collect();
    let above = (0..4).map(|n| Report { alt_m: Some(3_300.0), ..flying("nonicao:99", "b", 46 - n * 10, 0.0) });
    let beside = (0..4).map(|n| flying("nonicao:99", "b", 46 - n * 10, 3_000.0));
    for stray in [above.collect::<Vec<_>>(), beside.collect(), vec![flying("nonicao:99", "b", 46, 0.0)]] {
        let merged = merge(&[aircraft.clone(), stray].concat(), options());
        assert_eq!((merged.aircraft, merged.joined.len()), (2, 0));
        assert_eq!(merged.tracks[1].label, "~99");
    }
}

#[test]
fn an_old_speed_is_not_a_speed() {
    let fast = Report { speed_mps: Some(200.0), ..report("icao24:a1", "a", 60) };
    let merged = merge(&[fast, report("icao24:a1", "a", 0)], options());
    assert_eq!(merged.tracks[0].speed_mps, None);
}

#[test]
fn what_was_not_heard_for_long_is_lost_and_not_notable() {
    let emergency = Report { squawk: Some("7700".into()), ..flying("icao24:a1", "a", 61, 0.0) };
    let merged = merge(std::slice::from_ref(&emergency), options());
    assert_eq!((merged.lost, merged.notable.emergencies.len()), (1, 0));
    let heard = Report { observed_at: now(), ..emergency };
    assert_eq!(merge(&[heard], options()).notable.emergencies.len(), 1);
}

#[test]
fn nothing_merges_to_nothing() {
    let merged = merge(&[], options());
    assert_eq!((merged.aircraft, merged.reports, merged.notable.fastest), (0, 0, None));
}

fn any_report() -> impl Strategy<Value = Report> {
    let entity = prop_oneof!["icao24:a[0-3]", "nonicao:b[0-1]"];
    let value = || prop::option::weighted(0.7, prop_oneof![9 => -50.0..500.0_f64, 1 => prop::num::f64::ANY]);
    let place = prop::option::weighted(0.8, (-118.5..-118.3_f64, 33.8..34.0_f64));
    let texts = (prop::option::of("[A-Z]{3}[0-9]{1,3}"), prop::option::of("[0-7]{4}"), any::<Option<bool>>());
    (entity, "[abc]", 0_i64..1_200, place, [value(), value(), value(), value()], texts).prop_map(
        |(entity, source, tenths, place, [alt_m, speed_mps, course_deg, vrate_mps], (callsign, squawk, on_ground))| {
            Report {
                observed_at: now() - TimeDelta::milliseconds(tenths * 100),
                lon: place.map(|(lon, _)| lon),
                lat: place.map(|(_, lat)| lat),
                alt_m,
                speed_mps,
                course_deg,
                vrate_mps,
                on_ground,
                callsign,
                squawk,
                ..report(&entity, &source, 0)
            }
        },
    )
}

proptest! {
    #[test]
    fn order_does_not_matter(
        (reports, shuffled) in prop::collection::vec(any_report(), 0..60)
            .prop_flat_map(|reports| (Just(reports.clone()), Just(reports).prop_shuffle())),
    ) {
        prop_assert_eq!(merge(&reports, options()), merge(&shuffled, options()));
    }

    #[test]
    fn duplicates_change_nothing_but_their_count(reports in prop::collection::vec(any_report(), 0..40)) {
        let once = merge(&reports, options());
        let twice = merge(&[reports.clone(), reports].concat(), options());
        prop_assert_eq!(&once.tracks, &twice.tracks);
        prop_assert_eq!(twice.duplicates, once.duplicates * 2 + once.reports);
        prop_assert_eq!((once.aircraft, once.heard_by_both, once.only), (twice.aircraft, twice.heard_by_both, twice.only));
    }

    #[test]
    fn counts_add_up_and_numbers_are_numbers(reports in prop::collection::vec(any_report(), 0..60)) {
        let merged = merge(&reports, options());
        let total = reports.len() as u64;
        prop_assert_eq!(merged.reports + merged.duplicates + merged.refused, total);
        prop_assert_eq!(merged.tracks.iter().map(|track| track.reports).sum::<u64>(), merged.reports);
        prop_assert_eq!(merged.sources.values().map(|heard| heard.reports).sum::<u64>(), merged.reports);
        prop_assert_eq!(merged.heard_by_both + merged.only.values().sum::<u64>(), merged.aircraft);
        for track in &merged.tracks {
            let numbers = [track.lon, track.lat, track.alt_m, track.speed_mps, track.course_deg, track.vrate_mps];
            prop_assert!(numbers.iter().flatten().all(|value| value.is_finite()));
            prop_assert!((0.0..=1.0).contains(&track.quality) && track.age_s >= 0.0);
            prop_assert!(track.first_seen <= track.last_seen && track.points <= track.reports);
        }
    }
}
