//! Blame: a job is blamed for a death only when it was alone; several in flight become suspects and run alone, so that
//! the next death names its job; and who was only away is cleared.

use jobs::{
    Scope,
    inspect::{self, State},
    queue::{
        Claimed, Ending,
        claim::{Look, look},
        lease::clear_blame,
        sweep::{Swept, report_death, sweep},
    },
    testing::eventually,
    workers,
};
use std::time::Duration;
use uuid::Uuid;

use crate::fleet::{Fleet, LEASE, done, ended, job, keyed, lane};

async fn dies(fleet: &Fleet, process: Uuid) -> Swept {
    report_death(fleet.database(), process).await.unwrap();
    fleet.sweep().await
}

async fn crash_count(fleet: &Fleet, key: i64) -> i64 {
    fleet.base.count(&format!("select crash_count::bigint from vtoc.job_ready where id = {key}")).await
}

async fn look_around(fleet: &Fleet) -> Look {
    let (queues, kinds) = lane();
    look(fleet.database(), fleet.worker, &queues, &kinds).await.unwrap()
}

/// Claims the suspect in a process of its own.
async fn alone(fleet: &Fleet) -> (Uuid, Claimed) {
    let child = fleet.process().await;
    (child, fleet.claim_suspect_as(child).await.unwrap())
}

#[tokio::test]
async fn a_job_alone_in_three_dead_processes_is_dead_whatever_attempts_are_left() {
    let fleet = Fleet::new().await;
    let killer = fleet.running(keyed("k", None)).await;
    assert_eq!(dies(&fleet, fleet.worker).await, Swept { again: 1, suspects: 0, dead: 0 });
    assert_eq!(crash_count(&fleet, killer.key).await, 1);
    let (child, _) = alone(&fleet).await;
    assert_eq!(dies(&fleet, child).await, Swept { again: 1, suspects: 0, dead: 0 });
    assert_eq!(crash_count(&fleet, killer.key).await, 2);
    let (child, last) = alone(&fleet).await;
    assert_eq!(last.attempt, 1, "crashes burn no attempt");
    assert_eq!(dies(&fleet, child).await, Swept { again: 0, suspects: 0, dead: 1 });
    let detail = inspect::job(fleet.database(), Scope::Fleet, killer.id).await.unwrap().unwrap();
    assert_eq!(detail.job.state, State::Dead);
    assert!(detail.job.error.unwrap().contains("killed its worker"));
    assert_eq!(detail.attempts.iter().map(|attempt| attempt.outcome.as_str()).collect::<Vec<_>>(), ["crashed"; 3]);
    assert!(fleet.enqueue(&[keyed("k", None)]).await[0].fresh, "its key is free");
}

#[tokio::test]
async fn several_in_flight_are_suspected_and_none_is_blamed() {
    let fleet = Fleet::new().await;
    fleet.enqueue(&vec![job(); 3]).await;
    let claimed = fleet.claim(2).await;
    fleet.claim(1).await;
    assert_eq!(dies(&fleet, fleet.worker).await, Swept { again: 3, suspects: 3, dead: 0 });
    for one in &claimed {
        assert_eq!(crash_count(&fleet, one.key).await, 0);
    }
    assert!(fleet.claim(10).await.is_empty(), "suspects run in processes of their own");
    let seen = look_around(&fleet).await;
    assert_eq!((seen.suspects, seen.due), (true, false));
}

#[tokio::test]
async fn suspects_run_one_at_a_time_and_the_next_death_names_its_job() {
    let fleet = Fleet::new().await;
    fleet.enqueue(&vec![job(); 2]).await;
    fleet.claim(2).await;
    dies(&fleet, fleet.worker).await;
    let ((first_child, guilty), (_, innocent)) = (alone(&fleet).await, alone(&fleet).await);
    assert!(fleet.claim_suspect_as(fleet.worker).await.is_none());
    assert_eq!(fleet.finish(&[done(&innocent)]).await.len(), 1);
    assert_eq!(dies(&fleet, first_child).await, Swept { again: 1, suspects: 0, dead: 0 });
    assert_eq!(crash_count(&fleet, guilty.key).await, 1);
}

#[tokio::test]
async fn a_suspect_that_retries_stays_one_and_keeps_its_crash_count() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    dies(&fleet, fleet.worker).await;
    let (_, again) = alone(&fleet).await;
    let retry = Ending::Again { delay: Duration::ZERO, burned: true, outcome: "retry", error: None };
    fleet.finish(&[ended(&again, retry)]).await;
    assert!(fleet.claim(1).await.is_empty());
    assert_eq!(crash_count(&fleet, claimed.key).await, 1);
}

#[tokio::test]
async fn a_process_seen_within_the_lease_is_not_blamed() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    fleet.base.execute("update vtoc.job_lease set lease_until = '-infinity'").await;
    assert_eq!(fleet.sweep().await, Swept { again: 1, suspects: 0, dead: 0 });
    assert_eq!((crash_count(&fleet, claimed.key).await, fleet.claim(1).await.len()), (0, 1));
}

