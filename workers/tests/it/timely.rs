//! Leases longer and shorter than their jobs, retries that wait, delays that are kept, processes that stop in good order.

use std::time::{Duration, Instant};

use jobs::{
    queue::{Dedupe, NewJob, cancel::cancel, enqueue},
    testing::eventually,
};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::fleet::{Fleet, SOON};

#[tokio::test]
async fn jobs_much_longer_than_their_lease_run_once_although_others_wait() {
    let fleet = Fleet::new().await;
    fleet.enqueue_many("tell_receiver", vec![fleet.tell(3_000); 10]).await;
    let settings = [("TEST_LEASE_MS", "1000"), ("TEST_CONCURRENCY", "3")];
    let _workers = [fleet.worker_with(&settings), fleet.worker_with(&settings)];
    fleet.until_finished("done", 10).await;
    assert_eq!((fleet.receiver.effects(), fleet.receiver.requests()), (10, 10));
    assert_eq!(fleet.db.count("select count(*) from vtoc.job_attempt").await, 0);
}

#[tokio::test]
async fn a_delayed_job_starts_when_its_time_comes_and_not_a_poll_later() {
    let fleet = Fleet::new().await;
    let _worker = fleet.worker();
    fleet.until("select count(*) from vtoc.worker", 1).await;
    let mut tx = fleet.db.begin().await;
    let job = NewJob {
        queue: "default".to_owned(),
        kind: "tell_receiver".to_owned(),
        station: None,
        priority: 0,
        delay: Duration::from_secs(2),
        attempts_max: 3,
        dedupe: None,
        parent: None,
        trace_parent: None,
        payload: fleet.tell(0),
    };
    enqueue(&mut tx, &[job]).await.unwrap();
    tx.commit().await.unwrap();
    fleet.until_finished("done", 1).await;
    let late_ms = fleet
        .db
        .count("select (extract(epoch from f.started_at - j.enqueued_at) * 1000)::bigint - 2000 from vtoc.job j join vtoc.job_finished f using (id)")
        .await;
    assert!((0..500).contains(&late_ms), "started {late_ms} ms after its time");
}

#[tokio::test]
async fn a_retry_waits_in_the_database_and_not_in_a_slot() {
    let fleet = Fleet::new().await;
    // Nobody listens there: every attempt fails at once.
    fleet.enqueue("tell_receiver", json!({ "url": "http://127.0.0.1:9/told" })).await;
    let started = Instant::now();
    let _worker = fleet.worker();
    fleet.until_finished("dead", 1).await;
    assert_eq!(fleet.db.count("select count(*) from vtoc.job_attempt where outcome = 'retry'").await, 4);
    assert_eq!(fleet.db.count("select count(*) from vtoc.job_attempt where outcome = 'dead'").await, 1);
    assert!(started.elapsed() < SOON);
    let waits = fleet.db.count("select count(distinct started_at) from vtoc.job_attempt").await;
    assert_eq!(waits, 5);
}

#[tokio::test]
async fn a_process_told_to_stop_finishes_or_gives_back_and_burns_no_attempt() {
    let fleet = Fleet::new().await;
    fleet.enqueue_many("tell_receiver", vec![fleet.tell(1_000); 3]).await;
    fleet.enqueue_many("tell_receiver", vec![fleet.tell(20_000); 3]).await;
    let mut worker = fleet.worker();
    eventually("all six run", SOON, || async { fleet.receiver.requests() == 6 }).await;
    let told = Instant::now();
    worker.signal(Signal::SIGTERM);
    eventually("the process ends", SOON, || {
        let ended = worker.ended();
        async move { ended.is_some_and(|status| status.success()) }
    })
    .await;
    assert!(told.elapsed() < Duration::from_secs(8), "{:?}", told.elapsed());
    assert_eq!(fleet.finished("done").await, 3);
    assert_eq!(fleet.db.count("select count(*) from vtoc.job_running").await, 0);
    assert_eq!(fleet.db.count("select count(*) from vtoc.job_lease").await, 0);
    assert_eq!(fleet.db.count("select count(*) from vtoc.job_ready where attempt = 0 and not suspect").await, 3);
    assert_eq!(fleet.db.count("select count(*) from vtoc.worker where stopped_at is null").await, 0);
}

