//! Accepting deliveries: one transaction for all that a delivery becomes, one job however often and wherever it arrives,
//! and nothing at all when the transaction fails.

use std::sync::atomic::{AtomicI64, Ordering};

use futures::future::join_all;
use jobs::{
    ConnectOptions, Database, Error, Wake,
    accept::{Answer, Delivery, Door, chat_message},
    stations::Role,
    testing::TestDatabase,
};
use serde_json::{Value, json};

/// The front door of a fleet with one ops station, whose channel has its name.
pub(crate) struct Hall {
    pub(crate) base: TestDatabase,
    pub(crate) door: Door,
    clock_s: AtomicI64,
}

/// How a delivery comes besides its body.
#[derive(Default, Clone, Copy)]
pub(crate) struct By<'a> {
    pub(crate) signed_id: Option<&'a str>,
    pub(crate) station_hint: Option<&'a str>,
}

pub(crate) async fn deliver(database: &Database, door: &Door, by: By<'_>, body: &Value) -> Result<Answer, Error> {
    let raw = body.to_string();
    let delivery = Delivery { signed_id: by.signed_id, body: raw.as_bytes(), station_hint: by.station_hint };
    chat_message(database, door, &delivery, serde_json::from_str(&raw).unwrap()).await
}

impl Hall {
    pub(crate) async fn new() -> Self {
        let base = TestDatabase::new().await;
        base.station("toc-s1", Role::Ops).await;
        Self { base, door: Door::new(None, None, Wake::silent()).unwrap(), clock_s: AtomicI64::new(0) }
    }

    pub(crate) async fn hears(&self, by: By<'_>, body: Value) -> Answer {
        deliver(&self.base.database, &self.door, by, &body).await.unwrap()
    }

    async fn pass(&self, seconds: i64) {
        let ahead = self.clock_s.fetch_add(seconds, Ordering::SeqCst) + seconds;
        self.base.set_clock_ahead(ahead).await;
    }

    /// Receipts, audits and jobs.
    async fn census(&self) -> (i64, i64, i64) {
        let count = async |table: &str| self.base.count(&format!("select count(*) from vtoc.{table}")).await;
        (count("receipt").await, count("audit").await, count("job_ready").await)
    }
}

fn duplicate(answer: &Answer) -> bool {
    match answer {
        Answer::Accepted { duplicate, .. } | Answer::Ignored { duplicate, .. } => *duplicate,
        Answer::Conflict => false,
    }
}

fn run(id: Option<&str>) -> Value {
    json!({ "id": id, "channel": "toc-s1", "text": "@agent run op_airtrack_merge window=5m", "user": { "id": "u-1" } })
}

#[tokio::test]
async fn a_run_is_receipt_audit_and_job_in_one() {
    let hall = Hall::new().await;
    let answer = hall.hears(By::default(), run(Some("e-1"))).await;
    let Answer::Accepted { receipt_id, job_id, duplicate: false } = answer else { panic!("{answer:?}") };
    assert_eq!(hall.census().await, (1, 1, 1));
    let whole = format!(
        "select count(*) from vtoc.receipt r
        join vtoc.audit a on a.job_id = r.job_id and a.station_id = r.station_id
        join vtoc.job_body j on j.id = {} and j.payload ->> 'audit_id' = a.id::text and j.station_id = r.station_id
        where r.id = '{receipt_id}' and r.job_id = '{job_id}' and r.verdict = 'accepted' and r.xmin = j.xmin and a.xmin = j.xmin
            and a.status = 'queued' and a.initiator_id = 'u-1' and a.channel_slug = 'toc-s1' and j.kind = 'run_playbook'
            and a.action_input ->> 'window' = j.payload -> 'parameters' ->> 'window'",
        job_id.key()
    );
    assert_eq!(hall.base.count(&whole).await, 1, "one transaction wrote all three and they name each other");
}

