//! Leases: what is renewed lives on, what isn't is taken back, and a process that lives is not robbed of the rest.

use std::time::Duration;

use jobs::{
    ConnectOptions,
    queue::{
        Ending,
        finish::finish,
        lease::Renewer,
        sweep::{report_death, sweep},
    },
    testing::eventually,
};

use crate::fleet::{Fleet, LEASE, done, ended, job, stale};

const PAST_LEASE_S: i64 = 40;

async fn renewer(fleet: &Fleet) -> Renewer {
    Renewer::connect(&fleet.base.url, &ConnectOptions::default()).await.unwrap()
}

#[tokio::test]
async fn renewing_extends_what_is_held_and_says_what_is_not() {
    let fleet = Fleet::new().await;
    let (held, gone) = (fleet.running(job()).await, fleet.running(job()).await);
    let mut renewer = renewer(&fleet).await;
    fleet.pass(20).await;
    fleet.base.execute(&format!("delete from vtoc.job_lease where token = {}", gone.token)).await;
    let stand = renewer.renew(fleet.worker, &[held.token, gone.token, 999_999], LEASE).await.unwrap();
    assert_eq!(stand.into_iter().collect::<Vec<_>>(), [held.token]);
    fleet.pass(20).await;
    assert_eq!(fleet.sweep().await.again, 0, "renewed 20 s ago");
    fleet.pass(20).await;
    assert_eq!(fleet.sweep().await.again, 1);
    assert!(renewer.renew(fleet.worker, &[held.token], LEASE).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_unrenewed_lease_runs_out_and_its_job_runs_again_without_a_burned_attempt() {
    let fleet = Fleet::new().await;
    fleet.running(job()).await;
    fleet.pass(20).await;
    assert_eq!(fleet.sweep().await.again, 0);
    fleet.pass(20).await;
    let swept = sweep(fleet.database(), LEASE, false).await.unwrap();
    assert_eq!((swept.again, swept.dead), (1, 0));
    assert_eq!(fleet.claim_suspect_as(fleet.worker).await.unwrap().attempt, 1);
    assert_eq!(fleet.base.count("select count(*) from vtoc.job_lease").await, 1, "the old lease is gone");
}

#[tokio::test]
async fn a_living_process_loses_its_expired_lease_and_keeps_the_others() {
    let fleet = Fleet::new().await;
    let (lost, kept) = (fleet.running(job()).await, fleet.running(job()).await);
    fleet.pass(PAST_LEASE_S).await;
    renewer(&fleet).await.renew(fleet.worker, &[kept.token], LEASE).await.unwrap();
    let swept = fleet.sweep().await;
    assert_eq!((swept.again, swept.suspects), (1, 0));
    let why = format!("select outcome || ': ' || error from vtoc.job_attempt where job_id = {}", lost.key);
    assert_eq!(fleet.base.text(&why).await.as_deref(), Some("given_up: its lease ran out"));
    assert_eq!(fleet.finish(&[done(&kept)]).await.len(), 1);
    assert!(fleet.claim(1).await[0].id == lost.id, "not a suspect");
}

#[tokio::test]
async fn a_reported_death_needs_no_waiting() {
    let fleet = Fleet::new().await;
    fleet.running(job()).await;
    let other = fleet.process().await;
    fleet.enqueue(&[job()]).await;
    fleet.claim_as(other, 1).await;
    report_death(fleet.database(), fleet.worker).await.unwrap();
    let swept = fleet.sweep().await;
    assert_eq!((swept.again, swept.suspects), (1, 0));
    assert_eq!(fleet.base.count("select crash_count::bigint from vtoc.job_ready").await, 1);
    assert_eq!(fleet.census().await, (1, 1, 0));
}

#[tokio::test]
async fn a_swept_result_may_not_be_written_any_more() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    fleet.pass(PAST_LEASE_S).await;
    fleet.sweep().await;
    assert!(fleet.finish(&[done(&claimed)]).await.is_empty());
    assert_eq!(fleet.census().await, (1, 0, 0));
}

#[tokio::test]
async fn two_sweeps_at_once_take_each_job_back_once() {
    let fleet = Fleet::new().await;
    for _ in 0..10 {
        fleet.enqueue(&vec![job(); 30]).await;
        for _ in 0..6 {
            let process = fleet.process().await;
            fleet.claim_as(process, 5).await;
        }
        fleet.pass(PAST_LEASE_S).await;
        let (one, two) = tokio::join!(fleet.sweep(), fleet.sweep());
        assert_eq!(one.again + two.again, 30);
        assert_eq!(fleet.census().await.0, 30);
        fleet.base.execute("delete from vtoc.job_ready").await;
    }
    assert_eq!(fleet.base.count("select count(*) from vtoc.job_attempt").await, 300);
}

#[tokio::test]
async fn a_renewer_overrules_a_handler_that_holds_its_thread() {
    let fleet = Fleet::new().await;
    let (slow, late) = (fleet.running(job()).await, fleet.running(job()).await);
    let timed_out =
        || Ending::Again { delay: Duration::ZERO, burned: true, outcome: "timed_out", error: Some("60 s".to_owned()) };
    let outcomes = [ended(&slow, timed_out()), stale(&late, timed_out())];
    renewer(&fleet).await.overrule(&outcomes).await.unwrap();
    assert_eq!(fleet.census().await, (1, 1, 0));
    assert!(fleet.finish(&[done(&slow)]).await.is_empty(), "its own result comes too late");
    assert_eq!(fleet.claim(1).await[0].attempt, 2);
}

/// Waits until `sessions` of this database wait for somebody's lock.
async fn lock_waits(fleet: &Fleet, sessions: i64) {
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    eventually("a session waits", Duration::from_secs(4), async || fleet.base.count(waits).await == sessions).await;
}

/// Somebody who has locked a lease.
async fn holder_of(fleet: &Fleet, token: i64) -> jobs::Tx {
    let mut holder = fleet.begin().await;
    let lock = "select from vtoc.job_lease where token = $1 for update";
    sqlx::query(lock).bind(token).execute(&mut *holder).await.unwrap();
    holder
}

#[tokio::test]
async fn a_renewal_and_results_of_the_same_leases_do_not_deadlock() {
    let fleet = Fleet::new().await;
    let (low, high) = (fleet.running(job()).await, fleet.running(job()).await);
    let mut renewer = renewer(&fleet).await;
    // Its row lies behind the other's now.
    renewer.renew(fleet.worker, &[low.token], LEASE).await.unwrap();
    fleet.base.execute("analyze vtoc.job_lease").await;
    let holder = holder_of(&fleet, low.token).await;
    let (results, tokens) = ([done(&low), done(&high)], [low.token, high.token]);
    let renewed = async {
        lock_waits(&fleet, 1).await;
        renewer.renew(fleet.worker, &tokens, LEASE).await.unwrap()
    };
    let released = async {
        lock_waits(&fleet, 2).await;
        holder.commit().await.unwrap();
    };
    let (written, stand, ()) = tokio::join!(fleet.finish(&results), renewed, released);
    assert_eq!((written.len(), stand.len()), (2, 0));
}

#[tokio::test]
async fn a_renewal_and_the_end_of_a_lease_whose_jobs_came_one_by_one_do_not_deadlock() {
    let fleet = Fleet::new().await;
    fleet.enqueue(&[job(), job()]).await;
    let parts = fleet.claim(2).await;
    let (low, high) = (parts[0].token, fleet.running(job()).await);
    fleet.finish(&[done(&parts[0])]).await;
    fleet.finish(&[done(&parts[1])]).await;
    let mut renewer = renewer(&fleet).await;
    let holder = holder_of(&fleet, low).await;
    let (results, leases, tokens) = ([done(&high)], [low], [low, high.token]);
    let finished = async {
        lock_waits(&fleet, 1).await;
        finish(fleet.database(), &results, &leases).await.unwrap()
    };
    let released = async {
        lock_waits(&fleet, 2).await;
        holder.commit().await.unwrap();
    };
    let (stand, written, ()) = tokio::join!(renewer.renew(fleet.worker, &tokens, LEASE), finished, released);
    assert_eq!((stand.unwrap().len(), written.len()), (2, 1));
    assert_eq!(fleet.base.count("select count(*) from vtoc.job_lease").await, 0);
}