#[tokio::test]
async fn a_process_that_retired_in_good_order_is_not_blamed() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    workers::retire(fleet.database(), fleet.worker).await.unwrap();
    fleet.pass(100).await;
    assert_eq!(fleet.sweep().await.again, 1);
    assert_eq!(crash_count(&fleet, claimed.key).await, 0);
}

#[tokio::test]
async fn a_sweep_that_was_itself_without_the_database_counts_nothing() {
    let fleet = Fleet::new().await;
    fleet.enqueue(&vec![job(); 3]).await;
    fleet.claim(2).await;
    let lone = fleet.process().await;
    fleet.claim_as(lone, 1).await;
    fleet.pass(100).await;
    assert_eq!(sweep(fleet.database(), LEASE, false).await.unwrap(), Swept { again: 3, suspects: 3, dead: 0 });
    assert_eq!(fleet.base.count("select count(*) from vtoc.job_ready where crash_count > 0").await, 0);
    assert_eq!(fleet.base.count("select count(*) from vtoc.job_attempt where counted").await, 0);
}

#[tokio::test]
async fn a_sweeper_too_young_to_blame_still_isolates() {
    let fleet = Fleet::new().await;
    let killer = fleet.running(job()).await;
    for _ in 0..4 {
        let young = fleet.process().await;
        report_death(fleet.database(), fleet.worker).await.unwrap();
        sweep(fleet.database(), LEASE, false).await.unwrap();
        assert!(fleet.claim_as(young, 1).await.is_empty(), "it runs in no worker any more");
        assert_eq!(crash_count(&fleet, killer.key).await, 0);
        assert_eq!(fleet.claim_suspect_as(fleet.worker).await.unwrap().id, killer.id);
    }
    // The worker that isolates it lives on, and is soon old enough to count.
    for _ in 0..3 {
        dies(&fleet, fleet.worker).await;
        fleet.claim_suspect_as(fleet.worker).await;
    }
    assert_eq!(fleet.end_of(killer.key).await.as_deref(), Some("dead"));
}

#[tokio::test]
async fn who_was_only_away_while_nobody_could_tell_is_trusted_again() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    fleet.pass(100).await;
    sweep(fleet.database(), LEASE, false).await.unwrap();
    assert!(fleet.claim(1).await.is_empty());
    assert_eq!(clear_blame(fleet.database(), &[claimed.attempt_key()]).await.unwrap(), 1);
    assert_eq!(fleet.claim(1).await[0].id, claimed.id);
}

#[tokio::test]
async fn the_last_job_of_a_dead_process_does_not_look_alone_because_the_others_expired_first() {
    let fleet = Fleet::new().await;
    fleet.enqueue(&vec![job(); 2]).await;
    fleet.claim(1).await;
    fleet.pass(20).await;
    fleet.claim(1).await;
    fleet.pass(20).await;
    assert_eq!(fleet.sweep().await, Swept::default(), "one of its leases stands");
    fleet.pass(20).await;
    assert_eq!(fleet.sweep().await, Swept { again: 2, suspects: 2, dead: 0 });
}

#[tokio::test]
async fn who_was_only_away_is_cleared() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    fleet.pass(100).await;
    fleet.sweep().await;
    assert_eq!(crash_count(&fleet, claimed.key).await, 1);
    assert_eq!(clear_blame(fleet.database(), &[(claimed.key, claimed.token), (claimed.key, 999)]).await.unwrap(), 1);
    assert_eq!(crash_count(&fleet, claimed.key).await, 0);
    assert_eq!(fleet.base.text("select outcome from vtoc.job_attempt").await.as_deref(), Some("given_up"));
    assert_eq!(clear_blame(fleet.database(), &[(claimed.key, claimed.token)]).await.unwrap(), 0, "once");
    assert_eq!(fleet.claim(1).await.len(), 1, "trusted again");
}

#[tokio::test]
async fn a_job_that_runs_again_already_is_cleared_too() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    fleet.pass(100).await;
    fleet.sweep().await;
    let (child, _) = alone(&fleet).await;
    assert_eq!(clear_blame(fleet.database(), &[(claimed.key, claimed.token)]).await.unwrap(), 1);
    dies(&fleet, child).await;
    assert_eq!(crash_count(&fleet, claimed.key).await, 1, "only the real death counts");
}

#[tokio::test]
async fn an_earlier_death_still_counts_when_a_later_one_is_cleared() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    dies(&fleet, fleet.worker).await;
    let (_, away) = alone(&fleet).await;
    fleet.pass(100).await;
    fleet.sweep().await;
    assert_eq!(crash_count(&fleet, claimed.key).await, 2);
    clear_blame(fleet.database(), &[(away.key, away.token)]).await.unwrap();
    assert_eq!(crash_count(&fleet, claimed.key).await, 1);
    assert!(fleet.claim(1).await.is_empty(), "it still runs alone");
}

