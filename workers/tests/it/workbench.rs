//! The verbs that run jobs in a test's own process: what they write is what a worker writes, and a test that asks for what
//! can't be is told why.

use std::{sync::Arc, time::Duration};

use jobs::{
    JobId, Scope, Wake,
    accept::{Answer, Delivery, Door, chat_message},
    inspect::{self, State},
    kinds::{Cx, Failure, Kind, Kinds, Policy, Services, entry, new_job, post_chat::PostChat},
    queue::{
        Backoff, Fate, Fault, NewJob,
        sweep::{report_death, sweep},
    },
    stations::Role,
    testing::{Expected, TestDatabase, assert_enqueued, services, services_posting_to},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;
use workers::testing::{Drain, Performed, Workbench};

use crate::receiver::Receiver;

/// Does as it is told.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Obey {
    order: String,
    #[serde(default)]
    worker: Uuid,
}

impl Kind for Obey {
    const NAME: &'static str = "obey";
    const POLICY: Policy = Policy {
        queue: "default",
        attempts_max: 3,
        time_limit: Duration::from_secs(30),
        backoff: Backoff { base: Duration::from_secs(100), cap: Duration::from_secs(3600) },
    };

    async fn run(self, cx: &Cx) -> Result<Fate, Failure> {
        match self.order.as_str() {
            "panic" => panic!("as it was told to"),
            "hang" => std::future::pending().await,
            "fail" => Err(Failure::Other(anyhow::anyhow!("no luck"))),
            "multiply" => {
                let mut held = cx.attempt.lock().await?;
                held.enqueue(&[cx.follow_up(&told("done"))?, cx.follow_up(&told("multiply"))?]).await?;
                held.complete(None).await?;
                Ok(Fate::Committed)
            }
            "lose the lease" => {
                report_death(cx.attempt.database(), self.worker).await?;
                sweep(cx.attempt.database(), Duration::from_secs(30), true).await?;
                Ok(Fate::Done(None))
            }
            order => Ok(Fate::Done(Some(json!({ "obeyed": order })))),
        }
    }
}

fn told(order: &str) -> Obey {
    Obey { order: order.to_owned(), ..Obey::default() }
}

async fn workbench() -> (TestDatabase, Workbench) {
    with(services()).await
}

async fn with(services: Arc<Services>) -> (TestDatabase, Workbench) {
    let db = TestDatabase::new().await;
    let workbench = Workbench::new(&db, Kinds::released().with(entry::<Obey>()), services).await;
    (db, workbench)
}

fn job(order: &str) -> NewJob {
    new_job(&told(order), None).unwrap()
}

fn orders(performed: &[Performed]) -> Vec<(&str, State)> {
    performed.iter().map(|one| (one.kind.as_str(), one.state)).collect()
}

#[tokio::test]
async fn a_performed_job_is_written_down_as_by_a_worker() {
    let (db, workbench) = workbench().await;
    let performed = workbench.perform(&told("dance")).await;
    assert_eq!((performed.attempt, &performed.fate), (1, &Fate::Done(Some(json!({ "obeyed": "dance" })))));
    let found = inspect::job(&db.database, Scope::Fleet, performed.id).await.unwrap().unwrap();
    assert_eq!((found.job.state, performed.state), (State::Done, State::Done));
    assert_eq!((found.job.worker.as_deref(), found.output), (Some("workbench"), Some(json!({ "obeyed": "dance" }))));
    assert_eq!(db.count("select count(*) from vtoc.job_lease").await, 0);
    assert!(performed.enqueued.is_empty());
}

#[tokio::test]
async fn what_a_job_enqueues_is_answered_and_waits() {
    let (db, workbench) = workbench().await;
    workbench.enqueue(job("there before")).await;
    let performed = workbench.perform(&told("multiply")).await;
    assert_eq!((performed.fate, performed.state), (Fate::Committed, State::Done));
    assert_eq!(performed.enqueued.iter().map(|job| &job.payload["order"]).collect::<Vec<_>>(), ["done", "multiply"]);
    assert_enqueued(&db, Expected::of::<Obey>().due().times(3)).await;
    assert_eq!(db.count("select count(*) from vtoc.job_lease").await, 0);
}

