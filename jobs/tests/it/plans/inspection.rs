//! What the api sends for people who look: lists with each filter, a page further on, and single things.

use jobs::{
    PageRequest, Scope, StationId,
    audits::{self, AuditFilter},
    chat,
    inspect::{self, JobFilter, State},
    receipts, runs, stations,
};
use uuid::Uuid;

use super::{stage::Stage, work::SLOTS};

const STATES: [(&str, Option<State>); 7] = [
    ("all", None),
    ("ready", Some(State::Ready)),
    ("running", Some(State::Running)),
    ("waiting", Some(State::Waiting)),
    ("done", Some(State::Done)),
    ("dead", Some(State::Dead)),
    ("cancelled", Some(State::Cancelled)),
];
/// Of a station with many jobs, and of one with few.
const BUSY: StationId = StationId(1);
const QUIET: StationId = StationId(8);

fn first() -> PageRequest {
    PageRequest::default()
}

#[tokio::test]
async fn a_list_of_jobs_reads_a_page_of_them() {
    let mut stage = Stage::new().await;
    for (name, state) in STATES {
        let limit = if matches!(state, None | Some(State::Running)) { SLOTS } else { 50 };
        let none = JobFilter { state, ..JobFilter::default() };
        let queue = JobFilter { queue: Some("chat".to_owned()), ..none.clone() };
        let kind = JobFilter { kind: Some("post_chat".to_owned()), ..none.clone() };
        let station = JobFilter { station: Some(BUSY), ..none.clone() };
        for (by, filter) in [("", &none), (" of a queue", &queue), (" of a kind", &kind), (" of a station", &station)] {
            stage
                .pin(&format!("jobs: {name}{by}"), limit, async |db| {
                    inspect::jobs(db, Scope::Fleet, filter, &first()).await.unwrap();
                })
                .await;
        }
        let mut page = first();
        stage
            .pin(&format!("jobs: {name}, page after page"), limit, async |db| {
                page.cursor = inspect::jobs(db, Scope::Fleet, &none, &page).await.unwrap().next_cursor;
            })
            .await;
        stage
            .pin(&format!("jobs: {name}, with a station's token"), limit, async |db| {
                inspect::jobs(db, Scope::Station(BUSY), &none, &first()).await.unwrap();
            })
            .await;
    }
    stage.close("jobs").await;
}

#[tokio::test]
async fn rare_jobs_are_found_by_the_same_walk() {
    let mut stage = Stage::new().await;
    for (name, state) in STATES {
        let limit = if matches!(state, None | Some(State::Running)) { SLOTS } else { 50 };
        let none = JobFilter { state, ..JobFilter::default() };
        let kind = JobFilter { kind: Some("no_such_kind".to_owned()), ..none.clone() };
        let why = "no index is kept for filters, since every job would pay for it";
        let quiet = Scope::Station(QUIET);
        for (call, scope, filter) in [
            (format!("jobs: {name} of a rare kind"), Scope::Fleet, &kind),
            (format!("jobs: {name}, with a quiet station's token"), quiet, &none),
        ] {
            let list = async |db: &jobs::Database| drop(inspect::jobs(db, scope, filter, &first()).await.unwrap());
            if state == Some(State::Running) {
                stage.pin(&call, limit, list).await;
            } else {
                stage.tolerate(&call, limit, why, list).await;
            }
        }
    }
    stage.close("rare_jobs").await;
}

#[tokio::test]
async fn one_job_is_found_by_its_id_wherever_it_stands() {
    let mut stage = Stage::new().await;
    for (name, keys) in [
        ("a ready job", "select id from vtoc.job_ready where queue = 'bulk' limit 10"),
        ("a running job", "select id from vtoc.job_running limit 10"),
        ("a waiting job", "select id from vtoc.job_waiting limit 10"),
        ("a job that is done", "select id from vtoc.job_finished where state = 'done' limit 10"),
        ("a job that has been dead for days", "select id from vtoc.job_kept limit 10"),
    ] {
        let jobs = stage.jobs(keys).await;
        for scope in [Scope::Fleet, Scope::Station(BUSY)] {
            let whose = if scope == Scope::Fleet { "" } else { ", with a station's token" };
            let mut next = jobs.iter();
            stage
                .pin(&format!("{name}{whose}"), SLOTS, async |db| {
                    inspect::job(db, scope, *next.next().unwrap()).await.unwrap();
                })
                .await;
        }
        let mut next = jobs.iter();
        stage
            .pin(&format!("attempts of {name}"), 1, async |db| {
                inspect::attempts(db, Scope::Fleet, *next.next().unwrap()).await.unwrap().unwrap();
            })
            .await;
    }
    stage.close("job").await;
}

#[tokio::test]
async fn what_is_beside_the_jobs_is_read_a_page_at_a_time() {
    let mut stage = Stage::new().await;
    for (whose, scope) in [
        ("", Scope::Fleet),
        (", with a station's token", Scope::Station(BUSY)),
        (", with a quiet station's token", Scope::Station(QUIET)),
    ] {
        audit_lists(&mut stage, whose, scope).await;
        let mut page = first();
        stage
            .pin(&format!("receipts{whose}"), 50, async |db| {
                page.cursor = receipts::list(db, scope, &page).await.unwrap().next_cursor;
            })
            .await;
        let mut page = first();
        stage
            .pin(&format!("runs{whose}"), 50, async |db| {
                page.cursor = runs::list(db, scope, &page).await.unwrap().next_cursor;
            })
            .await;
    }
    single(&mut stage).await;
    stage.close("beside").await;
}

async fn audit_lists(stage: &mut Stage, whose: &str, scope: Scope) {
    let of = |status: Option<&str>, tool: Option<&str>| AuditFilter {
        status: status.map(str::to_owned),
        tool_name: tool.map(str::to_owned),
    };
    for (name, filter) in [
        ("audits", of(None, None)),
        ("audits that succeeded", of(Some("succeeded"), None)),
        ("audits of a tool", of(None, Some("playbook-1"))),
    ] {
        let mut page = first();
        stage
            // A filter reads past what isn't meant.
            .pin(&format!("{name}{whose}"), 200, async |db| {
                page.cursor = audits::list(db, scope, &filter, &page).await.unwrap().next_cursor;
            })
            .await;
    }
}

async fn single(stage: &mut Stage) {
    let any = async |table: &str| -> Uuid {
        stage
            .base
            .text(&format!("select id::text from vtoc.{table} offset 5000 limit 1"))
            .await
            .unwrap()
            .parse()
            .unwrap()
    };
    let (audit, receipt, run) = (any("audit").await, any("receipt").await, any("playbook_run").await);
    let fleet = Scope::Fleet;
    stage.pin("an audit", 1, async |db| assert!(audits::find(db, fleet, audit).await.unwrap().is_some())).await;
    stage.pin("a receipt", 1, async |db| assert!(receipts::find(db, fleet, receipt).await.unwrap().is_some())).await;
    stage.pin("a run", 1, async |db| assert!(runs::find(db, fleet, run).await.unwrap().is_some())).await;
    stage.pin("stations", 8, async |db| assert!(!stations::list(db, fleet).await.unwrap().is_empty())).await;
    stage.pin("a station", 1, async |db| assert!(stations::find(db, fleet, "toc-1").await.unwrap().is_some())).await;
    // Rows of processes that have gone stay.
    stage.pin("readiness", 2_000, async |db| assert!(db.readiness().await.is_ok())).await;
    stage
        .pin("messages of a channel", 50, async |db| {
            assert!(chat::messages(db, "toc-1", &first()).await.is_ok());
        })
        .await;
}
