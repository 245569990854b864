//! What is sent when work comes in: jobs in batches, with keys and without, families, and deliveries.

use jobs::{
    Scope, StationId, Wake,
    accept::Door,
    chat::{self, NewMessage},
    queue::{NewJob, batch, enqueue},
};
use serde_json::{Value, json};

use super::{stage::Stage, work::SLOTS};
use crate::{
    accept::{By, deliver},
    fleet::{job, keyed},
};

#[tokio::test]
async fn what_comes_in_reads_only_its_own_keys() {
    let mut stage = Stage::new().await;
    let plain = vec![NewJob { station: Some(StationId(1)), ..job() }; 500];
    // A few of them are there already.
    let with_keys: Vec<NewJob> = (0..500)
        .map(|n| NewJob {
            kind: "run_playbook".to_owned(),
            station: Some(StationId(1)),
            ..keyed(&format!("key-{n}"), None)
        })
        .collect();
    for (name, jobs) in [("500 jobs", &plain), ("500 jobs with keys", &with_keys)] {
        for (whose, scope) in [("", Scope::Fleet), (", with a station's rights", Scope::Station(StationId(1)))] {
            stage
                .pin(&format!("enqueue {name}{whose}"), 500, async |db| {
                    let mut tx = db.begin(scope).await.unwrap();
                    assert_eq!(enqueue(&mut tx, jobs).await.unwrap().len(), 500);
                    tx.commit().await.unwrap();
                })
                .await;
        }
    }
    let large = NewJob { payload: json!("x".repeat(300_000)), ..job() };
    stage
        .pin("enqueue a large payload", 1, async |db| {
            let mut tx = db.begin(Scope::Fleet).await.unwrap();
            enqueue(&mut tx, std::slice::from_ref(&large)).await.unwrap();
            tx.commit().await.unwrap();
        })
        .await;
    stage
        .pin("enqueue a batch of 100", 100, async |db| {
            let mut tx = db.begin(Scope::Fleet).await.unwrap();
            assert_eq!(batch::enqueue(&mut tx, &job(), &plain[..100]).await.unwrap().jobs.len(), 100);
            tx.commit().await.unwrap();
        })
        .await;
    deliveries(&mut stage).await;
    stage.close("intake").await;
}

async fn deliveries(stage: &mut Stage) {
    let door = Door::new(None, None, Wake::silent()).unwrap();
    let said = |id: String| -> Value {
        json!({ "id": id, "channel": "toc-1", "text": "@agent run op_airtrack_merge window=5m", "user": { "id": "u-1" } })
    };
    let mut number = 0;
    stage
        .pin("a delivery", 1, async |db| {
            number += 1;
            deliver(db, &door, By::default(), &said(format!("new-{number}"))).await.unwrap();
        })
        .await;
    let status = |id: String| json!({ "id": id, "channel": "toc-1", "text": "@agent status" });
    let why = "it looks for a thousand ready jobs of the station among all";
    stage
        .tolerate("a station asks how it stands", SLOTS, why, async |db| {
            number += 1;

            deliver(db, &door, By::default(), &status(format!("status-{number}"))).await.unwrap();
        })
        .await;
    let again = said("new-1".to_owned());
    stage
        .pin("a delivery that came before", 1, async |db| {
            deliver(db, &door, By::default(), &again).await.unwrap();
        })
        .await;
    stage
        .pin("a message", 1, async |db| {
            let new = NewMessage { text: "hello".to_owned(), thread: None, blocks: None, metadata: json!({}) };
            chat::post(db, "toc-1", new, Some("hello:post")).await.unwrap();
        })
        .await;
}
