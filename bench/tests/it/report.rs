//! From a run to its JSON and from that to the page.

use std::{path::Path, process::Command};

use serde_json::Value;

/// Measures once, with so many jobs, and answers with the JSON.
fn measured(json: &Path, jobs: &str, arguments: &[&str]) -> Value {
    let url = std::env::var("VTOC_TEST_DATABASE_URL").expect("VTOC_TEST_DATABASE_URL: run scripts/test");
    let output = Command::new(env!("CARGO_BIN_EXE_vtoc-bench"))
        .args(["run", "--pairs", "1", "--jobs", jobs, "--backlog", "2000", "--no-peers", "--json"])
        .arg(json)
        .args(arguments)
        .env("VTOC_TEST_DATABASE_URL", url)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap()
}

/// The page of a report, written beside it.
fn page_of(json: &Path) -> String {
    let folder = json.parent().unwrap();
    let wrote = Command::new(env!("CARGO_BIN_EXE_vtoc-bench"))
        .args(["page".as_ref(), json.as_os_str(), "--folder".as_ref(), folder.as_os_str()])
        .status()
        .unwrap();
    assert!(wrote.success());
    std::fs::read_to_string(folder.join("benchmarks.md")).unwrap()
}

#[test]
fn every_drain_reports_the_engine_and_what_it_is_held_against() {
    let folder = tempfile::tempdir().unwrap();
    let only = ["--only", "drain,pending,finished,retries,four-processes,idle-transaction,prune"];
    let report = measured(&folder.path().join("report.json"), "1000", &only);
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
    for figure in ["drain_retries_per_s", "drain_four_processes_per_s", "drain_pruning_per_s", "prune_s"] {
        assert!(report["engine"][figure].as_f64().is_some_and(|rate| rate > 0.0), "{figure}: {report}");
    }
    for ratio in ["drain_of_floor", "pruning_of_none"] {
        assert_eq!(report["ratios"][ratio]["count"], 1, "{ratio}: {report}");
    }
}

#[test]
fn faults_lose_no_job_and_are_counted_on_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let report = measured(&json, "8000", &["--only", "kills"]);
    assert!(report["engine"]["drain_killed_per_s"].as_f64().is_some_and(|rate| rate > 0.0), "{report}");
    let faults = &report["faults"][0];
    let count = |name: &str| faults[name].as_u64().unwrap();
    assert!(count("killed") > 0 && count("stopped") > 0, "{faults}");
    // Both had jobs in flight, which others took up.
    assert!(count("crashed") + count("given_up") >= count("again") && count("again") > 0, "{faults}");
    assert!(page_of(&json).contains("## Under faults"));
}

#[test]
fn in_and_out_together_is_sampled_and_becomes_a_page_with_charts() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let report = measured(&json, "1000", &["--only", "latency", "--quick", "--steady", "0.05"]);
    let courses = report["steady"].as_array().unwrap();
    let drainers: Vec<&str> = courses.iter().map(|course| course["who"].as_str().unwrap()).collect();
    assert_eq!(drainers, ["engine", "floor", "floor_one_table"]);
    assert!(courses.iter().all(|course| course["finished_per_s"].as_f64().unwrap() > 0.0), "{report}");
    let page = page_of(&json);
    assert!(page.contains("(benchmarks/steady.svg)") && page.contains("p50"), "{page}");
    assert!(folder.path().join("benchmarks/steady.svg").exists());
}