#[tokio::test]
async fn a_panic_and_a_time_limit_are_fates() {
    let (db, workbench) = workbench().await;
    let panicked = workbench.perform(&told("panic")).await;
    let retry = |error: &str, fault| Fate::Retry { error: error.to_owned(), after: None, fault };
    assert_eq!(panicked.fate, retry("panicked: as it was told to", Fault::Panicked));
    let workbench = workbench.with_time_limit(Duration::from_millis(20));
    let timed_out = workbench.perform(&told("hang")).await;
    assert_eq!(timed_out.fate, retry("took longer than 0 s", Fault::TimedOut));
    assert_eq!((panicked.state, timed_out.state), (State::Ready, State::Ready));
    let outcomes = "select string_agg(outcome, ', ' order by token) from vtoc.job_attempt";
    assert_eq!(db.text(outcomes).await.as_deref(), Some("panicked, timed_out"));
}

#[tokio::test]
async fn a_payload_that_does_not_decode_is_dead() {
    let (_db, workbench) = workbench().await;
    let id = workbench.enqueue(NewJob { payload: json!({ "order": 7 }), ..job("") }).await;
    let performed = workbench.perform_job(id).await;
    assert!(matches!(&performed.fate, Fate::Dead(error) if error.contains("obey")), "{performed}");
    assert_eq!(performed.state, State::Dead);
}

#[tokio::test]
async fn a_result_whose_lease_was_lost_meanwhile_is_stale() {
    let (db, workbench) = workbench().await;
    let worker = db.text("select id::text from vtoc.worker").await.unwrap().parse().unwrap();
    let performed = workbench.perform(&Obey { worker, ..told("lose the lease") }).await;
    assert_eq!((performed.fate, performed.state), (Fate::Stale, State::Ready));
}

#[tokio::test]
async fn the_job_that_was_meant_is_performed_whoever_is_before_it_and_the_others_stay() {
    let (db, workbench) = workbench().await;
    let later = NewJob { delay: Duration::from_secs(3600), ..job("later") };
    workbench.enqueue(NewJob { priority: 9, ..job("first") }).await;
    let meant = workbench.enqueue(later.clone()).await;
    workbench.enqueue(job("second")).await;
    workbench.enqueue(later).await;
    assert_eq!(workbench.perform_job(meant).await.fate, Fate::Done(Some(json!({ "obeyed": "later" }))));
    assert_eq!(workbench.drain(Drain::everything()).await.len(), 2, "the two that are due");
    assert_enqueued(&db, Expected::any().times(1)).await;
}

#[tokio::test]
async fn attempts_are_performed_one_by_one_until_the_last() {
    let (_db, workbench) = workbench().await;
    let first = workbench.perform(&told("fail")).await;
    let second = workbench.perform_job(first.id).await;
    let third = workbench.perform_job(first.id).await;
    assert_eq!([first.state, second.state, third.state], [State::Ready, State::Ready, State::Dead]);
    assert_eq!([first.attempt, second.attempt, third.attempt], [1, 2, 3]);
}

#[tokio::test]
#[should_panic(expected = "can't be claimed: it is done")]
async fn a_job_that_has_ended_cannot_be_performed() {
    let (_db, workbench) = workbench().await;
    let performed = workbench.perform(&told("dance")).await;
    workbench.perform_job(performed.id).await;
}

#[tokio::test]
#[should_panic(expected = "can't be claimed: there is no such job")]
async fn a_job_that_never_was_cannot_be_performed() {
    let (_db, workbench) = workbench().await;
    workbench.perform_job(JobId::new(1, chrono::DateTime::UNIX_EPOCH)).await;
}

#[tokio::test]
#[should_panic(expected = "no kind \"obey\" on this workbench: add it to its kinds")]
async fn a_kind_that_was_not_registered_is_named() {
    let db = TestDatabase::new().await;
    Workbench::new(&db, Kinds::released(), services()).await.perform(&told("dance")).await;
}

