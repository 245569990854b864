//! What makes two observations the same, what makes one impossible, and what is kept of the original.

use serde_json::json;

use super::*;

fn draft() -> Event {
    serde_json::from_value(json!({
        "feed": "adsb",
        "kind": "track",
        "entity": {"id": "icao24:a7b315", "class": "aircraft"},
        "observed_at": "2026-11-22T08:16:41.139Z",
        "observed_at_source": "reported",
        "received_at": "2026-11-22T08:16:42Z",
        "geometry": {"type": "Point", "coordinates": [-118.4, 33.9]},
        "position": {"alt_baro_m": 1000.0},
        "motion": {"speed_mps": 100.0, "course_deg": 90.0},
        "provenance": {"station": "toc-s1", "connector": "lax-a", "decoder": "adsb/sbs"},
    }))
    .unwrap()
}

fn key(change: impl FnOnce(&mut Event)) -> String {
    let mut event = draft();
    change(&mut event);
    event.sealed().unwrap().dedupe_key
}

#[test]
fn every_value_is_part_of_the_key() {
    let changed = [
        key(|_| ()),
        key(|event| event.kind = Kind::Alert),
        key(|event| event.entity.id = "icao24:a7b316".into()),
        key(|event| event.entity.name = Some("UAL251".into())),
        key(|event| event.observed_at += chrono::TimeDelta::milliseconds(100)),
        key(|event| event.geometry = None),
        key(|event| event.geometry = Some(Point { lon: -118.400_01, lat: 33.9 })),
        key(|event| event.position.alt_baro_m = Some(1_000.1)),
        key(|event| event.position.alt_baro_m = None),
        key(|event| (event.position.alt_baro_m, event.position.alt_hae_m) = (None, Some(1_000.0))),
        key(|event| event.position.on_ground = Some(true)),
        key(|event| event.motion.vrate_mps = Some(0.0)),
        key(|event| drop(event.attrs.insert("squawk".into(), "7700".into()))),
        key(|event| event.measurements.push(Measurement { name: "t".into(), value: 1.0, unit: "Cel".into() })),
    ];
    let distinct: std::collections::BTreeSet<&String> = changed.iter().collect();
    assert_eq!(distinct.len(), changed.len());
    assert!(changed.iter().all(|key| key.len() == 32 && key.bytes().all(|digit| digit.is_ascii_hexdigit())));
}

#[test]
fn who_received_it_how_well_and_when_is_no_part_of_the_key() {
    let same = key(|event| {
        event.provenance.connector = "lax-b".into();
        event.quality.rssi_dbfs = Some(-3.0);
        event.received_at += chrono::TimeDelta::hours(1);
        event.observed_at += chrono::TimeDelta::milliseconds(50);
        event.raw = Some(Raw::of(Encoding::Utf8, "x"));
        event.geometry = Some(Point { lon: -118.400_000_01, lat: 33.9 });
    });
    assert_eq!(same, key(|_| ()));
}

#[test]
fn what_cannot_be_true_is_quarantined() {
    let code = |change: fn(&mut Event)| {
        let mut event = draft();
        change(&mut event);
        event.sealed().unwrap_err().code
    };
    assert_eq!(code(|event| event.entity.id = "UAL251".into()), Code::Entity);
    assert_eq!(code(|event| event.entity.id = "icao24:\u{0}".into()), Code::Entity);
    assert_eq!(code(|event| event.motion.speed_mps = Some(f64::NAN)), Code::Number);
    assert_eq!(code(|event| event.motion.speed_mps = Some(-1.0)), Code::Number);
    assert_eq!(code(|event| event.geometry = Some(Point { lon: 181.0, lat: 0.0 })), Code::Position);
    assert_eq!(code(|event| event.observed_at += chrono::TimeDelta::minutes(6)), Code::Future);
}

#[test]
fn what_is_odd_is_flagged_and_kept() {
    let mut event = draft();
    event.geometry = Some(Point { lon: 0.0, lat: 0.0 });
    event.motion.speed_mps = Some(900.0);
    event.motion.course_deg = Some(360.0);
    let sealed = event.sealed().unwrap();
    assert_eq!(sealed.quality.flags, ["null_island", "implausible"]);
    assert_eq!(sealed.motion.course_deg, Some(0.0));
    assert_eq!(sealed.observed_at.to_rfc3339(), "2026-11-22T08:16:41.100+00:00");
}

#[test]
fn the_original_is_cut_and_holds_no_control_characters() {
    let raw = Raw::of(Encoding::Utf8, &"a\u{0}é".repeat(4_000));
    assert!(raw.truncated && raw.body.len() <= RAW_BYTES_MAX && !raw.body.chars().any(char::is_control));
    assert!(raw.body.starts_with("a\\u{0}é"));
}

#[test]
fn an_event_reads_back_the_same() {
    let event = draft().sealed().unwrap();
    let text = serde_json::to_string(&event).unwrap();
    assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
}
