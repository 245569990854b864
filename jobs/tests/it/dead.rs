//! Jobs that ended without success: run again as the same job, or removed before their time.

use std::time::Duration;

use jobs::{
    JobId, PageRequest, Scope,
    inspect::{self, JobDetail, State},
    queue::{
        Claimed, Ending, NewJob,
        cancel::cancel,
        dead::{End, Filter, JOBS_MAX, Retried, purge, purge_matching, retry, retry_matching},
    },
    stations::Role,
};
use serde_json::json;

use crate::{
    fleet::{Fleet, done, ended, job, keyed, lane},
    prune::{days_pass, pruned},
};

/// A job of its own that is dead by now.
async fn dead(fleet: &Fleet, new: NewJob) -> Claimed {
    let claimed = fleet.running(new).await;
    fleet.finish(&[ended(&claimed, Ending::Dead { outcome: "dead", error: "no".to_owned() })]).await;
    claimed
}

async fn retried(fleet: &Fleet, id: JobId) -> Retried {
    retry(fleet.database(), Scope::Fleet, &[id]).await.unwrap()[0]
}

async fn detail(fleet: &Fleet, id: JobId) -> JobDetail {
    inspect::job(fleet.database(), Scope::Fleet, id).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_dead_job_runs_again_as_itself_with_all_that_was_before() {
    let fleet = Fleet::new().await;
    let first = dead(&fleet, NewJob { payload: json!({ "n": 7 }), attempts_max: 2, ..job() }).await;
    assert_eq!(retried(&fleet, first.id).await, Retried::Again);
    assert_eq!(fleet.census().await, (1, 0, 0));
    let again = fleet.claim(1).await.remove(0);
    assert_eq!((again.id, again.attempt, again.attempts_max), (first.id, 1, 2));
    assert_eq!(again.payload.get(), r#"{"n": 7}"#);
    fleet.finish(&[done(&again)]).await;
    let detail = detail(&fleet, first.id).await;
    let outcomes: Vec<&str> = detail.attempts.iter().map(|attempt| attempt.outcome.as_str()).collect();
    assert_eq!((detail.job.state, outcomes), (State::Done, vec!["dead", "done"]));
}

#[tokio::test]
async fn a_job_called_off_before_it_ran_runs_after_all_and_the_reason_stays() {
    let fleet = Fleet::new().await;
    let id = fleet.enqueue(&[job()]).await[0].id;
    cancel(fleet.database(), Scope::Fleet, id, "not needed").await.unwrap();
    assert_eq!(retried(&fleet, id).await, Retried::Again);
    let detail = detail(&fleet, id).await;
    assert_eq!((detail.job.state, detail.attempts[0].error.as_deref()), (State::Ready, Some("not needed")));
    assert_eq!(fleet.claim(1).await[0].id, id);
}

#[tokio::test]
async fn what_has_not_ended_without_success_is_not_retried() {
    let fleet = Fleet::new().await;
    let finished = fleet.running(job()).await;
    fleet.finish(&[done(&finished)]).await;
    let running = fleet.running(job()).await;
    let dead = dead(&fleet, job()).await;
    let forged = JobId::new(dead.key, dead.enqueued_at + chrono::Duration::seconds(1));
    let answers = retry(fleet.database(), Scope::Fleet, &[finished.id, running.id, forged, dead.id]).await.unwrap();
    assert_eq!(answers, [Retried::NotEnded, Retried::NotEnded, Retried::Unknown, Retried::Again]);
    assert_eq!(retried(&fleet, dead.id).await, Retried::NotEnded);
    assert_eq!(fleet.census().await, (1, 1, 1));
    assert!(retry(fleet.database(), Scope::Fleet, &vec![dead.id; JOBS_MAX + 1]).await.is_err());
}

#[tokio::test]
async fn a_station_retries_and_purges_nobody_elses_jobs() {
    let fleet = Fleet::new().await;
    let (own, other) = (fleet.base.station("one", Role::Ops).await.id, fleet.base.station("two", Role::Ops).await.id);
    let (scope, theirs) = (Scope::Station(own), dead(&fleet, NewJob { station: Some(other), ..job() }).await);
    let ours = dead(&fleet, NewJob { station: Some(own), ..job() }).await;
    let answers = retry(fleet.database(), scope, &[theirs.id, ours.id]).await.unwrap();
    assert_eq!(answers, [Retried::Unknown, Retried::Again]);
    assert_eq!(purge(fleet.database(), scope, &[theirs.id]).await.unwrap(), []);
    let all = retry_matching(fleet.database(), scope, &Filter::default(), &PageRequest::default()).await.unwrap();
    assert_eq!(all.items, []);
}

#[tokio::test]
async fn a_retry_takes_its_dedupe_key_again_or_says_who_has_it() {
    let fleet = Fleet::new().await;
    let first = dead(&fleet, keyed("k", None)).await;
    let second = fleet.running(keyed("k", None)).await;
    assert_eq!(retried(&fleet, first.id).await, Retried::KeyTaken { by: second.id });
    assert_eq!(fleet.census().await, (0, 1, 1));
    fleet.finish(&[done(&second)]).await;
    assert_eq!(retried(&fleet, first.id).await, Retried::Again);
    assert_eq!(fleet.enqueue(&[keyed("k", None)]).await[0].id, first.id);
    let again = fleet.claim(1).await.remove(0);
    fleet.finish(&[done(&again)]).await;
    assert!(fleet.enqueue(&[keyed("k", None)]).await[0].fresh);
}

#[tokio::test]
async fn of_two_with_one_key_the_one_that_holds_it_runs_again_and_keeps_it_as_before() {
    let fleet = Fleet::new().await;
    let hour = Some(Duration::from_secs(3600));
    let holder = dead(&fleet, keyed("k", hour)).await;
    // It had the key before; its period was over when the holder came.
    let newer = dead(&fleet, keyed("other", None)).await;
    fleet.base.execute(&format!("update vtoc.job_body set dedupe_key = 'k' where id = {}", newer.key)).await;
    let answers = retry(fleet.database(), Scope::Fleet, &[newer.id, holder.id]).await.unwrap();
    assert_eq!(answers, [Retried::KeyTaken { by: holder.id }, Retried::Again]);
    fleet.pass(7200).await;
    assert_eq!(fleet.enqueue(&[keyed("k", hour)]).await[0].id, holder.id);
    let again = fleet.claim(1).await.remove(0);
    fleet.finish(&[done(&again)]).await;
    assert!(!fleet.enqueue(&[keyed("k", hour)]).await[0].fresh);
}

#[tokio::test]
async fn a_job_that_killed_its_last_worker_runs_again_alone() {
    let fleet = Fleet::new().await;
    let killer = dead(&fleet, job()).await;
    fleet.base.execute("update vtoc.job_attempt set outcome = 'crashed'").await;
    assert_eq!(retried(&fleet, killer.id).await, Retried::Again);
    assert!(fleet.claim(1).await.is_empty());
    assert_eq!(fleet.claim_suspect_as(fleet.process().await).await.unwrap().id, killer.id);
}

#[tokio::test]
async fn a_dead_job_whose_day_was_dropped_runs_again_and_is_forgotten_in_the_end() {
    let fleet = Fleet::new().await;
    let old = dead(&fleet, NewJob { payload: json!("old"), ..job() }).await;
    days_pass(&fleet, 5).await;
    assert_eq!(pruned(&fleet).await.kept, 1);
    assert_eq!(retried(&fleet, old.id).await, Retried::Again);
    days_pass(&fleet, 40).await;
    pruned(&fleet).await;
    let again = fleet.claim(1).await.remove(0);
    assert_eq!(again.payload.get(), "\"old\"");
    fleet.finish(&[done(&again)]).await;
    days_pass(&fleet, 3).await;
    pruned(&fleet).await;
    let left = "select (select count(*) from vtoc.job) + (select count(*) from vtoc.job_attempt)";
    assert_eq!(fleet.base.count(left).await, 0);
}

#[tokio::test]
async fn the_run_that_a_dead_job_carried_is_open_again() {
    let fleet = Fleet::new().await;
    let station = fleet.base.station("one", Role::Ops).await.id;
    let claimed = fleet.running(NewJob { station: Some(station), ..job() }).await;
    let run = format!(
        "insert into vtoc.playbook_run (id, station_id, job_id, playbook, definition, parameters, status)
        values (gen_random_uuid(), {}, '{}', 'p', '{{}}', '{{}}', 'running')",
        station.0, claimed.id
    );
    fleet.base.execute(&run).await;
    let status = "select status || coalesce(': ' || error, '') from vtoc.playbook_run";
    fleet.finish(&[ended(&claimed, Ending::Dead { outcome: "dead", error: "no".to_owned() })]).await;
    assert!(fleet.base.text(status).await.unwrap().starts_with("failed"));
    retried(&fleet, claimed.id).await;
    assert_eq!(fleet.base.text(status).await.as_deref(), Some("running"));
}

#[tokio::test]
async fn many_are_retried_a_page_at_a_time() {
    let fleet = Fleet::new().await;
    for _ in 0..5 {
        dead(&fleet, job()).await;
    }
    let called_off = fleet.enqueue(&[job()]).await[0].id;
    cancel(fleet.database(), Scope::Fleet, called_off, "no").await.unwrap();
    let (queues, kinds) = lane();
    let filter = Filter { queue: queues.first().cloned(), kind: kinds.first().cloned(), ..Filter::default() };
    let mut page = PageRequest { limit: 2, cursor: None };
    let mut sizes = Vec::new();
    loop {
        let retried = retry_matching(fleet.database(), Scope::Fleet, &filter, &page).await.unwrap();
        assert!(retried.items.iter().all(|(id, retried)| *retried == Retried::Again && *id != called_off));
        sizes.push(retried.items.len());
        page.cursor = retried.next_cursor;
        if page.cursor.is_none() {
            break;
        }
    }
    assert_eq!((sizes, fleet.census().await), (vec![2, 2, 1], (5, 0, 1)));
    let other = Filter { queue: Some("other".to_owned()), end: End::Cancelled, ..Filter::default() };
    assert_eq!(retry_matching(fleet.database(), Scope::Fleet, &other, &page).await.unwrap().items, []);
}

#[tokio::test]
async fn a_purge_leaves_nothing_of_the_dead_and_all_of_the_others() {
    let fleet = Fleet::new().await;
    let old = dead(&fleet, job()).await;
    days_pass(&fleet, 5).await;
    pruned(&fleet).await;
    let (new, finished) = (dead(&fleet, job()).await, fleet.running(job()).await);
    fleet.finish(&[done(&finished)]).await;
    let old_ones = Filter { finished_before: Some(new.enqueued_at), ..Filter::default() };
    let page = PageRequest::default();
    assert_eq!(purge_matching(fleet.database(), Scope::Fleet, &old_ones, &page).await.unwrap().items, [old.id]);
    assert_eq!(purge(fleet.database(), Scope::Fleet, &[finished.id, new.id, old.id]).await.unwrap(), [new.id]);
    for (table, rows) in [("job_kept", 0), ("job_attempt", 0), ("job_body", 1), ("job_finished", 1)] {
        assert_eq!(fleet.base.count(&format!("select count(*) from vtoc.{table}")).await, rows, "{table}");
    }
    assert_eq!(detail(&fleet, finished.id).await.job.state, State::Done);
}
