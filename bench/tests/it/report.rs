//! From a run to its JSON and from that to the page.

use std::{path::Path, process::Command};

use serde_json::Value;

/// Measures once, quickly, and answers with the JSON.
fn measured(json: &Path, arguments: &[&str]) -> Value {
    let url = std::env::var("VTOC_TEST_DATABASE_URL").expect("VTOC_TEST_DATABASE_URL: run scripts/test");
    let output = Command::new(env!("CARGO_BIN_EXE_vtoc-bench"))
        .args(["run", "--pairs", "1", "--jobs", "1000", "--backlog", "2000", "--no-peers", "--json"])
        .arg(json)
        .args(arguments)
        .env("VTOC_TEST_DATABASE_URL", url)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap()
}

#[test]
fn every_drain_reports_the_engine_and_what_it_is_held_against() {
    let folder = tempfile::tempdir().unwrap();
    let only = ["--only", "drain,pending,finished,retries,four-processes,idle-transaction"];
    let report = measured(&folder.path().join("report.json"), &only);
    for figure in [
        "drain_noop_per_s",
        "drain_pending_per_s",
        "drain_finished_per_s",
        "drain_idle_transaction_per_s",
        "enqueue_batch_per_s",
    ] {
        for who in ["engine", "floor"] {
            assert!(report[who][figure].as_f64().is_some_and(|rate| rate > 0.0), "{who} {figure}: {report}");
        }
    }
    for figure in ["drain_retries_per_s", "drain_four_processes_per_s"] {
        assert!(report["engine"][figure].as_f64().is_some_and(|rate| rate > 0.0), "{figure}: {report}");
    }
    assert_eq!(report["ratios"]["drain_of_floor"]["count"], 1);
}

#[test]
fn in_and_out_together_is_sampled_and_becomes_a_page_with_charts() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let report = measured(&json, &["--only", "latency", "--quick", "--steady", "0.05"]);
    let courses = report["steady"].as_array().unwrap();
    let drainers: Vec<&str> = courses.iter().map(|course| course["who"].as_str().unwrap()).collect();
    assert_eq!(drainers, ["engine", "floor", "floor_one_table"]);
    assert!(courses.iter().all(|course| course["finished_per_s"].as_f64().unwrap() > 0.0), "{report}");
    let wrote = Command::new(env!("CARGO_BIN_EXE_vtoc-bench"))
        .args(["page".as_ref(), json.as_os_str(), "--folder".as_ref(), folder.path().as_os_str()])
        .status()
        .unwrap();
    assert!(wrote.success());
    let page = std::fs::read_to_string(folder.path().join("benchmarks.md")).unwrap();
    assert!(page.contains("(benchmarks/steady.svg)") && page.contains("p50"), "{page}");
    assert!(folder.path().join("benchmarks/steady.svg").exists());
}
