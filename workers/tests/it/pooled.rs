//! Worker processes behind a PgBouncer in transaction mode: fewer sessions than connections, none kept from one
//! transaction to the next. Nothing that a worker promises may depend on a session of its own.

use std::time::{Duration, Instant};

use jobs::{
    Pooling, Scope, Wake,
    queue::{NewJob, cancel::cancel, enqueue},
    testing::{Pooler, eventually},
};
use serde_json::json;

use crate::fleet::{Fleet, SOON, Worker};

/// Sessions of the pooler; a worker alone has more connections.
const SESSIONS: u32 = 4;

fn worker(fleet: &Fleet, pooler: &Pooler, settings: &[(&str, &str)]) -> Worker {
    let mut all = vec![("DATABASE_URL", pooler.url.as_str()), ("VTOC_POLL_ONLY", "true")];
    all.extend_from_slice(settings);
    fleet.worker_with(&all)
}

#[tokio::test]
async fn several_hundred_jobs_with_retries_are_done_over_four_sessions() {
    let fleet = Fleet::new().await;
    let pooler = Pooler::start(&fleet.db.url, SESSIONS).await;
    let settings = [("TEST_CONCURRENCY", "20")];
    let _workers = [worker(&fleet, &pooler, &settings), worker(&fleet, &pooler, &settings)];
    fleet.enqueue_many("tell_receiver", vec![fleet.tell(0); 250]).await;
    fleet.enqueue_many("fail_once", vec![json!({}); 100]).await;
    fleet.enqueue_many("panic", vec![json!({}); 20]).await;
    fleet.until_finished("done", 350).await;
    fleet.until_finished("dead", 20).await;
    assert_eq!((fleet.receiver.effects(), fleet.receiver.requests()), (250, 250));
    assert_eq!(fleet.db.count("select count(*) from vtoc.job_attempt where outcome = 'retry'").await, 100);
    assert_eq!(fleet.db.count("select count(*) from vtoc.job_attempt where outcome = 'panicked'").await, 60);
    assert_eq!(pooler.statements_left().await, 0);
}

#[tokio::test]
async fn a_lease_is_renewed_across_several_lease_times() {
    let fleet = Fleet::new().await;
    let pooler = Pooler::start(&fleet.db.url, SESSIONS).await;
    let settings = [("TEST_LEASE_MS", "1000")];
    // Two, so that the one would take what the other fails to renew.
    let _workers = [worker(&fleet, &pooler, &settings), worker(&fleet, &pooler, &settings)];
    fleet.enqueue_many("tell_receiver", vec![fleet.tell(5_000); 3]).await;
    fleet.until_finished("done", 3).await;
    assert_eq!((fleet.receiver.effects(), fleet.receiver.requests()), (3, 3));
    assert_eq!(fleet.db.count("select count(*) from vtoc.job_attempt").await, 0);
}

#[tokio::test]
async fn a_cancelled_job_stops_running_within_a_second_at_the_poll_of_every_fleet() {
    let fleet = Fleet::new().await;
    let pooler = Pooler::start(&fleet.db.url, SESSIONS).await;
    let _worker = worker(&fleet, &pooler, &[("TEST_POLL_MS", "1000")]);
    let database = pooler.database();
    for round in 1..=4 {
        let job = fleet.enqueue("tell_receiver", fleet.tell(20_000)).await;
        eventually("it runs", SOON, || async { i64::try_from(fleet.receiver.requests()).unwrap() == round }).await;
        let asked = Instant::now();
        cancel(&database, Scope::Fleet, job, "not needed").await.unwrap();
        fleet.until_finished("cancelled", round).await;
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn a_pooler_that_is_killed_and_started_again_costs_nothing() {
    let fleet = Fleet::new().await;
    let mut pooler = Pooler::start(&fleet.db.url, SESSIONS).await;
    let mut worker = worker(&fleet, &pooler, &[("TEST_CONCURRENCY", "20"), ("TEST_LEASE_MS", "20000")]);
    fleet.enqueue_many("tell_receiver", vec![fleet.tell(1_500); 40]).await;
    eventually("all slots are taken", SOON, || async { fleet.receiver.requests() == 20 }).await;
    pooler.kill();
    // Handlers go on, and what they answered is kept.
    let ran = Instant::now();
    eventually("they have answered", SOON, || async { ran.elapsed() > Duration::from_secs(2) }).await;
    assert_eq!(fleet.finished("done").await, 0);
    pooler.start_again().await;
    fleet.until_finished("done", 40).await;
    assert_eq!((fleet.receiver.effects(), fleet.receiver.requests()), (40, 40));
    assert_eq!(fleet.db.count("select count(*) from vtoc.job_attempt").await, 0);
    assert!(worker.ended().is_none());
}

#[tokio::test]
async fn a_wake_up_sent_through_it_reaches_a_worker_that_listens() {
    let fleet = Fleet::new().await;
    let pooler = Pooler::start(&fleet.db.url, SESSIONS).await;
    // This worker has the database to itself, and would poll in a minute.
    let _worker = fleet.worker_with(&[("TEST_POLL_MS", "60000")]);
    fleet
        .until("select count(*) from pg_stat_activity where query ilike 'listen%' and datname = current_database()", 1)
        .await;
    let options = jobs::ConnectOptions { pooling: Pooling::Transaction, ..jobs::ConnectOptions::default() };
    let wake = Wake::start(&pooler.url, &options).unwrap();
    let database = pooler.database();
    for round in 1..=20 {
        let job = NewJob { station: None, ..fleet.new_job("tell_receiver", fleet.tell(0)) };
        let mut tx = fleet.db.begin().await;
        enqueue(&mut tx, &[job]).await.unwrap();
        tx.commit().await.unwrap();
        // Others use the sessions meanwhile.
        database.readiness().await.unwrap();
        wake.hint("default");
        fleet.until_finished("done", round).await;
    }
}
