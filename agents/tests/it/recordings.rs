//! Both receivers in Los Angeles: what is decoded, that it is the same twice, that they agree with each other, and what
//! damage does.

use std::collections::BTreeSet;

use agents::{
    connectors::Files,
    event::{Code, Event},
};
use chrono::TimeDelta;

use crate::shipped::{RECEIVERS, anchor, by_entity, events, folder, items, recording};

fn counts(source: &str) -> String {
    let events = events(&Files::Bundled, source);
    let distinct = |of: &dyn Fn(&Event) -> Option<String>| events.iter().filter_map(of).collect::<BTreeSet<_>>().len();
    let first = events.iter().map(|event| event.observed_at).min().unwrap();
    let last = events.iter().map(|event| event.observed_at).max().unwrap();
    format!(
        "events {}, positions {}, aircraft {}, with a position {}, callsigns {}, keys {}\nfrom {first} until {last}",
        events.len(),
        events.iter().filter(|event| event.geometry.is_some()).count(),
        distinct(&|event| Some(event.entity.id.clone())),
        distinct(&|event| event.geometry.map(|_| event.entity.id.clone())),
        distinct(&|event| event.entity.name.clone()),
        distinct(&|event| Some(event.dedupe_key.clone())),
    )
}

#[test]
fn the_sbs_receiver_decodes_whole() {
    insta::assert_snapshot!(counts("lax-a"), @r"
    events 9326, positions 8937, aircraft 105, with a position 89, callsigns 64, keys 9326
    from 2026-12-01 11:53:30 UTC until 2026-12-01 11:59:59.900 UTC
    ");
}

#[test]
fn the_readsb_receiver_decodes_whole() {
    insta::assert_snapshot!(counts("lax-b"), @r"
    events 2986, positions 2374, aircraft 115, with a position 93, callsigns 70, keys 2986
    from 2026-12-01 11:53:31.300 UTC until 2026-12-01 11:59:59.400 UTC
    ");
}

/// The first event of a receiver that has a position and a name.
fn first_in_full(source: &str) -> String {
    let found = events(&Files::Bundled, source);
    let event = found.into_iter().find(|event| event.geometry.is_some() && event.entity.name.is_some()).unwrap();
    serde_json::to_string_pretty(&event).unwrap()
}

#[test]
fn an_event_from_sbs_in_full() {
    insta::assert_snapshot!(first_in_full("lax-a"), @r#"
    {
      "feed": "adsb",
      "kind": "track",
      "entity": {
        "id": "icao24:c03069",
        "name": "ACA552",
        "class": "aircraft",
        "aliases": [
          "callsign:ACA552"
        ]
      },
      "observed_at": "2026-12-01T11:53:31.500Z",
      "observed_at_source": "reported",
      "received_at": "2026-12-01T12:00:00Z",
      "geometry": {
        "type": "Point",
        "coordinates": [
          -118.49792,
          34.0144
        ]
      },
      "position": {
        "alt_baro_m": 2545.08,
        "on_ground": false,
        "source": "gnss"
      },
      "motion": {
        "speed_mps": 130.668776,
        "course_deg": 96.0,
        "vrate_mps": -6.827520000000001
      },
      "quality": {
        "confidence": 0.9
      },
      "provenance": {
        "station": "toc-s1",
        "connector": "lax-a",
        "decoder": "adsb/sbs"
      },
      "raw": {
        "enc": "utf8",
        "body": "MSG,3,1,1,C03069,1,2026/11/22,08:16:42.647,2026/11/22,08:16:42.647,,8350,,,34.01440,-118.49792,,,,,,0",
        "truncated": false
      },
      "dedupe_key": "f624d29d59ebcf769525f039a515d5bc"
    }
    "#);
}

#[test]
fn an_event_from_readsb_in_full() {
    insta::assert_snapshot!(first_in_full("lax-b"), @r#"
    {
      "feed": "adsb",
      "kind": "track",
      "entity": {
        "id": "icao24:a20415",
        "name": "BYA229",
        "class": "aircraft",
        "category": "A2",
        "aliases": [
          "callsign:BYA229"
        ]
      },
      "observed_at": "2026-12-01T11:53:33.300Z",
      "observed_at_source": "derived",
      "received_at": "2026-12-01T12:00:00Z",
      "geometry": {
        "type": "Point",
        "coordinates": [
          -117.324429,
          34.305787
        ]
      },
      "position": {
        "alt_baro_m": 8229.6,
        "on_ground": false,
        "source": "gnss"
      },
      "motion": {
        "speed_mps": 182.113176,
        "course_deg": 132.0,
        "vrate_mps": -0.32512
      },
      "quality": {
        "confidence": 0.9,
        "rssi_dbfs": -49.5
      },
      "provenance": {
        "station": "toc-s1",
        "connector": "lax-b",
        "decoder": "adsb/readsb"
      },
      "raw": {
        "enc": "json",
        "body": "{\"type\":\"adsb_icao\",\"hex\":\"a20415\",\"flight\":\"BYA229  \",\"lat\":34.305787,\"lon\":-117.324429,\"seen_pos\":0.6,\"alt_baro\":27000,\"baro_rate\":-64,\"track\":132,\"gs\":354,\"category\":\"A2\",\"mlat\":[],\"tisb\":[],\"messages\":11,\"seen\":0.6,\"rssi\":-49.5}",
        "truncated": false
      },
      "dedupe_key": "edebe048984c37dbc96a8d5a5f9c9463"
    }
    "#);
}

#[test]
fn reading_again_gives_the_same_events_and_the_same_keys() {
    for source in RECEIVERS {
        assert_eq!(events(&Files::Bundled, source), events(&Files::Bundled, source), "{source}");
    }
}

#[test]
fn a_replay_ends_at_the_anchor_and_the_receivers_stay_aligned() {
    for source in RECEIVERS {
        let last = events(&Files::Bundled, source).iter().map(|event| event.observed_at).max().unwrap();
        assert!(last <= anchor() && anchor() - last < TimeDelta::seconds(2), "{source}: {last}");
    }
}

#[test]
fn a_replay_may_keep_its_times() {
    let (kept_folder, files) = folder(&recording("lax-a.sbs.gz"), "");
    let config = kept_folder.path().join("agents.yml");
    let kept = std::fs::read_to_string(&config).unwrap().replace("times: shift", "times: keep");
    std::fs::write(&config, kept).unwrap();
    let last = events(&files, "lax-a").iter().map(|event| event.observed_at).max().unwrap();
    assert_eq!(last.to_rfc3339(), "2026-11-22T08:23:11+00:00");
}

/// Two decoders that share no code past the units, on two recordings of one sky: for each aircraft both placed, the
/// position of one must be where the other was at that time. 350 m/s covers what moved in between.
#[test]
fn the_two_receivers_place_the_same_aircraft_at_the_same_place() {
    let placed = |source| {
        let mut placed = events(&Files::Bundled, source);
        placed.retain(|event| event.geometry.is_some());
        by_entity(placed)
    };
    let (sbs, readsb) = (placed("lax-a"), placed("lax-b"));
    let (mut compared, mut same) = (0, 0);
    for (id, theirs) in &readsb {
        let Some(ours) = sbs.get(id) else { continue };
        let last = theirs.iter().max_by_key(|event| event.observed_at).unwrap();
        let apart = |event: &&Event| (event.observed_at - last.observed_at).abs();
        let near = ours.iter().min_by_key(apart).unwrap();
        let seconds = apart(&near).as_seconds_f64();
        let metres = metres_apart(near, last);
        assert!(metres <= 50.0 + 350.0 * (seconds + 0.2), "{id}: {metres} m after {seconds} s");
        compared += 1;
        same += usize::from(metres < 5.0);
    }
    insta::assert_snapshot!(format!("compared {compared}, within 5 m {same}"), @r"
    compared 85, within 5 m 47
    ");
}

fn metres_apart(a: &Event, b: &Event) -> f64 {
    let (a, b) = (a.geometry.unwrap(), b.geometry.unwrap());
    let north = (a.lat - b.lat) * 111_195.0;
    let east = (a.lon - b.lon) * 111_195.0 * a.lat.to_radians().cos();
    north.hypot(east)
}

#[test]
fn callsigns_and_altitudes_of_the_two_receivers_agree() {
    let newest = |source| {
        let grouped = by_entity(events(&Files::Bundled, source));
        grouped.into_iter().map(|(id, events)| {
            let name = events.iter().rev().find_map(|event| event.entity.name.clone());
            let altitudes: Vec<f64> = events.iter().filter_map(|event| event.position.alt_baro_m).collect();
            (id, (name, altitudes))
        })
    };
    let readsb: std::collections::BTreeMap<_, _> = newest("lax-b").collect();
    let mut named = 0;
    for (id, (name, altitudes)) in newest("lax-a") {
        let Some((their_name, their_altitudes)) = readsb.get(&id) else {
            continue;
        };
        if let (Some(name), Some(theirs)) = (name, their_name) {
            assert_eq!(&name, theirs, "{id}");
            named += 1;
        }
        let range =
            |of: &[f64]| of.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
        if !altitudes.is_empty() && !their_altitudes.is_empty() {
            let (ours, theirs) = (range(&altitudes), range(their_altitudes));
            assert!(ours.0 <= theirs.1 + 600.0 && theirs.0 <= ours.1 + 600.0, "{id}: {ours:?} {theirs:?}");
        }
    }
    assert!(named > 30, "{named}");
}

#[test]
fn damaged_rows_are_set_aside_and_the_rest_is_read() {
    let sound = recording("lax-a.sbs.gz");
    let damaged: Vec<String> = sound
        .lines()
        .enumerate()
        .map(|(index, line)| match index % 10_000 {
            7 => line[..line.len() / 2].to_owned(),
            8 => line.replace("MSG", "M\u{0}G"),
            _ => line.to_owned(),
        })
        .collect();
    let (_folder, files) = folder(&damaged.join("\n"), "");
    let read = items(&files, "lax-a");
    let refused: Vec<Code> = read.iter().filter_map(|item| item.as_ref().err()).map(|bad| bad.code).collect();
    assert_eq!(refused, [Code::Malformed; 14]);
    let (good, all) = (read.len() - refused.len(), events(&Files::Bundled, "lax-a").len());
    assert!(good.abs_diff(all) < 30, "{good} of {all}");
}
