//! Both decoders on invented rows: each mistake of the system this one replaces that an ADS-B feed can provoke has
//! its test here. Whole recordings are in `tests/it`.

use std::io::Cursor;

use chrono::{DateTime, Utc};

use super::*;
use crate::{
    connectors::{Replay, Source, Sources, recording::Clock},
    event::{Code, Event, PositionSource, Quarantined},
};

fn anchor() -> DateTime<Utc> {
    "2026-11-22T08:30:00Z".parse().unwrap()
}

fn source(format: &str) -> Source {
    let mut source =
        Sources::parse(include_str!("../../../config/agents.yml")).unwrap().get("lax-a").unwrap().clone();
    source.format = format.into();
    source.replay = Replay::Keep;
    source
}

fn read(source: &Source, text: &str) -> Vec<Result<Event, Quarantined>> {
    let origin = Origin {
        station: "toc-s1".into(),
        source: "roof".into(),
        received_at: anchor(),
        clock: Clock::new(source.replay, anchor()),
    };
    let lines = Lines::new(Box::new(Cursor::new(text.as_bytes().to_vec())), source.limits);
    open(source, lines, origin).collect()
}

fn sbs(rows: &[&str]) -> Vec<Event> {
    read(&source("sbs"), &rows.join("\n")).into_iter().map(Result::unwrap).collect()
}

fn readsb(text: &str) -> Vec<Event> {
    read(&source("readsb-json"), text).into_iter().map(Result::unwrap).collect()
}

/// A position row of one aircraft at 08:16:`second`, with the ground flag.
fn placed(second: &str, lat: &str, ground: &str) -> String {
    format!(
        "MSG,3,1,1,A487EF,1,2026/11/22,08:16:{second},2026/11/22,08:16:{second},,3500,,,{lat},-118.5,,,,,,{ground}"
    )
}

fn speed(second: &str, knots: u32) -> String {
    format!("MSG,4,1,1,A487EF,1,2026/11/22,08:16:{second},2026/11/22,08:16:{second},,,{knots},260,,,-1024,,,,,0")
}

#[test]
fn feet_and_knots_become_metres_and_metres_per_second() {
    let events = sbs(&[&speed("40.000", 100), &placed("41.000", "34.0", "0")]);
    let event = events.last().unwrap();
    assert!((event.position.alt_baro_m.unwrap() - 1066.8).abs() < 1e-9);
    assert!((event.motion.speed_mps.unwrap() - 51.4444).abs() < 1e-9);
    assert!((event.motion.vrate_mps.unwrap() + 5.20192).abs() < 1e-9);
    let json = serde_json::to_value(event).unwrap();
    assert!(json["position"].get("altitude").is_none(), "an altitude without a datum");
}

