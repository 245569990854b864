//! Jobs that panic, hang, hold their thread, end their process, or can't be read: each is dead within its limits, the
//! worker lives, and those beside it finish.

use jobs::testing::eventually;
use serde_json::json;

use crate::fleet::{Fleet, SOON};

async fn error_of(fleet: &Fleet, kind: &str) -> String {
    fleet.db.text(&format!("select error from vtoc.job_finished where kind = '{kind}'")).await.unwrap_or_default()
}

#[tokio::test]
async fn a_panic_is_three_failed_attempts_of_that_job_and_nothing_else() {
    let fleet = Fleet::new().await;
    let mut worker = fleet.worker();
    fleet.enqueue("panic", json!({})).await;
    fleet.enqueue("tell_receiver", fleet.tell(0)).await;
    fleet.until_finished("dead", 1).await;
    fleet.until_finished("done", 1).await;
    assert_eq!(error_of(&fleet, "panic").await, "panicked: as it was told to (attempt 3 of 3)");
    assert_eq!(fleet.db.count("select count(*) from vtoc.job_attempt where outcome = 'panicked'").await, 3);
    assert!(worker.ended().is_none());
}

#[tokio::test]
async fn a_job_that_never_returns_is_timed_out_and_its_slot_is_free_again() {
    let fleet = Fleet::new().await;
    let _worker = fleet.worker_with(&[("TEST_CONCURRENCY", "1")]);
    fleet.enqueue("hang", json!({})).await;
    fleet.until_finished("dead", 1).await;
    assert_eq!(fleet.db.count("select count(*) from vtoc.job_attempt where outcome = 'timed_out'").await, 3);
    fleet.enqueue("tell_receiver", fleet.tell(0)).await;
    fleet.until_finished("done", 1).await;
}

#[tokio::test]
async fn a_job_that_holds_its_thread_is_overruled_and_its_neighbours_finish() {
    let fleet = Fleet::new().await;
    let _worker = fleet.worker();
    fleet.enqueue("block_thread", json!({})).await;
    fleet.enqueue_many("tell_receiver", vec![fleet.tell(1_000); 8]).await;
    fleet.until_finished("dead", 1).await;
    fleet.until_finished("done", 8).await;
    assert!(
        error_of(&fleet, "block_thread").await.starts_with("held its thread"),
        "{}",
        error_of(&fleet, "block_thread").await
    );
    assert_eq!(fleet.receiver.effects(), 8);
}

#[tokio::test]
async fn a_process_whose_threads_are_all_held_gives_the_rest_back_and_ends() {
    let fleet = Fleet::new().await;
    let mut worker = fleet.worker();
    fleet.enqueue_many("block_thread", vec![json!({}); 4]).await;
    fleet.until_finished("dead", 4).await;
    eventually("the wedged process ends", SOON, || {
        let ended = worker.ended();
        async move { ended.is_some() }
    })
    .await;
    let _next = fleet.worker();
    fleet.enqueue("tell_receiver", fleet.tell(0)).await;
    fleet.until_finished("done", 1).await;
}

#[tokio::test]
async fn a_job_that_ends_its_process_is_found_and_dead_and_the_innocents_beside_it_finish() {
    let fleet = Fleet::new().await;
    fleet.enqueue_many("tell_receiver", vec![fleet.tell(300); 5]).await;
    let killer = fleet.enqueue("abort_process", json!({})).await;
    // Whoever supervises starts another each time one dies.
    let mut worker = fleet.worker();
    eventually("the killer is dead and five innocents done", SOON, || {
        if worker.ended().is_some() {
            worker = fleet.worker();
        }
        async { fleet.finished("dead").await == 1 && fleet.finished("done").await == 5 }
    })
    .await;
    assert_eq!(error_of(&fleet, "abort_process").await, "killed its worker 3 times");
    assert_eq!(
        fleet
            .db
            .count(&format!("select count(*) from vtoc.job_finished where state = 'dead' and id = {}", killer.key()))
            .await,
        1
    );
    assert_eq!(fleet.receiver.effects(), 5);
    // Four deaths at most: one with company, three alone. Nobody else was blamed to death.
    assert!(
        fleet
            .db
            .count("select count(*) from vtoc.job_attempt where outcome = 'crashed' and error like '%alone%'")
            .await
            >= 2
    );
}

