//! Waiting for an answer: no slot, no lease, no attempt burned; an answer wakes the job whenever it comes, its deadline wakes
//! it otherwise, and nothing that happens at the same moment loses either.

use std::time::Duration;

use jobs::{
    JobId, Page, PageRequest, Scope,
    inspect::{self, JobFilter, JobView, State},
    queue::{
        Claimed, Ending, Fate, Until, Woken,
        callback::{Answered, CallbackToken, answer},
        cancel::{Cancelled, cancel},
        claim::{Look, look},
        lease::clear_blame,
        sweep::report_death,
        wait::{By, forget_ended},
    },
    stations::Role,
    testing::eventually,
};
use serde_json::{Value, json};

use crate::fleet::{Fleet, done, ended, job, keyed, lane, stale};

pub(crate) fn wait(until: Until, within_s: u64) -> Ending {
    Ending::Wait { until, within: Duration::from_secs(within_s) }
}

async fn asked(fleet: &Fleet, claimed: &Claimed) -> CallbackToken {
    fleet.attempt(claimed).callback().await.unwrap()
}

/// A job that has given out a token and waits an hour for the answer.
async fn waiting(fleet: &Fleet) -> (Claimed, CallbackToken) {
    let claimed = fleet.running(job()).await;
    let token = asked(fleet, &claimed).await;
    assert_eq!(fleet.finish(&[ended(&claimed, wait(Until::Callback, 3600))]).await.len(), 1);
    (claimed, token)
}

async fn told(fleet: &Fleet, token: &CallbackToken, said: Value) -> Answered {
    answer(fleet.database(), Scope::Fleet, token.secret(), &said).await.unwrap()
}

pub(crate) async fn looked(fleet: &Fleet) -> Look {
    let (queues, kinds) = lane();
    look(fleet.database(), fleet.worker, &queues, &kinds).await.unwrap()
}

/// The next attempt of the only job there is, and what woke it.
pub(crate) async fn next(fleet: &Fleet) -> (Claimed, Option<(By, Option<Value>)>) {
    let claimed = fleet.claim(1).await.remove(0);
    let woken = fleet.attempt(&claimed).woken().await.unwrap();
    (claimed, woken.map(|Woken { by, answer, .. }| (by, answer)))
}

async fn view(fleet: &Fleet, id: JobId) -> JobView {
    inspect::job(fleet.database(), Scope::Fleet, id).await.unwrap().unwrap().job
}

#[tokio::test]
async fn an_answer_wakes_the_job_with_it_and_no_attempt_is_burned() {
    let fleet = Fleet::new().await;
    let (claimed, token) = waiting(&fleet).await;
    assert_eq!(fleet.census().await, (0, 0, 0));
    assert!(fleet.claim(1).await.is_empty());
    assert_eq!(told(&fleet, &token, json!({ "approved": true })).await, Answered::Woken);
    let (again, woken) = next(&fleet).await;
    assert_eq!(woken, Some((By::Callback, Some(json!({ "approved": true })))));
    assert_eq!((again.id, again.attempt), (claimed.id, 1));
    assert!(fleet.attempt(&again).lock().await.is_ok());
}

#[tokio::test]
async fn a_repeated_answer_is_told_the_same_and_changes_nothing_even_after_the_end() {
    let fleet = Fleet::new().await;
    let (_, token) = waiting(&fleet).await;
    for said in ["yes", "no"] {
        assert_eq!(told(&fleet, &token, json!(said)).await, Answered::Woken);
    }
    let (again, woken) = next(&fleet).await;
    assert_eq!(woken, Some((By::Callback, Some(json!("yes")))));
    fleet.finish(&[done(&again)]).await;
    assert_eq!(told(&fleet, &token, json!("no")).await, Answered::Woken);
    assert_eq!(fleet.census().await, (0, 0, 1));
}

#[tokio::test]
async fn an_answer_that_comes_before_the_wait_ends_it_at_once() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    let token = asked(&fleet, &claimed).await;
    assert_eq!(told(&fleet, &token, json!(7)).await, Answered::Woken);
    fleet.finish(&[ended(&claimed, wait(Until::Callback, 3600))]).await;
    assert_eq!(next(&fleet).await.1, Some((By::Callback, Some(json!(7)))));
}

