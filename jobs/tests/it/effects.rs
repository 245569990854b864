//! An attempt's own transaction: effect, follow-up and completion commit together or not at all, and never under a
//! lease that is gone.

use std::time::Duration;

use jobs::{
    Error, Scope, inspect,
    queue::{Claimed, Ending, Locked},
    testing::eventually,
};
use serde_json::json;

use crate::fleet::{Fleet, LEASE, done, ended, job, keyed};

async fn record_effect(locked: &mut Locked, claimed: &Claimed) {
    sqlx::query("insert into vtoc.effect (job_id, name, idempotency_key, method, host, status, elapsed_ms) values ($1, 'post', 'k', 'POST', 'h', 201, 5)")
        .bind(claimed.key)
        .execute(&mut **locked.tx())
        .await
        .unwrap();
}

async fn effects(fleet: &Fleet) -> i64 {
    fleet.base.count("select count(*) from vtoc.effect").await
}

#[tokio::test]
async fn effect_follow_up_and_completion_commit_together() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    let mut locked = fleet.attempt(&claimed).lock().await.unwrap();
    record_effect(&mut locked, &claimed).await;
    let mut next = keyed("next", None);
    next.parent = Some(claimed.id);
    let follow_up = locked.enqueue(&[next]).await.unwrap()[0];
    assert_eq!((effects(&fleet).await, fleet.census().await), (0, (0, 1, 0)), "nobody sees it before the commit");
    locked.complete(Some(json!("sent"))).await.unwrap();
    assert_eq!((effects(&fleet).await, fleet.census().await), (1, (1, 0, 1)));
    let follow_up = inspect::job(fleet.database(), Scope::Fleet, follow_up.id).await.unwrap().unwrap();
    assert_eq!(follow_up.parent, Some(claimed.id));
    let detail = inspect::job(fleet.database(), Scope::Fleet, claimed.id).await.unwrap().unwrap();
    assert_eq!((detail.output, detail.effects.len()), (Some(json!("sent")), 1));
}

#[tokio::test]
async fn a_connection_lost_before_the_commit_leaves_nothing_and_the_attempt_may_try_again() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    let mut locked = fleet.attempt(&claimed).lock().await.unwrap();
    record_effect(&mut locked, &claimed).await;
    locked.enqueue(&[keyed("next", None)]).await.unwrap();
    let (pid,): (i32,) = sqlx::query_as("select pg_backend_pid()").fetch_one(&mut **locked.tx()).await.unwrap();
    fleet.base.execute(&format!("select pg_terminate_backend({pid})")).await;
    let gone = format!("select count(*) from pg_stat_activity where pid = {pid}");
    eventually("the server ends the connection", Duration::from_secs(10), async || fleet.base.count(&gone).await == 0)
        .await;
    let lost = locked.complete(None).await;
    assert!(matches!(&lost, Err(error) if error.is_transient()), "{lost:?}");
    assert_eq!((effects(&fleet).await, fleet.census().await), (0, (0, 1, 0)));
    assert_eq!(fleet.base.count("select count(*) from vtoc.job_unique").await, 0);

    let mut locked = fleet.attempt(&claimed).lock().await.unwrap();
    record_effect(&mut locked, &claimed).await;
    assert!(locked.enqueue(&[keyed("next", None)]).await.unwrap()[0].fresh);
    locked.complete(None).await.unwrap();
    assert_eq!((effects(&fleet).await, fleet.census().await), (1, (1, 0, 1)));
}

#[tokio::test]
async fn a_dropped_hold_is_rolled_back() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    let mut locked = fleet.attempt(&claimed).lock().await.unwrap();
    record_effect(&mut locked, &claimed).await;
    drop(locked);
    fleet.attempt(&claimed).lock().await.unwrap().complete(None).await.unwrap();
    assert_eq!((effects(&fleet).await, fleet.census().await), (0, (0, 0, 1)));
}

#[tokio::test]
async fn a_finished_attempt_can_hold_nothing_any_more() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    fleet.finish(&[done(&claimed)]).await;
    assert!(matches!(fleet.attempt(&claimed).lock().await, Err(Error::Stale)));
}

#[tokio::test]
async fn a_commit_in_between_keeps_the_job_running() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    let mut locked = fleet.attempt(&claimed).lock().await.unwrap();
    record_effect(&mut locked, &claimed).await;
    locked.commit().await.unwrap();
    assert_eq!((effects(&fleet).await, fleet.census().await), (1, (0, 1, 0)));
}

#[tokio::test]
async fn a_sweep_steps_over_a_job_whose_effect_is_under_way() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    let mut locked = fleet.attempt(&claimed).lock().await.unwrap();
    fleet.pass(2 * LEASE.as_secs() as i64).await;
    assert_eq!(fleet.sweep().await.again, 0);
    record_effect(&mut locked, &claimed).await;
    locked.complete(None).await.unwrap();
    assert_eq!((effects(&fleet).await, fleet.census().await), (1, (0, 0, 1)));
    assert_eq!(fleet.sweep().await.again, 0);
    assert_eq!(fleet.base.count("select count(*) from vtoc.job_lease").await, 0);
}

#[tokio::test]
async fn after_a_sweep_the_old_attempt_is_stale_and_the_new_one_is_not() {
    let fleet = Fleet::new().await;
    let old = fleet.running(job()).await;
    fleet.pass(2 * LEASE.as_secs() as i64).await;
    assert_eq!(fleet.sweep().await.again, 1);
    let child = fleet.process().await;
    let new = fleet.claim_suspect_as(child).await.unwrap();
    assert!(matches!(fleet.attempt(&old).lock().await, Err(Error::Stale)));
    assert!(fleet.finish(&[ended(&old, Ending::Cancelled("late".to_owned()))]).await.is_empty());
    fleet.attempt(&new).lock().await.unwrap().complete(None).await.unwrap();
    assert_eq!(fleet.end_of(new.key).await.as_deref(), Some("done"));
}
