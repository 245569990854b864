//! Finishing: each fate leaves exactly the rows it should, a stale token none, and one bad result doesn't spoil a batch.

use std::time::Duration;

use jobs::{
    JobId, Scope,
    inspect::{self, JobDetail, State},
    queue::{Claimed, Ending, NewJob, Outcome, Until, claim::look, finish::finish},
};
use serde_json::{Value, json};

use crate::fleet::{Fleet, done, ended, job, lane, stale};

async fn detail(fleet: &Fleet, id: JobId) -> JobDetail {
    inspect::job(fleet.database(), Scope::Fleet, id).await.unwrap().unwrap()
}

fn outcomes_of(detail: &JobDetail) -> Vec<(i16, &str)> {
    detail.attempts.iter().map(|attempt| (attempt.attempt, attempt.outcome.as_str())).collect()
}

fn again(delay_s: u64, burned: bool, outcome: &'static str) -> Ending {
    Ending::Again { delay: Duration::from_secs(delay_s), burned, outcome, error: Some(format!("because of {outcome}")) }
}

/// Ends the running attempt, lets its delay pass, and claims the next one.
async fn next_attempt(fleet: &Fleet, claimed: &Claimed, ending: Ending) -> Claimed {
    assert_eq!(fleet.finish(&[ended(claimed, ending)]).await.len(), 1);
    fleet.pass(60).await;
    let (queues, kinds) = lane();
    look(fleet.database(), fleet.worker, &queues, &kinds).await.unwrap();
    fleet.claim(1).await.remove(0)
}

#[tokio::test]
async fn done_keeps_output_and_worker_and_its_one_attempt_is_its_history() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    let written = fleet.finish(&[ended(&claimed, Ending::Done(Some(json!({ "weight_g": 7 }))))]).await;
    assert!(written.contains(&claimed.attempt_key()));
    assert_eq!(fleet.census().await, (0, 0, 1));
    let detail = detail(&fleet, claimed.id).await;
    assert_eq!((detail.job.state, &detail.output), (State::Done, &Some(json!({ "weight_g": 7 }))));
    assert!(detail.job.worker.as_deref().is_some_and(|name| name == format!("host:{}", fleet.worker)));
    assert!(detail.job.started_at.unwrap() <= detail.job.finished_at.unwrap());
    assert_eq!(outcomes_of(&detail), [(1, "done")]);
    assert_eq!(fleet.base.count("select count(*) from vtoc.job_attempt").await, 0);
}

#[tokio::test]
async fn dead_and_cancelled_say_why_and_stay_a_month() {
    let fleet = Fleet::new().await;
    let dead = fleet.running(job()).await;
    let cancelled = fleet.running(job()).await;
    let timed_out = Ending::Dead { outcome: "timed_out", error: "longer than 60 s".to_owned() };
    fleet.finish(&[ended(&dead, timed_out), ended(&cancelled, Ending::Cancelled("not needed".to_owned()))]).await;
    let (first, second) = (detail(&fleet, dead.id).await, detail(&fleet, cancelled.id).await);
    assert_eq!((first.job.state, first.job.error.as_deref()), (State::Dead, Some("longer than 60 s")));
    assert_eq!((second.job.state, second.job.error.as_deref()), (State::Cancelled, Some("not needed")));
    assert_eq!((outcomes_of(&first), outcomes_of(&second)), (vec![(1, "timed_out")], vec![(1, "cancelled")]));
    let days = "select extract(day from min(expires_at - finished_at))::bigint from vtoc.job_finished";
    assert_eq!(fleet.base.count(days).await, 30);
}

#[tokio::test]
async fn a_retry_burns_its_attempt_and_waits_its_delay() {
    let fleet = Fleet::new().await;
    let first = fleet.running(job()).await;
    fleet.finish(&[ended(&first, again(30, true, "retry"))]).await;
    let waiting = detail(&fleet, first.id).await;
    assert_eq!((waiting.job.state, waiting.job.attempt), (State::Ready, 1));
    assert_eq!(waiting.job.error.as_deref(), Some("because of retry"));
    let delay = waiting.job.run_at.unwrap() - waiting.attempts[0].finished_at;
    assert!((delay - chrono::Duration::seconds(30)).abs() < chrono::Duration::seconds(1), "{delay}");
    assert!(fleet.claim(1).await.is_empty());
}

