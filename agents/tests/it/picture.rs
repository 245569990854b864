//! The air picture from both receivers to the text in chat, through the playbook's own steps.

use std::collections::{BTreeMap, BTreeSet};

use agents::{
    Role,
    actions::{
        Action,
        collect::{self, SourceCount},
        compose, correlate, post,
    },
    connectors::{Files, Sources},
    playbooks::{Catalogue, Context, Next, Run, Station, next, parameters},
};
use serde_json::Value;

use crate::shipped::{anchor, by_entity, events, folder, items, recording, reports};

fn merged(files: &Files) -> correlate::Merge {
    correlate::merge(&reports(files), correlate::Input::default().options(anchor()))
}

/// What an order-independent reader would find: the entities of both recordings.
fn addresses(source: &str) -> BTreeSet<String> {
    by_entity(events(&Files::Bundled, source)).into_keys().collect()
}

#[test]
fn both_receivers_merge_to_one_track_per_aircraft() {
    let merge = merged(&Files::Bundled);
    let (a, b) = (addresses("lax-a"), addresses("lax-b"));
    let ids: BTreeSet<String> = merge.tracks.iter().map(|track| track.id.clone()).collect();
    assert_eq!(ids.len(), merge.tracks.len());
    assert_eq!(merge.aircraft as usize + merge.joined.len(), a.union(&b).count());
    if merge.joined.is_empty() {
        assert_eq!(merge.heard_by_both as usize, a.intersection(&b).count());
    }
    insta::assert_snapshot!(format!(
        "aircraft {}, positioned {}, by both {}, only {:?}, new {}, lost {}, joined {}, reports {}, duplicates {}",
        merge.aircraft,
        merge.positioned,
        merge.heard_by_both,
        merge.only,
        merge.new,
        merge.lost,
        merge.joined.len(),
        merge.reports,
        merge.duplicates,
    ), @r#"
    aircraft 117, positioned 97, by both 103, only {"lax-a": 2, "lax-b": 12}, new 4, lost 51, joined 0, reports 12312, duplicates 0
    "#);
}

#[test]
fn the_picture_is_the_same_twice() {
    assert_eq!(told(&Files::Bundled, &[]), told(&Files::Bundled, &[]));
}

/// Runs the shipped playbook to its end, doing what a worker does between steps. The text and the reply.
fn told(files: &Files, given: &[(&str, &str)]) -> (String, String) {
    let catalogue = Catalogue::parse(&files.agentkit_yml().unwrap()).unwrap();
    let playbook = catalogue.get("op_airtrack_merge").unwrap();
    let given: BTreeMap<String, String> =
        given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut context = Context {
        params: parameters(playbook, &given).unwrap(),
        station: Station {
            slug: "toc-s1".into(),
            callsign: "TOC-S1".into(),
            role: Role::Ops,
            channel: "toc-s1".into(),
        },
        run: Run { id: "run-1".into(), started_at: anchor(), channel: None, thread: None, requested_by: None },
        results: BTreeMap::new(),
    };
    let mut text = String::new();
    loop {
        match next(playbook, &context).unwrap() {
            Next::Step { id, action, input, .. } => {
                let result = performed(files, action, &input, &context, &mut text);
                context.results.insert(id, result);
            }
            Next::Skip { id } => drop(context.results.insert(id, Value::Null)),
            Next::Done { reply } => return (text, reply),
        }
    }
}

fn performed(files: &Files, action: Action, input: &Value, context: &Context, text: &mut String) -> Value {
    let result = match action {
        Action::Collect => {
            let sources = Sources::parse(&files.agents_yml().unwrap()).unwrap();
            let chosen = collect::Input::of(input).unwrap().choose(&sources, "toc-s1").unwrap().into_iter();
            let account = chosen.map(|source| {
                let items = items(files, &source.name);
                let events = items.iter().flatten().count() as u64;
                let quarantined = items.len() as u64 - events;
                SourceCount { name: source.name.clone(), events, stored: events, quarantined, ..SourceCount::default() }
            });
            serde_json::to_value(collect::Output::of(account.collect()))
        }
        Action::Correlate => {
            let input = correlate::Input::of(input).unwrap();
            let mut reports: Vec<_> =
                ["lax-a", "lax-b"].iter().flat_map(|source| items(files, source)).flatten().collect();
            reports.retain(|event| anchor() - event.observed_at <= chrono::TimeDelta::from_std(input.window).unwrap());
            let reports: Vec<_> = reports.iter().map(correlate::Report::of).collect();
            serde_json::to_value(correlate::merge(&reports, input.options(anchor())))
        }
        Action::Compose => serde_json::to_value(compose::compose(input, context).unwrap()),
        Action::Post => {
            let outgoing = post::resolve(input, context).unwrap();
            assert_eq!(outgoing.channel, "toc-s1");
            *text = outgoing.message.text;
            Ok(Value::Null)
        }
    };
    result.unwrap()
}

#[test]
fn the_picture_reads_well_at_three_in_the_morning() {
    let (text, reply) = told(&Files::Bundled, &[]);
    insta::assert_snapshot!(text, @r"
    **Air picture TOC-S1, 1200Z**
    117 aircraft in the last 30m: 66 heard within 60s, 51 not heard since. 97 have a position.
    103 heard by more than one receiver, 2 only by lax-a, 12 only by lax-b.
    Fastest: EJA391, 508 kn, 31075 ft, course 133.
    Lowest: A519DA, 800 ft, 84 kn, climb -256 ft/min.
    Climbing hardest: EVA609, 3264 ft/min through 10175 ft.
    Descending hardest: N299PR, -1536 ft/min through 3850 ft.
    Most reports: EJA391, 552 (501 positions).
    ");
    insta::assert_snapshot!(reply, @r"
    117 aircraft from 2 receivers, 103 heard by more than one.
    ");
}

#[test]
fn a_run_that_may_not_post_does_not() {
    let (text, reply) = told(&Files::Bundled, &[("post", "no")]);
    assert!(text.is_empty() && reply.ends_with("not posted."), "{reply}");
}

#[test]
fn an_empty_sky_is_said_to_be_empty() {
    let (_folder, files) = folder("", "");
    insta::assert_snapshot!(told(&files, &[]).0, @r"
    **Air picture TOC-S1, 1200Z**
    No aircraft heard in the last 30m.
    ");
}

/// The picture comes from the recording and from nowhere else: another callsign, an aircraft in distress and missing
/// rows give another picture. The choice of rows is seeded, so a failure can be repeated.
#[test]
fn another_recording_gives_another_picture() {
    let callsign = merged(&Files::Bundled).notable.fastest.unwrap().callsign.unwrap();
    let mut seed = 42_u64;
    let mut one_in_ten = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33).is_multiple_of(10)
    };
    let sbs: Vec<String> = recording("lax-a.sbs.gz")
        .lines()
        .filter(|_| !one_in_ten())
        .map(|line| line.replace(&callsign, &format!("{:width$}", "ZZZ999", width = callsign.len())))
        .collect();
    let last = "\"now\":1795335790.5";
    let in_distress =
        r#""aircraft":[{"hex":"abcdef","flight":"MAYDAY1 ","squawk":"7700","alt_baro":5000,"gs":200,"track":90},"#;
    let readsb: Vec<String> = recording("lax-b.readsb.ndjson.gz")
        .lines()
        .map(|line| line.replace(&callsign, "ZZZ999"))
        .map(|line| if line.contains(last) { line.replacen("\"aircraft\":[", in_distress, 1) } else { line })
        .collect();
    let (_folder, files) = folder(&sbs.join("\n"), &readsb.join("\n"));

    let (before, _) = told(&Files::Bundled, &[]);
    let (after, reply) = told(&files, &[]);
    assert!(before.contains(&format!("Fastest: {callsign}")), "{before}");
    assert!(after.contains("Fastest: ZZZ999") && !after.contains(&callsign), "{after}");
    assert!(after.contains("**SQUAWK 7700**: MAYDAY1, 5000 ft, 200 kn, course 090."), "{after}");
    assert!(reply.starts_with("118 aircraft"), "{reply}");
}