#[tokio::test]
async fn an_answer_to_the_token_of_a_lost_attempt_still_wakes_the_job() {
    let fleet = Fleet::new().await;
    let lost = fleet.running(job()).await;
    let token = asked(&fleet, &lost).await;
    report_death(fleet.database(), fleet.worker).await.unwrap();
    assert_eq!(fleet.sweep().await.again, 1);
    let child = fleet.process().await;
    let again = fleet.claim_suspect_as(child).await.unwrap();
    asked(&fleet, &again).await;
    fleet.finish(&[ended(&again, wait(Until::Callback, 3600))]).await;
    assert_eq!(told(&fleet, &token, json!("first")).await, Answered::Woken);
    // A suspect stays one while it waits.
    assert!(fleet.claim(1).await.is_empty());
    assert_eq!(fleet.claim_suspect_as(child).await.unwrap().id, lost.id);
}

#[tokio::test]
async fn blame_taken_back_reaches_a_job_that_waits() {
    let fleet = Fleet::new().await;
    let lost = fleet.running(job()).await;
    report_death(fleet.database(), fleet.worker).await.unwrap();
    fleet.sweep().await;
    let child = fleet.process().await;
    let again = fleet.claim_suspect_as(child).await.unwrap();
    let token = asked(&fleet, &again).await;
    fleet.finish(&[ended(&again, wait(Until::Callback, 3600))]).await;
    assert_eq!((view(&fleet, lost.id).await.suspect, view(&fleet, lost.id).await.crash_count), (true, 1));
    assert_eq!(clear_blame(fleet.database(), &[(lost.key, lost.token)]).await.unwrap(), 1);
    told(&fleet, &token, json!(null)).await;
    assert_eq!(fleet.claim(1).await[0].id, lost.id);
}

#[tokio::test]
async fn a_stale_attempt_neither_waits_nor_gives_out_tokens() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    assert!(fleet.finish(&[stale(&claimed, wait(Until::Callback, 3600))]).await.is_empty());
    assert_eq!(fleet.census().await, (0, 1, 0));
    fleet.finish(&[done(&claimed)]).await;
    assert!(matches!(fleet.attempt(&claimed).callback().await, Err(jobs::Error::Stale)));
}

#[tokio::test]
async fn a_deadline_wakes_the_job_and_the_answer_after_it_is_late() {
    let fleet = Fleet::new().await;
    let (_, token) = waiting(&fleet).await;
    assert!(looked(&fleet).await.next_due_in.is_some_and(|due| due > Duration::from_secs(3500)));
    assert!(fleet.claim(1).await.is_empty());
    fleet.pass(3601).await;
    assert!(looked(&fleet).await.due);
    assert_eq!(told(&fleet, &token, json!("too late")).await, Answered::Late);
    let (again, woken) = next(&fleet).await;
    assert_eq!(woken, Some((By::Deadline, None)));
    fleet.finish(&[done(&again)]).await;
    assert_eq!(told(&fleet, &token, json!("too late")).await, Answered::Late);
}

#[tokio::test]
async fn deadlines_that_passed_while_nobody_looked_are_all_found() {
    let fleet = Fleet::new().await;
    fleet.enqueue(&vec![job(); 1_200]).await;
    let mut claimed = fleet.claim(600).await;
    claimed.extend(fleet.claim(600).await);
    let waits: Vec<_> = claimed.iter().map(|claimed| ended(claimed, wait(Until::Callback, 60))).collect();
    assert_eq!(fleet.finish(&waits).await.len(), 1_200);
    fleet.pass(86_400).await;
    looked(&fleet).await;
    looked(&fleet).await;
    assert_eq!(fleet.census().await, (1_200, 0, 0));
}

#[tokio::test]
async fn an_answer_for_an_earlier_wait_does_not_end_a_later_one() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    let (first, other) = (asked(&fleet, &claimed).await, asked(&fleet, &claimed).await);
    fleet.finish(&[ended(&claimed, wait(Until::Callback, 3600))]).await;
    told(&fleet, &first, json!(1)).await;
    let (again, _) = next(&fleet).await;
    let second = asked(&fleet, &again).await;
    fleet.finish(&[ended(&again, wait(Until::Callback, 3600))]).await;
    assert_eq!(told(&fleet, &first, json!(1)).await, Answered::Woken);
    assert_eq!(told(&fleet, &other, json!(1)).await, Answered::Late);
    assert!(fleet.claim(1).await.is_empty());
    assert_eq!(told(&fleet, &second, json!(2)).await, Answered::Woken);
    assert_eq!(next(&fleet).await.1, Some((By::Callback, Some(json!(2)))));
}