#[test]
fn zero_feet_are_zero_metres_on_the_same_datum() {
    let events = readsb(r#"{"now":1795335405.0,"aircraft":[{"hex":"a7b315","alt_baro":0,"alt_geom":250}]}"#);
    assert_eq!(events[0].position.alt_baro_m, Some(0.0));
    assert!((events[0].position.alt_hae_m.unwrap() - 76.2).abs() < 1e-9);
}

#[test]
fn what_a_row_does_not_say_is_carried_for_a_bounded_age() {
    let rows = [speed("00.000", 100), placed("14.000", "34.0", "0"), placed("16.000", "34.1", "0")];
    let events = sbs(&rows.each_ref().map(String::as_str));
    let speeds: Vec<bool> = events.iter().map(|event| event.motion.speed_mps.is_some()).collect();
    assert_eq!(speeds, [true, true, false]);
}

#[test]
fn the_ground_flag_has_four_forms() {
    for (flag, expected) in [("-1", Some(true)), ("1", Some(true)), ("0", Some(false)), ("", None)] {
        assert_eq!(sbs(&[&placed("41.000", "34.0", flag)])[0].position.on_ground, expected, "{flag:?}");
    }
}

#[test]
fn times_without_a_zone_take_the_configured_one() {
    let mut source = source("sbs");
    source.timezone = chrono_tz::America::Los_Angeles;
    source.limits.body_bytes_max = 10_000;
    let row = placed("41.139", "34.0", "0").replace("2026/11/22", "2026/07/22");
    let event = read(&source, &row).pop().unwrap().unwrap();
    assert_eq!(event.observed_at.to_rfc3339(), "2026-07-22T15:16:41.100+00:00");
}

#[test]
fn an_hour_that_the_clocks_skip_is_quarantined() {
    let mut source = source("sbs");
    source.timezone = chrono_tz::America::Los_Angeles;
    let row = placed("41.139", "34.0", "0").replace("2026/11/22,08", "2026/03/08,02");
    assert_eq!(read(&source, &row)[0].as_ref().unwrap_err().code, Code::Time);
}

#[test]
fn a_repeated_row_is_said_once_and_a_real_change_always() {
    let rows = [
        placed("41.000", "34.0", "0"),
        placed("41.400", "34.0", "0"),
        placed("41.500", "34.1", "0"),
        speed("41.600", 200),
        placed("41.700", "34.1", "0"),
    ];
    let events = sbs(&rows.each_ref().map(String::as_str));
    assert_eq!(events.len(), 3);
    assert!(events[2].motion.speed_mps.is_some());
}

#[test]
fn an_aircraft_without_a_position_is_still_told_and_the_last_change_is_not_lost() {
    let rows = [speed("41.000", 100), speed("42.000", 101), speed("43.000", 102)];
    let events = sbs(&rows.each_ref().map(String::as_str));
    let knots: Vec<f64> = events.iter().map(|event| (event.motion.speed_mps.unwrap() / 0.514_444).round()).collect();
    assert_eq!(knots, [100.0, 102.0]);
    assert!(events.iter().all(|event| event.geometry.is_none()));
}

#[test]
fn one_bad_row_never_aborts_a_file() {
    let good = placed("41.000", "34.0", "0");
    let rows = [
        "MSG,3,1,1".to_owned(),
        good.replace("A487EF", "XYZ"),
        good.replace("34.0", "NaN"),
        good.replace("34.0", "134.0"),
        good.replace("2026/11/22", "2027/11/22"),
        good.replace("2026/11/22", "22.11.2026"),
        "\u{0}\u{7}garbage".to_owned(),
        "STA,,5,179,400AE7,10103,2026/11/28,14:58:51.153,2026/11/28,14:58:51.153,RM".to_owned(),
        String::new(),
        good,
    ];
    let items = read(&source("sbs"), &rows.join("\r\n"));
    let codes: Vec<Code> = items.iter().filter_map(|item| item.as_ref().err()).map(|bad| bad.code).collect();
    use Code::{Entity, Future, Malformed, Number, Position, Time};
    assert_eq!(codes, [Malformed, Entity, Number, Position, Future, Time, Malformed]);
    assert!(items.last().unwrap().is_ok());
    assert!(items.iter().flatten().count() == 1);
    let raw = &items[6].as_ref().unwrap_err().raw;
    assert!(!raw.chars().any(char::is_control), "{raw:?}");
}

#[test]
fn an_age_is_not_an_epoch() {
    let events = readsb(
        r#"{"now":1795335405.0,"aircraft":[{"hex":"a7b315","lat":34.0,"lon":-118.0,"seen_pos":2.5,"seen":0.1}]}"#,
    );
    assert_eq!(events[0].observed_at.to_rfc3339(), "2026-11-22T08:16:42.500+00:00");
    let epoch = r#"{"now":1795335405.0,"aircraft":[{"hex":"a7b315","lat":34.0,"lon":-118.0,"seen_pos":1795335400}]}"#;
    assert_eq!(read(&source("readsb-json"), epoch)[0].as_ref().unwrap_err().code, Code::Time);
}

#[test]
fn a_taxiing_aircraft_has_no_altitude_and_is_on_the_ground() {
    for key in ["alt_baro", "altitude"] {
        let text = format!(r#"{{"now":1795335405.0,"aircraft":[{{"hex":"a7b315","{key}":"ground","gs":12.5}}]}}"#);
        let event = &readsb(&text)[0];
        assert_eq!((event.position.on_ground, event.position.alt_baro_m), (Some(true), None));
        assert!(event.motion.speed_mps.is_some());
    }
}

#[test]
fn both_dialects_say_the_same() {
    let new = r#"{"now":1795335405.0,"aircraft":[{"hex":"a7b315","flight":"UAL251  ","alt_baro":4400,"gs":87,
        "track":276,"baro_rate":-128,"lat":34.0,"lon":-118.0,"seen_pos":1.0}]}"#;
    let old = new.replace("alt_baro", "altitude").replace("\"gs\"", "\"speed\"").replace("baro_rate", "vert_rate");
    let (new, old) = (readsb(new), readsb(&old));
    assert_eq!(new[0].dedupe_key, old[0].dedupe_key);
    assert_eq!(new[0].entity.name.as_deref(), Some("UAL251"));
    assert_eq!(new[0].entity.aliases, ["callsign:UAL251"]);
}