#[tokio::test]
async fn a_payload_that_does_not_decode_is_a_dead_job_and_not_a_dead_worker() {
    let fleet = Fleet::new().await;
    let mut worker = fleet.worker();
    fleet.enqueue("tell_receiver", json!({ "url": 7 })).await;
    fleet.enqueue("tell_receiver", fleet.tell(0)).await;
    fleet.until_finished("dead", 1).await;
    fleet.until_finished("done", 1).await;
    let error = fleet.db.text("select error from vtoc.job_finished where state = 'dead'").await.unwrap();
    assert!(error.starts_with("the payload doesn't decode as tell_receiver"), "{error}");
    assert!(worker.ended().is_none());
}

#[tokio::test]
async fn an_unknown_kind_is_left_for_a_worker_that_knows_it() {
    let fleet = Fleet::new().await;
    let _worker = fleet.worker();
    fleet.enqueue("from_the_future", json!({})).await;
    fleet.enqueue("tell_receiver", fleet.tell(0)).await;
    fleet.until_finished("done", 1).await;
    assert_eq!(
        fleet.db.count("select count(*) from vtoc.job_ready where kind = 'from_the_future' and attempt = 0").await,
        1
    );
    assert_eq!(fleet.db.count("select count(*) from vtoc.job_attempt").await, 0);
}

#[tokio::test]
async fn a_handler_that_comes_back_late_changes_nothing_for_its_neighbour() {
    let fleet = Fleet::new().await;
    fleet.enqueue("block_and_return", json!({})).await;
    fleet.enqueue("tell_receiver", fleet.tell(7_000)).await;
    let _worker = fleet.worker_with(&[("TEST_LEASE_MS", "1500")]);
    fleet.until_finished("dead", 1).await;
    fleet.until_finished("done", 1).await;
    assert_eq!((fleet.receiver.effects(), fleet.receiver.requests()), (1, 1));
    assert_eq!(
        fleet.db.count("select count(*) from vtoc.job_attempt where outcome in ('given_up', 'crashed')").await,
        0
    );
}

#[tokio::test]
async fn a_handler_that_holds_its_thread_cannot_keep_a_process_that_was_told_to_stop() {
    let fleet = Fleet::new().await;
    let mut worker = fleet.worker();
    fleet.enqueue("block_thread", json!({})).await;
    fleet.until_finished("dead", 1).await;
    let told = std::time::Instant::now();
    worker.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(worker.until_ended().await.success());
    assert!(told.elapsed() < std::time::Duration::from_secs(9), "{:?}", told.elapsed());
    assert_eq!(fleet.db.count("select count(*) from vtoc.worker where stopped_at is null").await, 0);
}

#[tokio::test]
async fn a_suspect_that_holds_its_thread_does_not_keep_the_others() {
    let fleet = Fleet::new().await;
    fleet.enqueue("block_thread", json!({})).await;
    fleet.enqueue_many("tell_receiver", vec![fleet.tell(0); 8]).await;
    fleet.db.execute("update vtoc.job_ready set suspect = true").await;
    let _worker = fleet.worker();
    fleet.until_finished("dead", 1).await;
    fleet.until_finished("done", 8).await;
    assert_eq!(fleet.receiver.effects(), 8);
}

#[tokio::test]
async fn a_suspects_process_stops_with_its_worker_and_its_job_is_not_blamed() {
    let fleet = Fleet::new().await;
    fleet.enqueue("tell_receiver", fleet.tell(25_000)).await;
    fleet.db.execute("update vtoc.job_ready set suspect = true").await;
    let mut worker = fleet.worker();
    eventually("it runs alone", SOON, || async { fleet.receiver.requests() == 1 }).await;
    worker.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(worker.until_ended().await.success());
    assert_eq!(fleet.db.count("select count(*) from vtoc.job_ready where crash_count = 0 and attempt = 0").await, 1);
    assert_eq!(fleet.db.text("select outcome from vtoc.job_attempt").await.as_deref(), Some("interrupted"));
    assert_eq!(fleet.db.count("select count(*) from vtoc.worker where stopped_at is null").await, 0);
}
