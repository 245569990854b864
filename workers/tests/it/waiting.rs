//! Jobs that wait for others: no slot is held meanwhile, and no death of a process leaves one waiting for ever.

use jobs::testing::eventually;
use serde_json::json;

use crate::fleet::{Fleet, SOON};

/// A payload of `ask_around` with more than a body holds; each of its children takes 0.3 s.
fn around(fleet: &Fleet, children: usize) -> serde_json::Value {
    json!({ "url": format!("{}/told", fleet.receiver.url), "children": children, "ballast": "x".repeat(300_000) })
}

async fn answers(fleet: &Fleet) -> Option<String> {
    let answers =
        "select string_agg(output::text, ' ') from vtoc.job_finished where kind = 'ask_around' and state = 'done'";
    fleet.db.text(answers).await
}

#[tokio::test]
async fn parents_wait_without_a_slot_and_end_when_their_children_have() {
    let fleet = Fleet::new().await;
    fleet.enqueue_many("ask_around", vec![around(&fleet, 2); 3]).await;
    // With one slot a parent that held it would wait for ever.
    let _worker = fleet.worker_with(&[("TEST_CONCURRENCY", "1")]);
    fleet.until_finished("done", 9).await;
    assert_eq!(answers(&fleet).await.as_deref(), Some([r#"{"done": 2, "failed": 0}"#; 3].join(" ").as_str()));
    assert_eq!(fleet.receiver.effects(), 6);
}

#[tokio::test]
async fn a_worker_killed_right_after_the_wait_loses_neither_parent_nor_children() {
    let fleet = Fleet::new().await;
    fleet.enqueue("ask_around", around(&fleet, 3)).await;
    let mut worker = fleet.worker();
    eventually("the parent waits", SOON, || async {
        fleet.db.count("select count(*) from vtoc.job_waiting").await == 1
    })
    .await;
    worker.kill();
    let _next = fleet.worker();
    fleet.until_finished("done", 4).await;
    assert_eq!(answers(&fleet).await.as_deref(), Some(r#"{"done": 3, "failed": 0}"#));
    assert_eq!(fleet.receiver.effects(), 3);
}
