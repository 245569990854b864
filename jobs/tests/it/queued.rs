//! The verbs that look at the queue and move its clock: what they find, and what they say when they don't.

use std::time::Duration;

use jobs::{
    queue::{Dedupe, NewJob},
    stations::Role,
    testing::{Expected, assert_enqueued, queued, refute_enqueued},
};
use serde_json::json;

use crate::fleet::{Fleet, job, keyed};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A fleet with one job of a station that differs from the default in everything, and two plain ones.
async fn three_wait() -> Fleet {
    let fleet = Fleet::new().await;
    let special = NewJob {
        queue: "chat".to_owned(),
        kind: "post_chat".to_owned(),
        station: Some(fleet.base.station("toc-s1", Role::Ops).await.id),
        priority: 7,
        delay: HOUR,
        dedupe: Some(Dedupe { key: "k".to_owned(), keep_for: None }),
        payload: json!({ "text": "all well", "token": "not redacted", "place": { "lat": 1, "lon": 2 } }),
        ..job()
    };
    fleet.enqueue(&[job(), special, job()]).await;
    fleet
}

fn special() -> Expected {
    Expected::kind("post_chat")
        .queue("chat")
        .station("toc-s1")
        .priority(7)
        .dedupe_key("k")
        .starts_within(HOUR - MINUTE..=HOUR)
        .payload_with(json!({ "token": "not redacted", "place": { "lat": 1 } }))
}

#[tokio::test]
async fn a_job_is_found_by_all_that_is_said_of_it_and_answered() {
    let fleet = three_wait().await;
    let found = assert_enqueued(&fleet.base, special().times(1)).await;
    assert_eq!(found[0].payload["place"]["lon"], 2);
    assert_eq!(assert_enqueued(&fleet.base, Expected::any().due().fleet()).await.len(), 2);
    assert_enqueued(&fleet.base, Expected::any().times(3)).await;
}

#[tokio::test]
async fn one_thing_that_differs_is_enough_not_to_be_found() {
    let fleet = three_wait().await;
    let differing = [
        special().queue("bench"),
        special().station("toc-s2"),
        special().fleet(),
        special().priority(6),
        special().dedupe_key("other"),
        special().due(),
        special().payload(json!({ "text": "all well" })),
        special().payload_with(json!({ "place": { "lat": 1, "alt": 3 } })),
        Expected::kind("post_chats"),
    ];
    for expected in differing {
        refute_enqueued(&fleet.base, expected).await;
    }
}

#[tokio::test]
async fn a_job_that_runs_or_was_rolled_back_is_not_queued() {
    let fleet = Fleet::new().await;
    fleet.running(keyed("k", None)).await;
    let mut tx = fleet.begin().await;
    jobs::queue::enqueue(&mut tx, &[job()]).await.unwrap();
    drop(tx);
    refute_enqueued(&fleet.base, Expected::any()).await;
}

#[tokio::test]
#[should_panic(expected = "expected a job to wait with kind post_chat, priority 9; found 0 jobs
waiting: 3 jobs, the nearest first:
- post_chat on chat, station toc-s1, priority 7, in 3599.")]
async fn a_miss_says_what_waits_with_the_nearest_first() {
    let fleet = three_wait().await;
    assert_enqueued(&fleet.base, Expected::kind("post_chat").priority(9)).await;
}

#[tokio::test]
#[should_panic(expected = "found 2 jobs:
- weigh on bench, the fleet's, priority 0, due, payload {}
- weigh on bench, the fleet's, priority 0, due, payload {}
asked at jobs/tests/it/queued.rs:")]
async fn a_refuted_job_is_shown_with_the_line_that_asked() {
    let fleet = three_wait().await;
    refute_enqueued(&fleet.base, Expected::kind("weigh")).await;
}

#[tokio::test]
async fn time_that_passes_makes_jobs_due_and_adds_up() {
    let fleet = Fleet::new().await;
    let after = |delay| NewJob { delay, ..job() };
    fleet.enqueue(&[after(HOUR), after(HOUR + MINUTE), after(48 * HOUR)]).await;
    fleet.base.advance(HOUR / 2).await;
    assert!(fleet.claim(3).await.is_empty());
    fleet.base.advance(HOUR / 2).await;
    assert_eq!(fleet.claim(3).await.len(), 1);
    assert_enqueued(&fleet.base, Expected::any().starts_within(MINUTE / 2..=MINUTE).times(1)).await;
    fleet.base.advance(60 * 24 * HOUR).await;
    assert_eq!(queued(&fleet.base).await.len(), 2);
    let claimed = fleet.claim(3).await;
    assert_eq!(claimed.len(), 2);
    // Two months later the history has its days.
    let outcomes: Vec<_> = claimed.iter().map(crate::fleet::done).collect();
    assert_eq!(fleet.finish(&outcomes).await.len(), 2);
    let left_over = "select count(*) from vtoc.job_finished where tableoid::regclass::text like '%default'";
    assert_eq!(fleet.base.count(left_over).await, 0);
}