#[tokio::test]
async fn snooze_and_interruption_burn_no_attempt_and_all_are_on_record() {
    let fleet = Fleet::new().await;
    let mut claimed = fleet.running(job()).await;
    let fates = [("retry", true), ("snooze", false), ("interrupted", false), ("panicked", true), ("given_up", false)];
    let mut numbers = vec![claimed.attempt];
    for (outcome, burned) in fates {
        claimed = next_attempt(&fleet, &claimed, again(1, burned, outcome)).await;
        numbers.push(claimed.attempt);
    }
    fleet.finish(&[done(&claimed)]).await;
    assert_eq!(numbers, [1, 2, 2, 2, 3, 3]);
    let detail = detail(&fleet, claimed.id).await;
    let expected = [(1, "retry"), (2, "snooze"), (2, "interrupted"), (2, "panicked"), (3, "given_up"), (3, "done")];
    assert_eq!(outcomes_of(&detail), expected);
}

#[tokio::test]
async fn an_interrupted_job_may_run_at_once() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    fleet.finish(&[ended(&claimed, again(0, false, "interrupted"))]).await;
    assert_eq!(fleet.claim(1).await[0].id, claimed.id);
}

#[tokio::test]
async fn a_stale_token_writes_nothing_and_is_told_from_the_rest() {
    let fleet = Fleet::new().await;
    let (good, other) = (fleet.running(job()).await, fleet.running(job()).await);
    for ending in [Ending::Done(None), again(0, true, "retry"), Ending::Dead { outcome: "dead", error: String::new() }]
    {
        assert!(fleet.finish(&[stale(&other, ending)]).await.is_empty());
    }
    let written = fleet.finish(&[stale(&other, Ending::Done(None)), done(&good)]).await;
    assert_eq!(written.into_iter().collect::<Vec<_>>(), [good.attempt_key()]);
    assert_eq!(fleet.census().await, (0, 1, 1));
    assert_eq!(fleet.base.count("select count(*) from vtoc.job_attempt").await, 0);
}

#[tokio::test]
async fn finishing_twice_writes_once() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    let dead = || ended(&claimed, Ending::Dead { outcome: "dead", error: "no".to_owned() });
    assert_eq!(fleet.finish(&[dead()]).await.len(), 1);
    assert!(fleet.finish(&[dead()]).await.is_empty());
    assert!(fleet.finish(&[done(&claimed)]).await.is_empty());
    assert_eq!(fleet.census().await, (0, 0, 1));
    assert_eq!(fleet.base.count("select count(*) from vtoc.job_attempt").await, 1);
}

#[tokio::test]
async fn the_same_result_twice_in_one_batch_is_written_once() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    assert_eq!(fleet.finish(&[done(&claimed), done(&claimed)]).await.len(), 1);
    assert_eq!(fleet.census().await, (0, 0, 1));
}

#[tokio::test]
async fn an_output_over_the_cap_is_replaced_by_its_size() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    fleet.finish(&[ended(&claimed, Ending::Done(Some(Value::from("x".repeat(70_000)))))]).await;
    let output = detail(&fleet, claimed.id).await.output.unwrap();
    assert_eq!(output["bytes"], json!(70_002));
}

#[tokio::test]
async fn an_error_over_the_cap_is_cut_between_characters() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    fleet.finish(&[ended(&claimed, Ending::Dead { outcome: "dead", error: "é".repeat(10_000) })]).await;
    assert_eq!(detail(&fleet, claimed.id).await.job.error.unwrap().chars().count(), 4_000);
}

