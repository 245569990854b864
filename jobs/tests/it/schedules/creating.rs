//! New schedules: how they are shown, and what is refused because no tick could do anything with it.

use std::time::Duration;

use jobs::{
    Error, Scope,
    kinds::Kinds,
    schedules::{Missed, NewSchedule, PAYLOAD_MAX, create, list, trigger},
    testing::{Expected, TestDatabase, assert_enqueued},
    workers::{self, NewWorker},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{created, new, shown};

async fn refusal(db: &TestDatabase, new: NewSchedule) -> String {
    let refused = create(&db.database, &Kinds::released(), Scope::Fleet, &new).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    refused.unwrap_err().to_string()
}

#[tokio::test]
async fn a_schedule_is_shown_with_its_next_five_ticks_and_what_its_kind_says() {
    let db = TestDatabase::new().await;
    let daily = NewSchedule {
        time_zone: Some("America/New_York".to_owned()),
        jitter: Duration::from_secs(90),
        missed: Missed::All(3),
        payload: json!({ "channel": "ops", "text": "daily", "thread": null }),
        ..new("daily", " 30  6 * * mon-fri")
    };
    let view = created(&db, &daily).await;
    assert_eq!(view, shown(&db, "daily").await);
    assert_eq!((&*view.expression, &*view.time_zone), ("30 6 * * mon-fri", "America/New_York"));
    assert_eq!((&*view.jitter, &*view.missed, view.state, view.station), ("90s", "all:3", "active", None));
    assert_eq!((&*view.queue, view.attempts_max, view.priority), ("chat", 25, 0));
    assert_eq!(view.next.len(), 5);
    assert!(view.next.windows(2).all(|pair| pair[0].run_at < pair[1].at));
    assert!(view.next.iter().all(|tick| tick.run_at - tick.at <= chrono::TimeDelta::seconds(90)));
}

#[tokio::test]
async fn secrets_in_a_payload_are_enqueued_and_not_shown() {
    let db = TestDatabase::new().await;
    let with_secret = json!({ "channel": "ops", "text": "t", "api_key": "s3cret" });
    let view = created(&db, &NewSchedule { payload: with_secret.clone(), ..new("t", "1h") }).await;
    assert_eq!(view.payload["api_key"], "[redacted]");
    trigger(&db.database, Scope::Fleet, "t").await.unwrap().unwrap();
    assert_enqueued(&db, Expected::any().payload(with_secret)).await;
}

#[tokio::test]
async fn what_a_tick_could_not_do_is_refused_when_it_is_said() {
    let db = TestDatabase::new().await;
    created(&db, &new("taken", "1h")).await;
    let text = "a".repeat(PAYLOAD_MAX);
    let payload = |payload: Value| NewSchedule { payload, ..new("s", "1h") };
    for (refused, said) in [
        (new("taken", "1h"), "name: there is a schedule \"taken\" already"),
        (new("Not A Name", "1h"), "name: expected lower-case letters"),
        (new("s", "61 * * * *"), "expression: minute: \"61\" is not 0 to 59"),
        (new("s", "0 0 0 1 1 * 2020"), "expression: its expression never fires again"),
        (new("s", "0 0 30 2 *"), "expression: its expression never fires again"),
        (
            NewSchedule { time_zone: Some("Mars/Phobos".to_owned()), ..new("s", "1h") },
            "time_zone: \"Mars/Phobos\" is no IANA",
        ),
        (NewSchedule { time_zone: Some(String::new()), ..new("s", "1h") }, "time_zone: \"\" is no IANA"),
        (NewSchedule { jitter: Duration::from_secs(86_401), ..new("s", "1h") }, "jitter: at most 24 hours"),
        (NewSchedule { missed: Missed::All(501), ..new("s", "1h") }, "missed: \"all:501\" is not skip"),
        (
            NewSchedule { station: Some("nowhere".to_owned()), ..new("s", "1h") },
            "station: there is no station \"nowhere\"",
        ),
        (NewSchedule { kind: "post_chatt".to_owned(), ..new("s", "1h") }, "kind: nobody knows \"post_chatt\""),
        (NewSchedule { queue: Some(String::new()), ..new("s", "1h") }, "queue: expected a queue's name"),
        (NewSchedule { attempts_max: Some(0), ..new("s", "1h") }, "attempts_max: expected 1 or more"),
        (NewSchedule { paused: true, ..new("s", "now") }, "paused: what fires now"),
        (payload(json!({ "channel": "ops" })), "payload: doesn't decode as post_chat: missing field `text`"),
        (payload(json!({ "channel": "ops", "text": text })), "payload: 65563 bytes, a schedule's are at most 65536"),
        (payload(json!({ "channel": "ops", "text": "\0" })), "payload: a text with a NUL character"),
    ] {
        let answer = refusal(&db, refused).await;
        assert!(answer.starts_with(said), "{answer}");
    }
    assert_eq!(list(&db.database, Scope::Fleet, None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_kind_of_another_program_is_taken_while_a_worker_that_knows_it_lives() {
    let db = TestDatabase::new().await;
    let worker = NewWorker {
        id: Uuid::now_v7(),
        name: "host:1".to_owned(),
        pid: 1,
        queues: vec!["lab".to_owned()],
        kinds: vec!["weigh".to_owned()],
        concurrency: 1,
        isolated: false,
    };
    workers::register(&db.database, &worker).await.unwrap();
    let weigh = NewSchedule { kind: "weigh".to_owned(), payload: json!({ "g": 5 }), ..new("weigh", "1h") };
    assert_eq!(refusal(&db, weigh.clone()).await, "queue: this program doesn't know \"weigh\": say it");
    let weigh = NewSchedule { queue: Some("lab".to_owned()), attempts_max: Some(3), ..weigh };
    assert_eq!(created(&db, &weigh).await.queue, "lab");
    db.advance(Duration::from_secs(61)).await;
    assert!(
        refusal(&db, NewSchedule { name: "late".to_owned(), ..weigh }).await.contains("start a worker that does first")
    );
}