#[tokio::test]
async fn a_drain_performs_what_is_due_in_order_and_leaves_retries_that_wait() {
    let (db, workbench) = workbench().await;
    for new in [job("second"), NewJob { priority: 1, ..job("first") }, job("fail")] {
        workbench.enqueue(new).await;
    }
    let elsewhere = workbench.enqueue(NewJob { queue: "elsewhere".to_owned(), ..job("third") }).await;
    let performed = workbench.drain(Drain::queues(["default"])).await;
    assert_eq!(orders(&performed), [("obey", State::Done), ("obey", State::Done), ("obey", State::Ready)]);
    assert_eq!(performed[0].fate, Fate::Done(Some(json!({ "obeyed": "first" }))));
    assert!(workbench.drain(Drain::queues(["default"])).await.is_empty());
    assert_enqueued(&db, Expected::of::<Obey>().times(2)).await;
    assert_eq!(workbench.drain(Drain::everything()).await[0].id, elsewhere);
}

#[tokio::test]
async fn a_drain_with_scheduled_moves_the_clock_until_nothing_waits() {
    let (db, workbench) = workbench().await;
    workbench.enqueue(NewJob { delay: Duration::from_secs(10 * 86_400), ..job("much later") }).await;
    workbench.enqueue(job("fail")).await;
    let performed = workbench.drain(Drain::everything().with_scheduled()).await;
    assert_eq!(
        orders(&performed),
        [("obey", State::Ready), ("obey", State::Ready), ("obey", State::Dead), ("obey", State::Done)]
    );
    assert!(db.count("select extract(epoch from vtoc.clock() - now())::bigint").await >= 10 * 86_400 - 5);
}

#[tokio::test]
async fn a_drain_leaves_kinds_it_does_not_know_and_takes_suspects_last() {
    let (db, workbench) = workbench().await;
    workbench.enqueue(NewJob { kind: "from_the_future".to_owned(), ..job("") }).await;
    let suspect = workbench.enqueue(job("suspect")).await;
    db.execute("update vtoc.job_ready set suspect = true").await;
    let other = workbench.enqueue(job("other")).await;
    let performed = workbench.drain(Drain::everything()).await;
    assert_eq!(performed.iter().map(|one| one.id).collect::<Vec<_>>(), [other, suspect]);
    assert_enqueued(&db, Expected::kind("from_the_future").times(1)).await;
}

#[tokio::test]
async fn a_limited_drain_stops_there() {
    let (db, workbench) = workbench().await;
    workbench.enqueue(job("multiply")).await;
    assert_eq!(workbench.drain(Drain::everything().limit(4)).await.len(), 4);
    assert_eq!(workbench.drain(Drain::everything().limit(201)).await.len(), 201, "more than without a limit");
    assert!(db.count("select count(*) from vtoc.job_ready").await > 0);
}

#[tokio::test]
#[should_panic(expected = "a drain doesn't end: after 200 attempts there is more to do; the last were
- obey (attempt 1): ")]
async fn a_drain_that_would_never_end_is_ended_and_shows_its_last_attempts() {
    let (_db, workbench) = workbench().await;
    workbench.enqueue(job("multiply")).await;
    workbench.drain(Drain::everything()).await;
}

#[tokio::test]
async fn a_webhook_becomes_a_posted_answer_in_one_drain() {
    let receiver = Receiver::start().await;
    let (db, workbench) = with(services_posting_to(&receiver.url)).await;
    db.station("toc-s1", Role::Ops).await;
    let body = json!({ "channel": "toc-s1", "text": "@agent run op_airtrack_merge" });
    let (raw, door) = (body.to_string(), Door::new(None, None, Wake::silent()).unwrap());
    let delivery = Delivery { signed_id: None, body: raw.as_bytes(), station_hint: None };
    let message = serde_json::from_value(body).unwrap();
    let answer = chat_message(&db.database, &door, &delivery, message).await.unwrap();
    assert!(matches!(answer, Answer::Accepted { .. }), "{answer:?}");
    let performed = workbench.drain(Drain::everything()).await;
    assert!(performed.iter().all(|one| one.state == State::Done), "{performed:?}");
    assert!(performed.iter().any(|one| one.kind == PostChat::NAME));
    assert_eq!((receiver.effects(), receiver.requests()), (1, 1));
    assert_eq!(db.text("select status from vtoc.audit").await.as_deref(), Some("succeeded"));
}