#[tokio::test]
async fn ten_copies_at_once_over_two_pools_are_one_job_and_ten_same_answers() {
    let hall = Hall::new().await;
    let second = Database::connect(&hall.base.url, &ConnectOptions::default()).await.unwrap();
    let body = run(Some("e-1"));
    let pools = [&hall.base.database, &second];
    let answers = join_all((0..10).map(|copy| deliver(pools[copy % 2], &hall.door, By::default(), &body))).await;
    let answers: Vec<Answer> = answers.into_iter().map(Result::unwrap).collect();
    let named: Vec<String> = answers
        .iter()
        .map(|answer| match answer {
            Answer::Accepted { receipt_id, job_id, .. } => format!("{receipt_id} {job_id}"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(named.iter().all(|one| *one == named[0]), "{named:?}");
    assert_eq!(answers.iter().filter(|answer| duplicate(answer)).count(), 9);
    assert_eq!(hall.census().await, (1, 1, 1));
    assert_eq!(hall.base.count("select sights::bigint from vtoc.receipt").await, 10);
}

#[tokio::test]
async fn the_same_id_with_another_body_is_a_conflict_however_much_later() {
    let hall = Hall::new().await;
    hall.hears(By::default(), run(Some("e-1"))).await;
    hall.pass(86_400).await;
    let other = json!({ "id": "e-1", "channel": "toc-s1", "text": "@agent status" });
    assert_eq!(hall.hears(By::default(), other).await, Answer::Conflict);
    assert!(duplicate(&hall.hears(By::default(), run(Some("e-1"))).await), "the first still stands");
    assert_eq!(hall.census().await, (1, 1, 1));
}

#[tokio::test]
async fn a_body_without_an_id_counts_for_thirty_seconds_from_its_last_sight() {
    let hall = Hall::new().await;
    let hears = async || hall.hears(By::default(), run(None)).await;
    let first = hears().await;
    assert!(!duplicate(&first));
    for _ in 0..2 {
        hall.pass(20).await;
        assert!(duplicate(&hears().await));
    }
    hall.pass(31).await;
    let later = hears().await;
    assert!(!duplicate(&later) && later != first);
    assert!(duplicate(&hears().await));
    assert_eq!(hall.census().await, (2, 2, 2));
}

#[tokio::test]
async fn an_empty_id_is_no_id() {
    let hall = Hall::new().await;
    assert!(!duplicate(&hall.hears(By::default(), run(Some(""))).await));
    hall.pass(31).await;
    assert!(!duplicate(&hall.hears(By::default(), run(Some(""))).await));
}

#[tokio::test]
async fn a_signed_id_wins_over_the_events_own() {
    let hall = Hall::new().await;
    let by = |id| By { signed_id: Some(id), ..By::default() };
    assert!(!duplicate(&hall.hears(by("w-1"), run(Some("e-1"))).await));
    assert!(!duplicate(&hall.hears(by("w-2"), run(Some("e-1"))).await), "another delivery of another id");
    assert!(duplicate(&hall.hears(by("w-1"), run(Some("e-1"))).await));
    assert_eq!(hall.hears(by("w-1"), run(Some("e-2"))).await, Answer::Conflict);
    assert!(!duplicate(&hall.hears(By::default(), run(Some("w-1"))).await), "an event's id is not a delivery's");
}

#[tokio::test]
async fn an_ignored_delivery_has_a_receipt_and_its_repeat_the_same_reason() {
    let hall = Hall::new().await;
    let chatter = json!({ "id": "e-1", "channel": "toc-s1", "text": "good morning" });
    let Answer::Ignored { receipt_id, reason, duplicate: false } = hall.hears(By::default(), chatter.clone()).await
    else {
        panic!("not ignored")
    };
    let repeat = hall.hears(By::default(), chatter).await;
    assert_eq!(repeat, Answer::Ignored { receipt_id, reason, duplicate: true });
    assert_eq!(hall.census().await, (1, 0, 0));
}

#[tokio::test]
async fn a_transaction_that_fails_leaves_neither_receipt_nor_job_and_the_retry_is_new() {
    let hall = Hall::new().await;
    for table in ["job_body", "audit", "receipt"] {
        let failing = format!(
            "create function vtoc.cut_off() returns trigger language plpgsql security definer
                as 'begin perform pg_terminate_backend(pg_backend_pid()); return new; end';
            create trigger cut_off after insert on vtoc.{table} for each row execute function vtoc.cut_off()"
        );
        hall.base.execute(&failing).await;
        let lost = deliver(&hall.base.database, &hall.door, By::default(), &run(Some(table))).await;
        assert!(matches!(&lost, Err(error) if error.is_transient()), "{table}: {lost:?}");
        assert_eq!(hall.census().await, (0, 0, 0), "{table}");
        assert_eq!(hall.base.count("select count(*) from vtoc.receipt_key").await, 0);
        hall.base.execute("drop function vtoc.cut_off() cascade").await;
    }
    assert!(!duplicate(&hall.hears(By::default(), run(Some("job"))).await));
    assert_eq!(hall.census().await, (1, 1, 1));
}

#[tokio::test]
async fn a_message_with_characters_the_database_cannot_hold_is_still_answered() {
    let hall = Hall::new().await;
    let strange = json!({
        "id": "e\0", "channel": "toc-s1\0", "thread": "t\0", "text": "@agent run op_airtrack_merge window=\0", "station": "toc-s1",
        "user": { "id": "u\0", "name": "\0" },
    });
    assert!(matches!(hall.hears(By::default(), strange.clone()).await, Answer::Accepted { duplicate: false, .. }));
    assert!(duplicate(&hall.hears(By::default(), strange).await));
    let elsewhere = json!({ "id": "f", "type": "typing\0", "channel": "\0", "text": "\0", "station": "\0" });
    assert!(matches!(
        hall.hears(By { station_hint: Some("\0"), ..By::default() }, elsewhere).await,
        Answer::Ignored { .. }
    ));
}

#[tokio::test]
async fn what_is_too_long_is_refused_by_its_field_and_leaves_nothing() {
    let hall = Hall::new().await;
    let long = "x".repeat(8_000);
    let signed = By { signed_id: Some(&long), ..By::default() };
    let big = format!("@agent run op_airtrack_merge window={}5m", "0".repeat(300_000));
    let cases = [
        (signed, json!({ "channel": "toc-s1", "text": "@agent status" }), "id"),
        (By::default(), json!({ "id": &long, "channel": "toc-s1", "text": "@agent status" }), "id"),
        (By::default(), json!({ "channel": &long, "station": "toc-s1", "text": "@agent status" }), "channel"),
        (By::default(), json!({ "channel": "toc-s1", "thread": &long, "text": "@agent status" }), "thread"),
        (By::default(), json!({ "channel": "toc-s1", "text": "@agent status", "user": { "name": &long } }), "user"),
        (By::default(), json!({ "channel": "toc-s1", "text": big }), "text"),
    ];
    for (by, body, field) in cases {
        let refused = deliver(&hall.base.database, &hall.door, by, &body).await;
        assert!(
            matches!(&refused, Err(Error::Invalid { field: named, .. }) if *named == field),
            "{field}: {refused:?}"
        );
    }
    assert_eq!(hall.census().await, (0, 0, 0));
    assert_eq!(hall.base.count("select count(*) from vtoc.receipt_key").await, 0);
}
