//! What the stories start from: the shipped configuration and its two receivers, or a folder with changed copies.

use std::{collections::BTreeMap, io::Read, path::Path};

use agents::{
    actions::correlate::Report,
    connectors::{Files, Sources, read},
    event::{Event, Quarantined},
};
use chrono::{DateTime, Utc};
use flate2::read::GzDecoder;

pub(crate) const RECEIVERS: [&str; 2] = ["lax-a", "lax-b"];

/// The moment at which the replays end.
pub(crate) fn anchor() -> DateTime<Utc> {
    "2026-12-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn items(files: &Files, source: &str) -> Vec<Result<Event, Quarantined>> {
    let sources = Sources::parse(&files.agents_yml().unwrap()).unwrap();
    read(sources.get(source).unwrap(), files, anchor()).unwrap().collect()
}

pub(crate) fn events(files: &Files, source: &str) -> Vec<Event> {
    items(files, source).into_iter().map(Result::unwrap).collect()
}

pub(crate) fn reports(files: &Files) -> Vec<Report> {
    RECEIVERS.iter().flat_map(|source| events(files, source)).map(|event| Report::of(&event)).collect()
}

/// The events of each entity.
pub(crate) fn by_entity(events: Vec<Event>) -> BTreeMap<String, Vec<Event>> {
    let mut grouped: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for event in events {
        grouped.entry(event.entity.id.clone()).or_default().push(event);
    }
    grouped
}

/// A shipped recording, unpacked.
pub(crate) fn recording(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/adsb").join(name);
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

/// A configuration folder like the shipped one, with these two recordings, not packed.
pub(crate) fn folder(sbs: &str, readsb: &str) -> (tempfile::TempDir, Files) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("fixtures/adsb")).unwrap();
    let shipped = Files::Bundled;
    for (name, text) in [
        ("agents.yml", shipped.agents_yml().unwrap().as_str()),
        ("agentkit.yml", &shipped.agentkit_yml().unwrap()),
        ("fixtures/adsb/lax-a.sbs.gz", sbs),
        ("fixtures/adsb/lax-b.readsb.ndjson.gz", readsb),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let files = Files::Folder(folder.path().to_owned());
    (folder, files)
}
