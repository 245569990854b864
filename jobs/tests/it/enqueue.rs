//! Enqueue: in the caller's transaction or not at all, in the batch's order, and a refused job costs nothing but itself.

use std::time::Duration;

use jobs::{
    Error, JobId, Scope, inspect,
    queue::{NewJob, enqueue, enqueue::PAYLOAD_MAX, large::LARGE_MAX},
};
use serde_json::{Value, json};

use crate::fleet::{Fleet, job, keyed};

#[tokio::test]
async fn a_rolled_back_transaction_leaves_no_job() {
    let fleet = Fleet::new().await;
    let mut tx = fleet.begin().await;
    assert!(enqueue(&mut tx, &[job(), job()]).await.unwrap().iter().all(|one| one.fresh));
    drop(tx);
    assert_eq!(fleet.census().await, (0, 0, 0));
    assert_eq!(fleet.base.count("select count(*) from vtoc.job").await, 0);
}

#[tokio::test]
async fn a_job_is_nobodys_before_the_callers_commit() {
    let fleet = Fleet::new().await;
    let mut tx = fleet.begin().await;
    enqueue(&mut tx, &[job()]).await.unwrap();
    assert!(fleet.claim(10).await.is_empty());
    tx.commit().await.unwrap();
    assert_eq!(fleet.claim(10).await.len(), 1);
}

#[tokio::test]
async fn a_batch_is_answered_and_claimed_in_its_order() {
    let fleet = Fleet::new().await;
    let batch: Vec<NewJob> = (0..50).map(|n| NewJob { payload: json!({ "n": n }), ..job() }).collect();
    let answered = fleet.enqueue(&batch).await;
    for (n, enqueued) in answered.iter().enumerate() {
        let found = inspect::job(fleet.database(), Scope::Fleet, enqueued.id).await.unwrap().unwrap();
        assert_eq!(found.payload, json!({ "n": n }));
    }
    let mut claimed = Vec::new();
    while let [one] = &fleet.claim(1).await[..] {
        claimed.push(one.id);
    }
    assert_eq!(claimed, answered.iter().map(|one| one.id).collect::<Vec<JobId>>());
}

#[tokio::test]
async fn an_empty_batch_is_no_statement() {
    let fleet = Fleet::new().await;
    assert!(fleet.enqueue(&[]).await.is_empty());
}

#[tokio::test]
async fn a_payload_over_the_cap_is_refused_and_the_transaction_stands() {
    let fleet = Fleet::new().await;
    let mut tx = fleet.begin().await;
    let over = NewJob { payload: Value::from("x".repeat(LARGE_MAX)), ..job() };
    let refused = enqueue(&mut tx, &[job(), over]).await;
    assert!(matches!(refused, Err(Error::Invalid { field: "payload", .. })), "{refused:?}");
    enqueue(&mut tx, &[job()]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(fleet.census().await, (1, 0, 0));
}

#[tokio::test]
async fn a_payload_just_under_the_cap_is_taken_whatever_its_shape() {
    let fleet = Fleet::new().await;
    let text = Value::from("x".repeat(PAYLOAD_MAX - 2));
    // As jsonb, many small values take several times their text.
    let numbers = Value::from(vec![1; PAYLOAD_MAX / 2 - 1]);
    let lists = Value::from(vec![Value::Array(Vec::new()); PAYLOAD_MAX / 3 - 1]);
    for payload in [text, numbers, lists] {
        let id = fleet.enqueue(&[NewJob { payload: payload.clone(), ..job() }]).await[0].id;
        assert!(inspect::job(fleet.database(), Scope::Fleet, id).await.unwrap().unwrap().payload == payload);
    }
}

#[tokio::test]
async fn a_payload_the_database_cannot_hold_is_refused_and_the_transaction_stands() {
    let fleet = Fleet::new().await;
    let mut tx = fleet.begin().await;
    for payload in [json!({ "text": "a\0b" }), json!([{ "a\0": 1 }])] {
        let refused = enqueue(&mut tx, &[NewJob { payload, ..job() }]).await;
        assert!(matches!(refused, Err(Error::Invalid { field: "payload", .. })), "{refused:?}");
    }
    // The six characters of an escape are a text like any other.
    enqueue(&mut tx, &[NewJob { payload: json!({ "text": r"\u0000" }), ..job() }]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(fleet.census().await, (1, 0, 0));
}

#[tokio::test]
async fn names_and_keys_that_no_index_can_hold_are_refused_and_the_transaction_stands() {
    let fleet = Fleet::new().await;
    let mut tx = fleet.begin().await;
    let name = || "n".repeat(201);
    let refused = [
        ("queue", NewJob { queue: name(), ..job() }),
        ("kind", NewJob { kind: name(), ..job() }),
        ("dedupe_key", keyed(&"k".repeat(1_001), None)),
    ];
    for (wrong, job) in refused {
        let error = enqueue(&mut tx, &[job]).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { field, .. } if field == wrong), "{wrong}: {error}");
    }
    let job = NewJob { queue: "q".repeat(200), kind: "k".repeat(200), ..keyed(&"k".repeat(1_000), None) };
    assert!(enqueue(&mut tx, &[job]).await.unwrap()[0].fresh);
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn times_longer_than_a_century_are_refused_and_the_transaction_stands() {
    let fleet = Fleet::new().await;
    let mut tx = fleet.begin().await;
    let century = Duration::from_secs(36_525 * 86_400);
    for (over, named) in [
        (NewJob { delay: Duration::MAX, ..job() }, "delay"),
        (NewJob { delay: century + Duration::from_nanos(1), ..job() }, "delay"),
        (keyed("k", Some(Duration::MAX)), "keep_for"),
    ] {
        let refused = enqueue(&mut tx, &[job(), over]).await;
        assert!(matches!(&refused, Err(Error::Invalid { field, .. }) if *field == named), "{refused:?}");
    }
    enqueue(&mut tx, &[NewJob { delay: century, ..keyed("k", Some(century)) }]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(fleet.census().await, (1, 0, 0));
}

#[tokio::test]
async fn an_id_finds_its_job_and_a_forged_one_with_the_same_key_does_not() {
    let fleet = Fleet::new().await;
    let id = fleet.enqueue(&[job()]).await[0].id;
    let found = inspect::job(fleet.database(), Scope::Fleet, id).await.unwrap().unwrap();
    assert_eq!(found.job.id, id);
    let forged = JobId::new(id.key(), found.job.enqueued_at + chrono::Duration::seconds(1));
    assert_eq!(forged.key(), id.key());
    assert!(inspect::job(fleet.database(), Scope::Fleet, forged).await.unwrap().is_none());
    assert!(inspect::attempts(fleet.database(), Scope::Fleet, forged).await.unwrap().is_none());
}
