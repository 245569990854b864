//! What is sent when attempts end: results in batches and in parts of batches, database effects, waits and what ends them, and
//! calling jobs off.

use std::{sync::Mutex, time::Duration};

use jobs::{
    Database, Scope, Wake,
    queue::{
        Attempt, Claimed, Ending, Fronts, Outcome, Until, batch,
        callback::answer,
        cancel::{Cancelled, cancel},
        claim::{claim_from, look},
        finish::finish,
        wait::forget_ended,
    },
};
use serde_json::json;

use super::{
    stage::Stage,
    work::{Lane, SLOTS, worker},
};
use crate::fleet::{done, ended, job};

/// Claims as a worker does, from where the last claim ended: what was claimed before is not what this is about.
async fn claimed(db: &Database, limit: u32) -> Vec<Claimed> {
    static FRONTS: Mutex<Option<Fronts>> = Mutex::new(None);
    let mut fronts = FRONTS.lock().unwrap().take().unwrap_or_default();
    let lane = Lane::new();
    let claimed = claim_from(db, &lane.claim(limit), &lane.lanes(limit), &fronts, || ()).await.unwrap();
    fronts.join(&Fronts::of(&claimed));
    *FRONTS.lock().unwrap() = Some(fronts);
    claimed
}

fn attempt(db: &Database, claimed: &Claimed) -> Attempt {
    Attempt::new(claimed, db.clone(), Wake::silent())
}

/// Results of every sort, in turn.
fn of_every_sort(claimed: &[Claimed]) -> Vec<Outcome> {
    let error = || "no answer".to_owned();
    let ending = |nth: usize| match nth % 5 {
        0 => Ending::Done(Some(json!({ "stored": nth }))),
        1 => Ending::Dead { outcome: "dead", error: error() },
        2 => Ending::Cancelled(error()),
        3 => Ending::Again { delay: Duration::from_secs(9), burned: true, outcome: "retry", error: Some(error()) },
        _ => Ending::Wait {
            until: if nth.is_multiple_of(2) { Until::Children } else { Until::Callback },
            within: Duration::from_secs(60),
        },
    };
    claimed.iter().enumerate().map(|(nth, claimed)| ended(claimed, ending(nth))).collect()
}

#[tokio::test]
async fn an_end_reads_what_ends() {
    let mut stage = Stage::new().await;
    stage
        .pin("claim and finish 500", 500, async |db| {
            let outcomes: Vec<Outcome> = claimed(db, 500).await.iter().map(done).collect();
            assert_eq!(finish(db, &outcomes, &[]).await.unwrap().len(), 500);
        })
        .await;
    stage
        .pin("claim and finish 500 in every way", 500, async |db| {
            let outcomes = of_every_sort(&claimed(db, 500).await);
            assert_eq!(finish(db, &outcomes, &[]).await.unwrap().len(), 500);
        })
        .await;
    stage
        .pin("claim 100 and finish them in parts", 100, async |db| {
            let claimed = claimed(db, 100).await;
            let outcomes: Vec<Outcome> = claimed.iter().map(done).collect();
            let (first, second) = outcomes.split_at(50);
            assert_eq!(finish(db, first, &[]).await.unwrap().len(), 50);
            assert_eq!(finish(db, second, &[claimed[0].token]).await.unwrap().len(), 50);
        })
        .await;
    effects(&mut stage).await;
    waits(&mut stage).await;
    batches(&mut stage).await;
    cancels(&mut stage).await;
    stage.close("ends").await;
}

async fn effects(stage: &mut Stage) {
    stage
        .pin("an effect that ends its job", 1, async |db| {
            let claimed = claimed(db, 1).await.remove(0);
            let locked = attempt(db, &claimed).lock().await.unwrap();
            locked.complete(None).await.unwrap();
        })
        .await;
    stage
        .pin("an effect in between, with follow-up work", 1, async |db| {
            let claimed = claimed(db, 1).await.remove(0);
            let attempt = attempt(db, &claimed);
            assert_eq!(attempt.parent().await.unwrap(), None);
            let mut locked = attempt.lock().await.unwrap();
            locked.enqueue(&[job()]).await.unwrap();
            locked.commit().await.unwrap();
        })
        .await;
}

async fn waits(stage: &mut Stage) {
    stage
        .pin("wait for an answer, and have it", 1, async |db| {
            let claimed = claimed(db, 1).await.remove(0);
            assert!(attempt(db, &claimed).woken().await.unwrap().is_none());
            let token = attempt(db, &claimed).callback().await.unwrap();
            let until = Ending::Wait { until: Until::Callback, within: Duration::from_secs(60) };
            finish(db, &[ended(&claimed, until)], &[]).await.unwrap();
            answer(db, Scope::Fleet, token.secret(), &json!("yes")).await.unwrap();
        })
        .await;
    stage
        .pin("wait for children, and have them", 10, async |db| {
            let parent = claimed(db, 1).await.remove(0);
            let mut locked = attempt(db, &parent).lock().await.unwrap();
            let child =
                jobs::queue::NewJob { priority: 9, queue: "chat".to_owned(), kind: "post_chat".to_owned(), ..job() };
            locked.enqueue_children(parent.id, &vec![child; 10]).await.unwrap();
            locked.wait(Until::Children, Duration::from_secs(60)).await.unwrap();
            let children: Vec<Outcome> = claimed(db, 10).await.iter().map(done).collect();
            finish(db, &children, &[]).await.unwrap();
        })
        .await;
    let lane = Lane::new();
    stage
        .pin("wake those whose time is over", 1_000, async |db| {
            look(db, worker(1), &lane.queues, &lane.kinds).await.unwrap();
        })
        .await;
    let why = "it reads all that is older than a day, once in a while";
    stage.tolerate("forget what was kept of waits", 5_000, why, async |db| forget_ended(db).await.unwrap()).await;
}

async fn batches(stage: &mut Stage) {
    stage
        .pin("enqueue a batch of none", 1, async |db| {
            let mut tx = db.begin(Scope::Fleet).await.unwrap();
            batch::enqueue(&mut tx, &job(), &[]).await.unwrap();
            tx.commit().await.unwrap();
        })
        .await;
}

async fn cancels(stage: &mut Stage) {
    for (name, keys, came_to) in [
        ("call a ready job off", "select id from vtoc.job_ready where keyed limit 10", Cancelled::Now),
        ("call a child off", "select id from vtoc.job_child limit 10", Cancelled::Now),
        ("call a waiting job off", "select id from vtoc.job_waiting limit 10", Cancelled::Now),
        ("call a running job off", "select id from vtoc.job_running limit 10", Cancelled::Asked),
        (
            "call an ended job off",
            "select id from vtoc.job_finished where state = 'done' limit 10",
            Cancelled::Finished,
        ),
    ] {
        let jobs = stage.jobs(keys).await;
        let mut next = jobs.iter();
        // What runs is asked of every lease.
        stage
            .pin(name, SLOTS, async |db| {
                let came_to_this = cancel(db, Scope::Fleet, *next.next().unwrap(), "enough").await.unwrap();
                assert_eq!(came_to_this, came_to, "{name}");
            })
            .await;
    }
}