#[tokio::test]
async fn nul_characters_in_one_result_do_not_spoil_the_batch() {
    let fleet = Fleet::new().await;
    let claimed = [
        fleet.running(job()).await,
        fleet.running(job()).await,
        fleet.running(job()).await,
        fleet.running(job()).await,
    ];
    let output = json!({ "a\0b": ["c\0", { "d": "\0" }], "as text": r"\u0000" });
    let error = Ending::Again { delay: Duration::ZERO, burned: true, outcome: "retry", error: Some("e\0f".to_owned()) };
    let endings = [
        Ending::Done(Some(output)),
        Ending::Dead { outcome: "dead", error: "g\0h".to_owned() },
        error,
        Ending::Done(None),
    ];
    let outcomes: Vec<Outcome> = claimed.iter().zip(endings).map(|(claimed, ending)| ended(claimed, ending)).collect();
    assert_eq!(fleet.finish(&outcomes).await.len(), 4);
    let kept = detail(&fleet, claimed[0].id).await.output.unwrap();
    assert_eq!(kept, json!({ "a\u{fffd}b": ["c\u{fffd}", { "d": "\u{fffd}" }], "as text": r"\u0000" }));
    assert_eq!(detail(&fleet, claimed[1].id).await.job.error.as_deref(), Some("gh"));
    assert_eq!(detail(&fleet, claimed[2].id).await.job.error.as_deref(), Some("ef"));
}

#[tokio::test]
async fn a_batch_of_every_fate_is_written_whole() {
    let fleet = Fleet::new().await;
    fleet.enqueue(&vec![job(); 40]).await;
    let claimed = fleet.claim(100).await;
    let outcomes: Vec<Outcome> = claimed
        .iter()
        .enumerate()
        .map(|(n, claimed)| match n % 4 {
            0 => done(claimed),
            1 => ended(claimed, Ending::Dead { outcome: "panicked", error: "oh".to_owned() }),
            2 => ended(claimed, Ending::Cancelled("enough".to_owned())),
            _ => ended(claimed, again(5, true, "retry")),
        })
        .collect();
    assert_eq!(fleet.finish(&outcomes).await.len(), 40);
    assert_eq!(fleet.census().await, (10, 0, 30));
    for (state, name) in [(State::Done, "done"), (State::Dead, "dead"), (State::Cancelled, "cancelled")] {
        assert_eq!(
            fleet.base.count(&format!("select count(*) from vtoc.job_finished where state = '{name}'")).await,
            10,
            "{state:?}"
        );
    }
}

#[tokio::test]
async fn a_closed_lease_is_forgotten_with_the_results_that_emptied_it() {
    let fleet = Fleet::new().await;
    let (first, second) = (fleet.running(job()).await, fleet.running(job()).await);
    finish(fleet.database(), &[done(&first)], &[first.token]).await.unwrap();
    let left = format!("select count(*) from vtoc.job_lease where token = {}", second.token);
    assert_eq!((fleet.base.count(&left).await, fleet.base.count("select count(*) from vtoc.job_lease").await), (1, 1));
    assert_eq!(detail(&fleet, first.id).await.job.worker, Some(format!("host:{}", fleet.worker)));
}

#[tokio::test]
async fn of_a_late_and_a_current_result_of_one_job_only_the_current_counts() {
    let fleet = Fleet::new().await;
    let late = fleet.running(job()).await;
    fleet.finish(&[ended(&late, again(0, false, "interrupted"))]).await;
    let current = fleet.claim(1).await.remove(0);
    assert_eq!(current.key, late.key);
    let written = fleet.finish(&[done(&late), done(&current)]).await;
    assert_eq!(Vec::from_iter(written), [current.attempt_key()]);
}

#[tokio::test]
async fn pauses_and_waits_without_end_are_cut_to_a_century() {
    let fleet = Fleet::new().await;
    let paused = Ending::Again { delay: Duration::MAX, burned: false, outcome: "snooze", error: None };
    let waits = Ending::Wait { until: Until::Children, within: Duration::MAX };
    for (ending, table, far) in [(paused, "job_ready", "run_at"), (waits, "job_waiting", "deadline")] {
        let claimed = fleet.running(job()).await;
        if matches!(ending, Ending::Wait { .. }) {
            // A child that hasn't ended keeps it waiting.
            let mut locked = fleet.attempt(&claimed).lock().await.unwrap();
            locked.enqueue_children(claimed.id, &[NewJob { delay: Duration::from_secs(60), ..job() }]).await.unwrap();
            locked.commit().await.unwrap();
        }
        assert_eq!(fleet.finish(&[ended(&claimed, ending)]).await.len(), 1);
        let count = format!(
            "select count(*) from vtoc.{table} where id = {} and {far} between vtoc.clock() + interval '99 years' and vtoc.clock() + interval '101 years'",
            claimed.key
        );
        assert_eq!(fleet.base.count(&count).await, 1, "{table}");
    }
}