#[tokio::test]
async fn a_token_outlives_a_wait_for_children() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    let token = asked(&fleet, &claimed).await;
    fleet.finish(&[ended(&claimed, wait(Until::Children, 3600))]).await;
    let (again, woken) = next(&fleet).await;
    assert_eq!(woken.map(|woken| woken.0), Some(By::Children));
    told(&fleet, &token, json!("still")).await;
    fleet.finish(&[ended(&again, wait(Until::Callback, 3600))]).await;
    assert_eq!(next(&fleet).await.1, Some((By::Callback, Some(json!("still")))));
}

#[tokio::test]
async fn unknown_tokens_and_other_stations_jobs_are_unknown_and_ended_jobs_late() {
    let fleet = Fleet::new().await;
    let (one, two) = (fleet.base.station("one", Role::Ops).await.id, fleet.base.station("two", Role::Ops).await.id);
    let claimed = fleet.running(jobs::queue::NewJob { station: Some(one), ..job() }).await;
    let token = asked(&fleet, &claimed).await;
    fleet.finish(&[ended(&claimed, wait(Until::Callback, 3600))]).await;
    let by = async |scope, token: &str| answer(fleet.database(), scope, token, &json!(1)).await.unwrap();
    assert_eq!(by(Scope::Fleet, "no such token").await, Answered::Unknown);
    assert_eq!(by(Scope::Station(two), token.secret()).await, Answered::Unknown);
    assert!(fleet.claim(1).await.is_empty());
    assert_eq!(by(Scope::Station(one), token.secret()).await, Answered::Woken);
    let again = fleet.claim(1).await.remove(0);
    let unused = asked(&fleet, &again).await;
    fleet.finish(&[done(&again)]).await;
    assert_eq!(by(Scope::Fleet, unused.secret()).await, Answered::Late);
}

#[tokio::test]
async fn a_waiting_job_is_called_off_at_once_and_gives_its_key_back() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(keyed("k", None)).await;
    fleet.finish(&[ended(&claimed, wait(Until::Callback, 3600))]).await;
    assert!(!fleet.enqueue(&[keyed("k", None)]).await[0].fresh);
    assert_eq!(cancel(fleet.database(), Scope::Fleet, claimed.id, "enough").await.unwrap(), Cancelled::Now);
    assert_eq!(fleet.end_of(claimed.key).await.as_deref(), Some("cancelled"));
    assert!(fleet.enqueue(&[keyed("k", None)]).await[0].fresh);
}

#[tokio::test]
async fn a_job_that_began_to_wait_before_it_heard_of_its_cancellation_is_called_off() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    assert_eq!(cancel(fleet.database(), Scope::Fleet, claimed.id, "enough").await.unwrap(), Cancelled::Asked);
    fleet.finish(&[ended(&claimed, wait(Until::Callback, 3600))]).await;
    fleet.sweep().await;
    assert_eq!(fleet.end_of(claimed.key).await.as_deref(), Some("cancelled"));
    assert_eq!(view(&fleet, claimed.id).await.error.as_deref(), Some("enough"));
    assert_eq!(fleet.base.count("select count(*) from vtoc.job_cancel").await, 0);
}

#[tokio::test]
async fn a_waiting_job_is_listed_and_says_what_for_and_until_when() {
    let fleet = Fleet::new().await;
    let (claimed, _) = waiting(&fleet).await;
    let filter = JobFilter { state: Some("waiting".parse().unwrap()), ..JobFilter::default() };
    let Page { items, .. } =
        inspect::jobs(fleet.database(), Scope::Fleet, &filter, &PageRequest::default()).await.unwrap();
    let listed = &items[..];
    assert_eq!(listed.iter().map(|job| (job.id, job.state)).collect::<Vec<_>>(), [(claimed.id, State::Waiting)]);
    assert_eq!(listed[0].waits_for.as_deref(), Some("callback"));
    let left = listed[0].waits_until.unwrap() - listed[0].enqueued_at;
    assert!((left.num_seconds() - 3600).abs() < 60, "{left}");
    let attempts = inspect::attempts(fleet.database(), Scope::Fleet, claimed.id).await.unwrap().unwrap();
    assert_eq!(attempts.iter().map(|one| (one.attempt, one.outcome.as_str())).collect::<Vec<_>>(), [(1, "waiting")]);
}