#[tokio::test]
async fn a_claim_that_is_answered_after_the_stop_is_given_back() {
    let fleet = Fleet::new().await;
    fleet.enqueue_many("tell_receiver", vec![fleet.tell(1); 3]).await;
    let mut owner = fleet.db.owner().await;
    sqlx::raw_sql("begin; lock table vtoc.job_ready in share mode").execute(&mut owner).await.unwrap();
    let mut worker = fleet.worker();
    let claims = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and query like 'with picked as%'";
    let listening = "select count(*) from pg_stat_activity
        where datname = current_database() and application_name = 'vtoc-worker-listener'";
    eventually("a claim waits", SOON, || async { fleet.db.count(claims).await > 0 }).await;
    eventually("it listens", SOON, || async { fleet.db.count(listening).await > 0 }).await;
    worker.signal(Signal::SIGTERM);
    eventually("it has heard that it is to stop", SOON, || async { fleet.db.count(listening).await == 0 }).await;
    // Nothing but that claim keeps it.
    let watched = Instant::now();
    while watched.elapsed() < Duration::from_secs(1) {
        let stopped = fleet.db.count("select count(*) from vtoc.worker where stopped_at is not null").await;
        assert_eq!(stopped, 0, "it went without the answer");
    }
    sqlx::raw_sql("commit").execute(&mut owner).await.unwrap();
    eventually("the process ends", SOON, || {
        let ended = worker.ended();
        async move { ended.is_some_and(|status| status.success()) }
    })
    .await;
    assert_eq!(fleet.db.count("select count(*) from vtoc.job_lease").await, 0);
    assert_eq!(fleet.db.count("select count(*) from vtoc.job_ready where attempt = 0 and not suspect").await, 3);
}

