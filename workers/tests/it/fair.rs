//! Stations that share workers: what a worker's time is given to, and how long the one waits that wants little.

use std::time::{Duration, Instant};

use jobs::{
    queue::{NewJob, enqueue},
    stations::{Role, Station},
    testing::eventually,
};

use serde_json::json;

use crate::fleet::{Fleet, SOON};

async fn flood(fleet: &Fleet, station: &Station, takes_ms: u64, jobs: usize) {
    let job = NewJob { station: Some(station.id), ..fleet.new_job("rest", json!({ "takes_ms": takes_ms })) };
    let mut tx = fleet.db.begin().await;
    enqueue(&mut tx, &vec![job; jobs]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn done(fleet: &Fleet, station: &Station) -> i64 {
    let id = station.id.0;
    fleet.db.count(&format!("select count(*) from vtoc.job_finished where state = 'done' and station_id = {id}")).await
}

/// Share of the workers' time that `other` has had, of jobs that take so many milliseconds each.
async fn share(fleet: &Fleet, (station, takes): (&Station, i64), (other, takes_other): (&Station, i64)) -> f64 {
    let (had, had_other) = (done(fleet, station).await * takes, done(fleet, other).await * takes_other);
    f64::from(i32::try_from(had_other).unwrap()) / f64::from(i32::try_from(had + had_other).unwrap())
}

#[tokio::test]
async fn a_station_that_floods_the_queue_does_not_keep_another_waiting() {
    let fleet = Fleet::new().await;
    let small = fleet.db.station("toc-s2", Role::Intel).await;
    flood(&fleet, &fleet.station, 500, 20_000).await;
    let _workers = [fleet.worker_with(&[("TEST_CONCURRENCY", "4")]), fleet.worker_with(&[("TEST_CONCURRENCY", "4")])];
    eventually("the flood runs", SOON, async || done(&fleet, &fleet.station).await >= 8).await;
    for wanted in 1..=4 {
        let asked = Instant::now();
        flood(&fleet, &small, 0, 1).await;
        eventually("it is done", SOON, async || done(&fleet, &small).await == wanted).await;
        // A poll, and what runs in front of it; twenty minutes of jobs were before it.
        assert!(asked.elapsed() < Duration::from_millis(1_500), "{:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn time_is_shared_by_weight_and_not_by_the_number_of_jobs() {
    let fleet = Fleet::new().await;
    let other = fleet.db.station("toc-s2", Role::Intel).await;
    fleet.db.execute(&format!("update vtoc.station set weight = 2 where id = {}", other.id.0)).await;
    flood(&fleet, &fleet.station, 40, 20_000).await;
    flood(&fleet, &other, 400, 20_000).await;
    let _workers = [fleet.worker_with(&[("TEST_CONCURRENCY", "6")]), fleet.worker_with(&[("TEST_CONCURRENCY", "6")])];
    // Twelve at once: eight of the other station's in 400 ms.
    eventually("they share for a while", SOON, async || done(&fleet, &other).await >= 160).await;
    let share = share(&fleet, (&fleet.station, 40), (&other, 400)).await;
    assert!((0.6..0.733).contains(&share), "{share} of two thirds");
}

#[tokio::test]
async fn what_one_does_not_want_the_others_have() {
    let fleet = Fleet::new().await;
    let other = fleet.db.station("toc-s2", Role::Intel).await;
    fleet.db.execute(&format!("update vtoc.station set weight = 0.01 where id = {}", other.id.0)).await;
    flood(&fleet, &other, 0, 2_000).await;
    let _worker = fleet.worker_with(&[("TEST_CONCURRENCY", "20")]);
    eventually("it has all there is", SOON, async || done(&fleet, &other).await == 2_000).await;
}