#[tokio::test]
async fn answers_and_waits_at_the_same_moment_lose_no_answer() {
    let fleet = Fleet::new().await;
    for _ in 0..40 {
        let claimed = fleet.running(job()).await;
        let token = asked(&fleet, &claimed).await;
        let begins = [ended(&claimed, wait(Until::Callback, 3600))];
        let (answered, again, _) = tokio::join!(
            told(&fleet, &token, json!("here")),
            told(&fleet, &token, json!("here")),
            fleet.finish(&begins)
        );
        assert_eq!((answered, again), (Answered::Woken, Answered::Woken));
        let (woken, by) = next(&fleet).await;
        assert_eq!(by, Some((By::Callback, Some(json!("here")))));
        fleet.finish(&[done(&woken)]).await;
    }
}

#[tokio::test]
async fn of_an_answer_and_a_deadline_at_the_same_moment_one_wakes_the_job_and_the_answer_knows_which() {
    let fleet = Fleet::new().await;
    for _ in 0..30 {
        let claimed = fleet.running(job()).await;
        let token = asked(&fleet, &claimed).await;
        fleet.finish(&[ended(&claimed, wait(Until::Callback, 0))]).await;
        let (answered, _) = tokio::join!(told(&fleet, &token, json!(1)), looked(&fleet));
        let (again, woken) = next(&fleet).await;
        let expected = match woken.unwrap().0 {
            By::Callback => Answered::Woken,
            _ => Answered::Late,
        };
        assert_eq!(answered, expected);
        fleet.finish(&[done(&again)]).await;
    }
}

#[tokio::test]
async fn an_answer_waits_for_whoever_ends_the_wait_at_this_moment() {
    let fleet = Fleet::new().await;
    let (claimed, token) = waiting(&fleet).await;
    let mut waking = fleet.begin().await;
    let wake = format!(
        "with woken as (delete from vtoc.job_waiting where id = {0} returning *)
        insert into vtoc.job_woken (job_id, claim, by, at) select id, claim, 'deadline', now() from woken",
        claimed.key
    );
    sqlx::query(sqlx::AssertSqlSafe(wake)).execute(&mut *waking).await.unwrap();
    let blocked =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let (answered, ()) = tokio::join!(told(&fleet, &token, json!(1)), async {
        eventually("the answer waits", Duration::from_secs(4), async || fleet.base.count(blocked).await == 1).await;
        waking.commit().await.unwrap();
    });
    assert_eq!(answered, Answered::Late);
}

#[tokio::test]
async fn what_is_kept_of_waits_goes_a_day_after_the_job_and_not_before() {
    let fleet = Fleet::new().await;
    let (_, token) = waiting(&fleet).await;
    let kept = "select (select count(*) from vtoc.job_callback) + (select count(*) from vtoc.job_woken)";
    fleet.pass(3 * 86_400).await;
    forget_ended(fleet.database()).await.unwrap();
    assert_eq!(fleet.base.count(kept).await, 1, "it still waits");
    told(&fleet, &token, json!(1)).await;
    let (again, _) = next(&fleet).await;
    fleet.pass(2 * 86_400).await;
    forget_ended(fleet.database()).await.unwrap();
    assert_eq!(fleet.base.count(kept).await, 2, "it runs");
    fleet.finish(&[done(&again)]).await;
    forget_ended(fleet.database()).await.unwrap();
    assert_eq!(fleet.base.count(kept).await, 2, "it has just ended");
    fleet.pass(86_400 + 60).await;
    forget_ended(fleet.database()).await.unwrap();
    assert_eq!(fleet.base.count(kept).await, 0);
}

#[tokio::test]
async fn an_answer_is_bounded_and_storable() {
    let fleet = Fleet::new().await;
    let (_, token) = waiting(&fleet).await;
    for bad in [json!("a\0b"), json!("x".repeat(256 * 1024))] {
        let refused = answer(fleet.database(), Scope::Fleet, token.secret(), &bad).await;
        assert!(matches!(refused, Err(jobs::Error::Invalid { field: "answer", .. })), "{refused:?}");
    }
    assert!(!format!("{token:?}").contains(token.secret()));
}

#[tokio::test]
async fn the_fate_of_a_wait_burns_no_attempt_whichever_it_is() {
    let backoff = jobs::queue::Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(1) };
    let fate = Fate::Wait { until: Until::Callback, within: Duration::from_secs(1) };
    assert!(matches!(fate.ending(&backoff, 3, 3, 1.0), Some(Ending::Wait { until: Until::Callback, .. })));
}
