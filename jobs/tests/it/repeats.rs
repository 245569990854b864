//! Dedupe keys: a repeat is the same job and no error, for as long as the key says, and batches don't deadlock over them.

use std::{collections::HashSet, time::Duration};

use jobs::{
    JobId,
    queue::{Ending, NewJob, enqueue, sweep::report_death},
    stations::Role,
    testing::eventually,
};

use crate::fleet::{Fleet, done, ended, job, keyed};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_live_jobs_key_answers_with_that_job_and_is_no_error() {
    let fleet = Fleet::new().await;
    let first = fleet.enqueue(&[keyed("k", None)]).await[0];
    assert!(first.fresh);
    let mut tx = fleet.begin().await;
    let again = enqueue(&mut tx, &[keyed("k", None), job()]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((again[0].id, again[0].fresh, again[1].fresh), (first.id, false, true));
    assert_eq!(fleet.claim(10).await.len(), 2);
    assert!(!fleet.enqueue(&[keyed("k", None)]).await[0].fresh, "a running job holds its key");
}

#[tokio::test]
async fn a_key_is_free_again_when_its_job_has_ended_however_it_ended() {
    let fleet = Fleet::new().await;
    let ends = [
        Ending::Done(None),
        Ending::Dead { outcome: "dead", error: "no".to_owned() },
        Ending::Cancelled("enough".to_owned()),
    ];
    for ending in ends {
        let running = fleet.running(keyed("k", None)).await;
        fleet.finish(&[ended(&running, ending)]).await;
        assert_eq!(fleet.base.count("select count(*) from vtoc.job_unique").await, 0);
    }
    assert!(fleet.enqueue(&[keyed("k", None)]).await[0].fresh);
}

#[tokio::test]
async fn a_kept_key_stays_taken_for_its_period_after_the_end_and_no_longer() {
    let fleet = Fleet::new().await;
    let running = fleet.running(keyed("k", Some(MINUTE))).await;
    fleet.pass(3600).await;
    fleet.finish(&[done(&running)]).await;
    fleet.pass(50).await;
    let repeat = fleet.enqueue(&[keyed("k", Some(MINUTE))]).await[0];
    assert_eq!((repeat.id, repeat.fresh), (running.id, false));
    fleet.pass(20).await;
    let next = fleet.enqueue(&[keyed("k", Some(MINUTE))]).await[0];
    assert!(next.fresh && next.id != running.id);
    fleet.pass(3600).await;
    assert!(!fleet.enqueue(&[keyed("k", Some(MINUTE))]).await[0].fresh, "the new holder is live");
}

#[tokio::test]
async fn a_key_kept_for_ever_does_not_keep_its_job_from_ending() {
    let fleet = Fleet::new().await;
    let for_ever = "alter table vtoc.job_unique drop constraint if exists job_unique_keep_for_in_reach;
        update vtoc.job_unique set keep_for = '300000 years'";
    let finished = fleet.running(keyed("finished", Some(MINUTE))).await;
    fleet.base.execute(for_ever).await;
    assert_eq!(fleet.finish(&[done(&finished)]).await.len(), 1);

    let killer = fleet.running(keyed("killer", Some(MINUTE))).await;
    fleet.base.execute(for_ever).await;
    report_death(fleet.database(), fleet.worker).await.unwrap();
    fleet.sweep().await;
    for _ in 0..2 {
        let child = fleet.process().await;
        fleet.claim_suspect_as(child).await.unwrap();
        report_death(fleet.database(), child).await.unwrap();
        fleet.sweep().await;
    }
    assert_eq!(fleet.end_of(killer.key).await.as_deref(), Some("dead"));
    let kept = "select count(*) from vtoc.job_unique where expires_at between vtoc.clock() + interval '99 years' and vtoc.clock() + interval '101 years'";
    assert_eq!(fleet.base.count(kept).await, 2);
}

#[tokio::test]
async fn the_same_key_twice_in_one_batch_is_one_job() {
    let fleet = Fleet::new().await;
    let answered = fleet.enqueue(&[keyed("k", None), keyed("other", None), keyed("k", None)]).await;
    assert_eq!(answered[0].id, answered[2].id);
    assert_eq!(answered.iter().map(|one| one.fresh).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(fleet.census().await, (2, 0, 0));
}

#[tokio::test]
async fn a_key_is_unique_per_station_and_kind() {
    let fleet = Fleet::new().await;
    let one = fleet.base.station("one", Role::Ops).await.id;
    let two = fleet.base.station("two", Role::Ops).await.id;
    let of = |station, kind: &str| NewJob { station, kind: kind.to_owned(), ..keyed("k", None) };
    let batch = [of(None, "weigh"), of(Some(one), "weigh"), of(Some(two), "weigh"), of(Some(two), "measure")];
    assert!(fleet.enqueue(&batch).await.iter().all(|enqueued| enqueued.fresh));
    assert!(!fleet.enqueue(&batch).await.iter().any(|enqueued| enqueued.fresh));
}

#[tokio::test]
async fn two_batches_with_the_same_keys_in_opposite_order_never_deadlock() {
    let fleet = Fleet::new().await;
    for round in 0..60 {
        let batch: Vec<NewJob> = (0..20).map(|n| keyed(&format!("{round}-{n}"), None)).collect();
        let reversed: Vec<NewJob> = batch.iter().rev().cloned().collect();
        let (forward, backward) = tokio::join!(fleet.enqueue(&batch), fleet.enqueue(&reversed));
        let ids = |answered: &[jobs::queue::Enqueued]| answered.iter().map(|one| one.id).collect::<HashSet<JobId>>();
        assert_eq!(ids(&forward), ids(&backward));
        assert_eq!(forward.iter().chain(&backward).filter(|one| one.fresh).count(), 20);
    }
    assert_eq!(fleet.census().await, (1200, 0, 0));
}

/// How many statements of this database wait for a lock.
async fn waiting(fleet: &Fleet) -> i64 {
    fleet
        .base
        .count("select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")
        .await
}

#[tokio::test]
async fn finishing_jobs_while_their_keys_are_asked_for_never_deadlocks() {
    let within = Duration::from_secs(4);
    for (order, keep_for) in [([0, 1], None), ([1, 0], None), ([0, 1], Some(MINUTE)), ([1, 0], Some(MINUTE))] {
        let fleet = Fleet::new().await;
        let keys = [keyed("a", keep_for), keyed("b", keep_for)];
        fleet.enqueue(&order.map(|n| keys[n].clone())).await;
        let outcomes: Vec<_> = fleet.claim(2).await.iter().map(done).collect();
        // Somebody else holds the first key; the enqueue queues up for it, then the finish does or goes around.
        let mut first_key = fleet.begin().await;
        sqlx::query("select from vtoc.job_unique where key = 'a' for update").execute(&mut *first_key).await.unwrap();
        let enqueued = fleet.enqueue(&keys);
        let finished = async {
            eventually("the enqueue waits", within, async || waiting(&fleet).await == 1).await;
            fleet.finish(&outcomes).await
        };
        let released = async {
            eventually("the finish waits", within, async || waiting(&fleet).await == 2).await;
            first_key.commit().await.unwrap();
        };
        let (repeats, written, ()) = tokio::join!(enqueued, finished, released);
        assert_eq!((repeats.iter().filter(|one| one.fresh).count(), written.len()), (0, 2));
    }
}