#[test]
fn now_may_be_in_milliseconds() {
    let seconds = readsb(r#"{"now":1795335405.5,"aircraft":[{"hex":"a7b315","alt_baro":100}]}"#);
    let millis = readsb(r#"{"ac":[{"hex":"a7b315","alt_baro":100}],"now":1795335405500,"total":1,"ctime":1,"ptime":0}"#);
    assert_eq!(seconds[0].dedupe_key, millis[0].dedupe_key);
}

#[test]
fn an_address_that_is_not_from_icao_says_so() {
    let events = readsb(r#"{"now":1795335405.0,"aircraft":[{"hex":"~adf9d0","type":"tisb_other","lat":34,"lon":-118,"seen_pos":0}]}"#);
    assert_eq!(events[0].entity.id, "nonicao:adf9d0");
    assert_eq!(events[0].position.source, Some(PositionSource::Tisb));
    assert_eq!(events[0].quality.confidence, Some(0.5));
}

#[test]
fn a_snapshot_repeats_itself_until_the_position_is_a_new_one() {
    let at = |now: f64, lat: f64, seen_pos: f64, gs: u32| {
        format!(
            r#"{{"now":{now},"aircraft":[{{"hex":"a7b315","lat":{lat},"lon":-118.0,"seen_pos":{seen_pos},"seen":0.2,"gs":{gs}}}]}}"#
        )
    };
    let lines = [
        at(1_795_335_405.0, 34.0, 1.0, 87),
        at(1_795_335_410.0, 34.0, 6.1, 87),  // the same position, a tenth of wobble
        at(1_795_335_415.0, 34.0, 11.0, 90), // the same position, another speed
        at(1_795_335_420.0, 34.0, 1.0, 90),  // the same place, heard again
        at(1_795_335_425.0, 34.1, 0.5, 90),
    ];
    let events = readsb(&lines.join("\n"));
    let placed: Vec<bool> = events.iter().map(|event| event.geometry.is_some()).collect();
    assert_eq!(placed, [true, false, true, true]);
}

#[test]
fn one_bad_aircraft_never_spoils_the_snapshot_and_one_bad_line_never_the_file() {
    let good = r#"{"hex":"a7b315","alt_baro":100}"#;
    let text = [
        format!(r#"{{"now":1795335405.0,"aircraft":[{{"hex":"a7b316","gs":"fast"}},{{"gs":1}},{good}]}}"#),
        r#"{"now":1795335410.0,"aircraft":[{"hex":"a7"#.to_owned(),
        r#"{"now":1795335410.0,"aircraft":[{"hex":"a7b317","alt_baro":100}]}"#.to_owned(),
    ];
    let items = read(&source("readsb-json"), &text.join("\n"));
    assert_eq!(items.iter().flatten().count(), 2);
    assert!(items.iter().filter_map(|item| item.as_ref().err()).all(|bad| bad.code == Code::Malformed));
    assert_eq!(items.len(), 5);
}

#[test]
fn a_first_line_that_is_torn_is_one_bad_line() {
    let text = "{\"now\":1795335405.0,\"airc\n{\"now\":1795335410.0,\"aircraft\":[{\"hex\":\"a7b317\",\"alt_baro\":1}]}";
    let items = read(&source("readsb-json"), text);
    assert!(items[0].is_err() && items[1].is_ok() && items.len() == 2);
}

#[test]
fn a_whole_aircraft_json_is_one_snapshot() {
    let text = "{ \"now\" : 1795335405.0,\n  \"messages\" : 1,\n  \"aircraft\" : [\n{\"hex\":\"a7b315\",\"alt_baro\":1},\n{\"hex\":\"a7b316\",\"alt_baro\":2}\n  ]\n}\n";
    assert_eq!(readsb(text).len(), 2);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        for format in FORMATS {
            read(&source(format), &text);
        }
    }

    #[test]
    fn no_columns_make_a_decoder_panic(columns in proptest::collection::vec("[-0-9A-F./: ,]{0,12}", 21)) {
        read(&source("sbs"), &format!("MSG,{}", columns.join(",")));
    }

    #[test]
    fn no_numbers_make_a_decoder_panic(values in proptest::array::uniform8(proptest::num::f64::ANY)) {
        let [now, lat, lon, seen_pos, alt, gs, track, rate] = values.map(|value| if value.is_finite() { value } else { 0.0 });
        let text = format!(
            r#"{{"now":{now:?},"aircraft":[{{"hex":"a7b315","lat":{lat:?},"lon":{lon:?},"seen_pos":{seen_pos:?},"alt_baro":{alt:?},"gs":{gs:?},"track":{track:?},"baro_rate":{rate:?}}}]}}"#
        );
        for event in read(&source("readsb-json"), &text).into_iter().flatten() {
            proptest::prop_assert!(!serde_json::to_string(&event).unwrap().contains(":null"));
        }
    }
}