#[tokio::test]
async fn a_cancelled_job_stops_running_within_a_second() {
    let fleet = Fleet::new().await;
    let _worker = fleet.worker();
    let job = fleet.enqueue("tell_receiver", fleet.tell(20_000)).await;
    eventually("it runs", SOON, || async { fleet.receiver.requests() == 1 }).await;
    let asked = Instant::now();
    cancel(&fleet.db.database, jobs::Scope::Fleet, job, "not needed").await.unwrap();
    fleet.until_finished("cancelled", 1).await;
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_stopped_process_comes_back_and_its_stale_result_is_refused() {
    let fleet = Fleet::new().await;
    fleet.enqueue("tell_receiver", fleet.tell(2_500)).await;
    let settings = [("TEST_LEASE_MS", "1000")];
    let stopped = fleet.worker_with(&settings);
    eventually("it runs", SOON, || async { fleet.receiver.requests() == 1 }).await;
    stopped.signal(Signal::SIGSTOP);
    let _other = fleet.worker_with(&settings);
    // Taken from the stopped process, and finished by another.
    fleet.until("select count(*) from vtoc.job_attempt", 1).await;
    fleet.until_finished("done", 1).await;
    stopped.signal(Signal::SIGCONT);
    // The blame laid on the job is taken back: its process lived. Only a refused result does that.
    eventually("the stale result is refused", SOON, || async {
        fleet.db.text("select outcome from vtoc.job_attempt").await.as_deref() == Some("given_up")
    })
    .await;
    assert_eq!(fleet.finished("done").await, 1);
    assert_eq!(fleet.receiver.effects(), 1);
    // And it goes on working.
    drop(_other);
    fleet.enqueue("tell_receiver", fleet.tell(0)).await;
    fleet.until_finished("done", 2).await;
}

#[tokio::test]
async fn an_outage_of_the_database_loses_no_result_and_ends_no_process() {
    let fleet = Fleet::new().await;
    let mut worker = fleet.worker_with(&[("TEST_CONCURRENCY", "20"), ("TEST_LEASE_MS", "30000")]);
    fleet.enqueue_many("tell_receiver", vec![fleet.tell(2_000); 20]).await;
    eventually("all twenty run", SOON, || async { fleet.receiver.requests() == 20 }).await;
    fleet.db.refuse_connections().await;
    eventually("the handlers have answered", SOON, || async { started_before(&fleet, 2_500).await }).await;
    fleet.db.accept_connections().await;
    fleet.until_finished("done", 20).await;
    assert_eq!((fleet.receiver.effects(), fleet.receiver.requests()), (20, 20));
    assert!(worker.ended().is_none());
}

/// Whether every running job began so long ago, as the owner sees it.
async fn started_before(fleet: &Fleet, ms: i64) -> bool {
    fleet
        .db
        .count(&format!(
            "select count(*) from vtoc.job_running where started_at > clock_timestamp() - interval '{ms} ms'"
        ))
        .await
        == 0
}

#[tokio::test]
async fn a_key_used_twice_is_one_job_and_is_free_again_afterwards() {
    let fleet = Fleet::new().await;
    let _worker = fleet.worker();
    for round in 1..=2 {
        let mut tx = fleet.db.begin().await;
        let job = NewJob {
            queue: "default".to_owned(),
            kind: "tell_receiver".to_owned(),
            station: Some(fleet.station.id),
            priority: 0,
            delay: Duration::ZERO,
            attempts_max: 3,
            dedupe: Some(Dedupe { key: "once".to_owned(), keep_for: None }),
            parent: None,
            trace_parent: None,
            payload: fleet.tell(0),
        };
        let enqueued = enqueue(&mut tx, &[job.clone(), job]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(enqueued.iter().map(|job| job.fresh).collect::<Vec<_>>(), [true, false]);
        fleet.until_finished("done", round).await;
    }
}

#[tokio::test]
async fn a_peer_that_asks_to_wait_is_left_alone_that_long_and_the_slot_is_others() {
    let fleet = Fleet::new().await;
    fleet.receiver.ask_to_wait(4);
    let job = fleet.enqueue("tell_receiver", fleet.tell(0)).await;
    let _worker = fleet.worker_with(&[("TEST_CONCURRENCY", "1")]);
    // The wait stands in the database: a process that dies meanwhile forgets nothing.
    fleet
        .until(&format!("select count(*) from vtoc.job_ready where id = {} and not due and attempt = 1", job.key()), 1)
        .await;
    fleet.receiver.ask_to_wait(0);
    fleet.enqueue("tell_receiver", fleet.tell(0)).await;
    fleet.until_finished("done", 1).await;
    assert_eq!(fleet.db.count(&format!("select count(*) from vtoc.job_finished where id <> {}", job.key())).await, 1);
    fleet.until_finished("done", 2).await;
    let waited_ms = "select (extract(epoch from f.started_at - a.finished_at) * 1000)::bigint from vtoc.job_finished f
        join vtoc.job_attempt a on a.job_id = f.id and a.outcome = 'retry'";
    let waited_ms = fleet.db.count(waited_ms).await;
    assert!((4_000..5_500).contains(&waited_ms), "waited {waited_ms} ms");
}

#[tokio::test]
async fn jobs_whose_enqueue_took_long_run_soon_after_although_later_ones_have_run() {
    /// More than claims from the beginning take in that time, ten at once and four a second.
    const LATE: usize = 300;
    let fleet = Fleet::new().await;
    let mut long = fleet.db.begin().await;
    enqueue(&mut long, &vec![fleet.new_job("tell_receiver", fleet.tell(0)); LATE]).await.unwrap();
    // So late that no claim from a front looks back to it.
    fleet.db.advance(Duration::from_secs(10)).await;
    let _worker = fleet.worker();
    fleet.enqueue_many("tell_receiver", vec![fleet.tell(0); 5]).await;
    fleet.until_finished("done", 5).await;
    fleet.db.advance(Duration::from_secs(10)).await;
    fleet.enqueue("tell_receiver", fleet.tell(0)).await;
    fleet.until_finished("done", 6).await;
    let committed = Instant::now();
    long.commit().await.unwrap();
    fleet.until_finished("done", 6 + i64::try_from(LATE).unwrap()).await;
    assert!(committed.elapsed() < Duration::from_secs(6), "{:?}", committed.elapsed());
}
