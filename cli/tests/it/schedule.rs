//! `vtoc schedule` on a running fleet: a schedule's life from the terminal, and what it makes of a worker's day.

use std::{
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::place::{Place, error_output, vtoc};
use crate::running::Up;

const POST: [&str; 4] = ["--kind", "post_chat", "--payload", r#"{"channel":"toc-s1","text":"all stations report"}"#];

fn schedule(data: &Path, arguments: &[&str]) -> Output {
    vtoc().arg("schedule").args(arguments).arg("--data").arg(data).output().unwrap()
}

/// Its answer, in JSON.
fn answer(data: &Path, arguments: &[&str]) -> Value {
    let output = schedule(data, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", error_output(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn failure(data: &Path, arguments: &[&str]) -> String {
    let output = schedule(data, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    error_output(&output)
}

#[test]
fn a_schedule_lives_from_its_creation_to_its_end_on_the_terminal() {
    let place = Place::new();
    let up = Up::start(place.path());
    let data = place.path();
    let daily = [
        "create",
        "report",
        "30 6 * * mon-fri",
        "--time-zone",
        "Europe/Berlin",
        "--station",
        "toc-s1",
        "--jitter",
        "5m",
    ];
    let created = answer(data, &[&daily[..], &POST].concat());
    assert_eq!((&created["state"], created["next"].as_array().unwrap().len()), (&"active".into(), 5));
    assert!(failure(data, &[&daily[..], &POST].concat()).contains("there is a schedule \"report\" already"));
    assert!(failure(data, &[&["create", "odd", "61 * * * *"][..], &POST].concat()).contains("\"61\" is not 0 to 59"));

    assert_eq!(answer(data, &["pause", "report"])["state"], "paused");
    assert_eq!(
        answer(data, &["edit", "report", "--expression", "1s", "--missed", "all:5", "--priority", "-2"])["missed"],
        "all:5"
    );
    assert_eq!(answer(data, &["show", "report"])["next"], Value::Array(Vec::new()));
    assert!(answer(data, &["trigger", "report"])["job_id"].is_string());
    assert_eq!(answer(data, &["resume", "report"])["state"], "active");
    let started = Instant::now();
    while answer(data, &["show", "report"])["last_tick_at"].is_null() {
        assert!(started.elapsed() < Duration::from_secs(60), "the worker never ticks");
    }

    let shown = schedule(data, &["show", "report"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("1s in Europe/Berlin, jitter 5m, missed all:5"), "{shown}");
    let listed = String::from_utf8(schedule(data, &["list"]).stdout).unwrap();
    assert!(listed.lines().count() == 2 && listed.contains("post_chat"), "{listed}");
    assert_eq!(answer(data, &["delete", "report"])["deleted"], "report");
    for verb in ["show", "edit", "pause", "resume", "trigger", "delete"] {
        assert!(failure(data, &[verb, "report"]).contains("there is no schedule \"report\": see `vtoc schedule list`"));
    }
    assert_eq!(up.stop(), Some(0));
}
