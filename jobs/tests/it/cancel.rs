//! Calling a job off: at once while it waits, by its worker while it runs, and never forgotten on the way.

use std::time::Duration;

use jobs::{
    JobId, Scope,
    queue::{
        Ending, Until,
        cancel::{Cancelled, cancel},
        claim::look,
        sweep::report_death,
        wait::By,
    },
    stations::Role,
    testing::eventually,
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    family::waiting_for,
    fleet::{Fleet, done, ended, job, keyed, lane},
    waiting::{next, wait},
};

async fn called_off(fleet: &Fleet, id: JobId) -> Cancelled {
    cancel(fleet.database(), Scope::Fleet, id, "not needed").await.unwrap()
}

/// What `worker` hears of jobs to be stopped.
async fn heard_by(fleet: &Fleet, worker: Uuid) -> Vec<(i64, String)> {
    let (queues, kinds) = lane();
    look(fleet.database(), worker, &queues, &kinds).await.unwrap().cancelled
}

/// Waits until `sessions` of this database wait for somebody's lock.
async fn lock_waits(fleet: &Fleet, sessions: i64) {
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    eventually("a session waits", Duration::from_secs(4), async || fleet.base.count(waits).await == sessions).await;
}

/// Somebody who has locked the family of `parent`.
async fn holder_of_family(fleet: &Fleet, parent: i64) -> jobs::Tx {
    let mut holder = fleet.begin().await;
    let lock = "select from vtoc.job_family where parent_id = $1 for update";
    sqlx::query(lock).bind(parent).execute(&mut *holder).await.unwrap();
    holder
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
    let (cancelled, ()) = tokio::join!(called_off(&fleet, id), async {
        lock_waits(&fleet, 1).await;
        claiming.commit().await.unwrap();
    });
    assert_eq!(cancelled, Cancelled::Asked);
    assert_eq!(heard_by(&fleet, fleet.worker).await.len(), 1);
}

#[tokio::test]
async fn a_job_that_has_run_keeps_its_key_for_as_long_as_it_was_to_be_kept() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(keyed("k", Some(Duration::from_secs(60)))).await;
    fleet.finish(&[ended(&claimed, wait(Until::Callback, 3600))]).await;
    assert_eq!(called_off(&fleet, claimed.id).await, Cancelled::Now);
    assert!(!fleet.enqueue(&[keyed("k", None)]).await[0].fresh);
    fleet.pass(61).await;
    assert!(fleet.enqueue(&[keyed("k", None)]).await[0].fresh);
}

#[tokio::test]
async fn a_parent_called_off_while_its_child_and_its_sibling_end_does_not_deadlock() {
    let fleet = Fleet::new().await;
    let (_, children) = waiting_for(&fleet, &[job()]).await;
    let sibling = fleet.claim(1).await.remove(0);
    assert_eq!(sibling.id, children[0].id);
    let mut locked = fleet.attempt(&sibling).lock().await.unwrap();
    let grandparent = fleet.attempt(&sibling).parent().await.unwrap().unwrap();
    locked.enqueue_children(grandparent, &[job()]).await.unwrap();
    locked.commit().await.unwrap();
    let parent = fleet.claim(1).await.remove(0);
    let mut locked = fleet.attempt(&parent).lock().await.unwrap();
    locked.enqueue_children(parent.id, &[job()]).await.unwrap();
    locked.wait(Until::Children, Duration::from_secs(3600)).await.unwrap();
    let child = fleet.claim(1).await.remove(0);
    let holder = holder_of_family(&fleet, parent.key).await;
    let ends = [done(&sibling), done(&child)];
    let cancelled = async {
        lock_waits(&fleet, 1).await;
        called_off(&fleet, parent.id).await
    };
    let released = async {
        lock_waits(&fleet, 2).await;
        holder.commit().await.unwrap();
    };
    let (written, cancelled, ()) = tokio::join!(fleet.finish(&ends), cancelled, released);
    assert_eq!((written.len(), cancelled), (2, Cancelled::Now));
    assert_eq!(next(&fleet).await.1, Some((By::Children, Some(json!({ "done": 1, "failed": 1 })))));
}

#[tokio::test]
async fn a_sweep_that_calls_several_off_does_not_deadlock_with_the_ends_of_children() {
    let fleet = Fleet::new().await;
    let (grandparent, _) = waiting_for(&fleet, &[job()]).await;
    let sibling = fleet.claim(1).await.remove(0);
    let (first, _) = waiting_for(&fleet, &[job()]).await;
    let child = fleet.claim(1).await.remove(0);
    let mut locked = fleet.attempt(&sibling).lock().await.unwrap();
    locked.enqueue_children(grandparent.id, &[job()]).await.unwrap();
    locked.commit().await.unwrap();
    let second = fleet.claim(1).await.remove(0);
    assert_eq!(called_off(&fleet, second.id).await, Cancelled::Asked);
    fleet.finish(&[ended(&second, wait(Until::Callback, 3600))]).await;
    fleet.base.execute(&format!("insert into vtoc.job_cancel (job_id, reason) values ({}, 'no')", first.key)).await;
    let holder = holder_of_family(&fleet, first.key).await;
    let ends = [done(&sibling), done(&child)];
    let swept = async {
        lock_waits(&fleet, 1).await;
        fleet.sweep().await
    };
    let released = async {
        lock_waits(&fleet, 2).await;
        holder.commit().await.unwrap();
    };
    let (written, _, ()) = tokio::join!(fleet.finish(&ends), swept, released);
    assert_eq!(written.len(), 2);
    for called_off in [first, second] {
        assert_eq!(fleet.end_of(called_off.key).await.as_deref(), Some("cancelled"));
    }
    assert_eq!(next(&fleet).await.1, Some((By::Children, Some(json!({ "done": 1, "failed": 1 })))));
    assert_eq!(fleet.base.count("select count(*) from vtoc.job_cancel").await, 0);
}