#[tokio::test]
async fn two_killers_keys_are_freed_while_they_are_asked_for_without_a_deadlock() {
    let fleet = Fleet::new().await;
    let keys = [keyed("a", None), keyed("b", None)];
    fleet.enqueue(&[keys[1].clone(), keys[0].clone()]).await;
    for process in [fleet.worker, fleet.process().await] {
        fleet.claim_as(process, 1).await;
    }
    fleet.base.execute("update vtoc.job_lease set crash_count = 2").await;
    fleet.pass(100).await;
    let within = Duration::from_secs(4);
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let mut first_key = fleet.begin().await;
    sqlx::query("select from vtoc.job_unique where key = 'a' for update").execute(&mut *first_key).await.unwrap();
    let swept = async {
        eventually("the enqueue waits", within, async || fleet.base.count(waiting).await == 1).await;
        fleet.sweep().await
    };
    let released = async {
        eventually("the sweep waits", within, async || fleet.base.count(waiting).await == 2).await;
        first_key.commit().await.unwrap();
    };
    let (repeats, swept, ()) = tokio::join!(fleet.enqueue(&keys), swept, released);
    assert_eq!((repeats.iter().filter(|one| one.fresh).count(), swept.dead), (0, 2));
}

#[tokio::test]
async fn a_death_in_company_that_is_taken_back_lowers_no_count() {
    let fleet = Fleet::new().await;
    fleet.enqueue(&[job(), job()]).await;
    let company = fleet.claim(2).await;
    fleet.pass(100).await;
    assert_eq!(fleet.sweep().await.suspects, 2);
    let child = fleet.process().await;
    let alone = fleet.claim_suspect_as(child).await.unwrap();
    report_death(fleet.database(), child).await.unwrap();
    fleet.sweep().await;
    assert_eq!(crash_count(&fleet, alone.key).await, 1);
    let earlier = company.iter().find(|claimed| claimed.key == alone.key).unwrap();
    assert_eq!(clear_blame(fleet.database(), &[earlier.attempt_key()]).await.unwrap(), 1);
    assert_eq!(crash_count(&fleet, alone.key).await, 1, "the death alone stands");
}

#[tokio::test]
async fn a_job_whose_effect_outlasts_the_sweep_was_not_alone() {
    let fleet = Fleet::new().await;
    let (held, other) = (fleet.running(job()).await, fleet.running(job()).await);
    let locked = fleet.attempt(&held).lock().await.unwrap();
    fleet.pass(100).await;
    assert_eq!(fleet.sweep().await.suspects, 1);
    drop(locked);
    eventually("the effect has let go", Duration::from_secs(5), async || fleet.sweep().await.suspects == 1).await;
    for claimed in [held, other] {
        assert_eq!(crash_count(&fleet, claimed.key).await, 0);
    }
}

#[tokio::test]
async fn two_crashes_of_one_job_are_taken_back_in_one_call() {
    let fleet = Fleet::new().await;
    let first = fleet.running(job()).await;
    fleet.pass(100).await;
    fleet.sweep().await;
    let second = fleet.claim_suspect_as(fleet.worker).await.unwrap();
    fleet.pass(100).await;
    fleet.sweep().await;
    assert_eq!(crash_count(&fleet, first.key).await, 2);
    let stale = [first.attempt_key(), second.attempt_key()];
    assert_eq!(clear_blame(fleet.database(), &stale).await.unwrap(), 2);
    assert_eq!(crash_count(&fleet, first.key).await, 0);
    assert_eq!(fleet.claim(1).await[0].id, first.id, "no suspect any more");
}

#[tokio::test]
async fn a_suspect_claimed_at_the_same_moment_is_cleared_too() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    fleet.pass(100).await;
    fleet.sweep().await;
    let mut claiming = fleet.begin().await;
    let take = "with taken as (delete from vtoc.job_ready returning *)
        insert into vtoc.job_lease (token, worker_id, lease_until, started_at, suspect, crash_count, ids, attempts)
        select nextval('vtoc.lease_token'), $1, vtoc.clock() + interval '30 s', vtoc.clock(), suspect, crash_count, array[id], array[attempt + 1] from taken";
    sqlx::query(take).bind(fleet.worker).execute(&mut *claiming).await.unwrap();
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let stale = [claimed.attempt_key()];
    let (cleared, ()) = tokio::join!(clear_blame(fleet.database(), &stale), async {
        eventually("the blame waits for the claim", Duration::from_secs(4), async || {
            fleet.base.count(waits).await == 1
        })
        .await;
        claiming.commit().await.unwrap();
    });
    assert_eq!(cleared.unwrap(), 1);
    let blamed = "select count(*) from vtoc.job_running where suspect or crash_count > 0";
    assert_eq!((fleet.census().await, fleet.base.count(blamed).await), ((0, 1, 0), 0));
}
