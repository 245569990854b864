//! Calling a job off: at once while it waits, by its worker while it runs, and never forgotten on the way.

use std::time::Duration;

use jobs::{
    JobId, Scope,
    queue::{
        Ending,
        cancel::{Cancelled, cancel},
        claim::look,
        sweep::report_death,
    },
    stations::Role,
    testing::eventually,
};
use uuid::Uuid;

use crate::fleet::{Fleet, done, ended, job, keyed, lane};

async fn called_off(fleet: &Fleet, id: JobId) -> Cancelled {
    cancel(fleet.database(), Scope::Fleet, id, "not needed").await.unwrap()
}

/// What `worker` hears of jobs to be stopped.
async fn heard_by(fleet: &Fleet, worker: Uuid) -> Vec<(i64, String)> {
    let (queues, kinds) = lane();
    look(fleet.database(), worker, &queues, &kinds).await.unwrap().cancelled
}

#[tokio::test]
async fn a_waiting_job_is_called_off_at_once_and_its_key_is_free() {
    let fleet = Fleet::new().await;
    let id = fleet.enqueue(&[keyed("k", Some(Duration::from_secs(60)))]).await[0].id;
    assert_eq!(called_off(&fleet, id).await, Cancelled::Now);
    assert_eq!(called_off(&fleet, id).await, Cancelled::Finished);
    assert_eq!(fleet.end_of(id.key()).await.as_deref(), Some("cancelled"));
    assert!(fleet.claim(1).await.is_empty());
    assert!(fleet.enqueue(&[keyed("k", None)]).await[0].fresh);
}

#[tokio::test]
async fn a_running_jobs_worker_is_asked_and_no_other_hears_of_it() {
    let fleet = Fleet::new().await;
    let (claimed, _) = (fleet.running(job()).await, fleet.running(job()).await);
    let other = fleet.process().await;
    assert_eq!(called_off(&fleet, claimed.id).await, Cancelled::Asked);
    assert_eq!(called_off(&fleet, claimed.id).await, Cancelled::Asked);
    assert_eq!(heard_by(&fleet, fleet.worker).await, [(claimed.key, "not needed".to_owned())]);
    assert!(heard_by(&fleet, other).await.is_empty());
    fleet.finish(&[ended(&claimed, Ending::Cancelled("not needed".to_owned()))]).await;
    assert!(heard_by(&fleet, fleet.worker).await.is_empty());
    assert_eq!(called_off(&fleet, claimed.id).await, Cancelled::Finished);
}

#[tokio::test]
async fn a_job_that_finished_first_stays_finished_and_nobody_is_asked_for_long() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    called_off(&fleet, claimed.id).await;
    fleet.finish(&[done(&claimed)]).await;
    assert_eq!(fleet.end_of(claimed.key).await.as_deref(), Some("done"));
    fleet.sweep().await;
    assert_eq!(fleet.base.count("select count(*) from vtoc.job_cancel").await, 0);
}

#[tokio::test]
async fn another_stations_job_and_a_forged_id_are_unknown() {
    let fleet = Fleet::new().await;
    let (one, two) = (fleet.base.station("one", Role::Ops).await.id, fleet.base.station("two", Role::Ops).await.id);
    let mut new = job();
    new.station = Some(one);
    let id = fleet.enqueue(&[new]).await[0].id;
    let by_the_other = cancel(fleet.database(), Scope::Station(two), id, "mine").await.unwrap();
    let forged = JobId::new(id.key(), chrono::DateTime::UNIX_EPOCH);
    assert_eq!((by_the_other, called_off(&fleet, forged).await), (Cancelled::Unknown, Cancelled::Unknown));
    assert_eq!(fleet.census().await, (1, 0, 0));
    assert_eq!(cancel(fleet.database(), Scope::Station(one), id, "mine").await.unwrap(), Cancelled::Now);
}

#[tokio::test]
async fn a_job_that_retries_meanwhile_is_stopped_in_its_next_attempt() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    called_off(&fleet, claimed.id).await;
    let retry = Ending::Again { delay: Duration::ZERO, burned: true, outcome: "retry", error: None };
    fleet.finish(&[ended(&claimed, retry)]).await;
    fleet.sweep().await;
    let other = fleet.process().await;
    assert_eq!(fleet.claim_as(other, 1).await.len(), 1);
    assert_eq!(heard_by(&fleet, other).await.len(), 1);
}

#[tokio::test]
async fn a_job_whose_worker_died_is_stopped_by_the_next_one() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    called_off(&fleet, claimed.id).await;
    report_death(fleet.database(), fleet.worker).await.unwrap();
    assert_eq!(fleet.sweep().await.again, 1);
    let child = fleet.process().await;
    fleet.claim_suspect_as(child).await.unwrap();
    assert_eq!(heard_by(&fleet, child).await, [(claimed.key, "not needed".to_owned())]);
}

#[tokio::test]
async fn a_job_claimed_at_the_same_moment_is_asked_to_stop_not_taken_for_finished() {
    let fleet = Fleet::new().await;
    let id = fleet.enqueue(&[job()]).await[0].id;
    let mut claiming = fleet.begin().await;
    let take = format!(
        "with taken as (delete from vtoc.job_ready returning *)
        insert into vtoc.job_lease (token, worker_id, lease_until, started_at, ids, attempts)
        select 77, '{}', vtoc.clock() + interval '30 s', vtoc.clock(), array[id], array[attempt + 1] from taken",
        fleet.worker
    );
    sqlx::query(sqlx::AssertSqlSafe(take)).execute(&mut *claiming).await.unwrap();
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let (cancelled, ()) = tokio::join!(called_off(&fleet, id), async {
        eventually("the cancel waits for the claim", Duration::from_secs(4), async || {
            fleet.base.count(waits).await == 1
        })
        .await;
        claiming.commit().await.unwrap();
    });
    assert_eq!(cancelled, Cancelled::Asked);
    assert_eq!(heard_by(&fleet, fleet.worker).await.len(), 1);
}
