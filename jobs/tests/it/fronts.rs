//! Claims that go on where the last one ended: they take in the order of all claims, step over nothing that was claimed, and what
//! came to stand behind them is left to a claim from the beginning.

use std::time::Duration;

use jobs::{
    JobId,
    queue::{
        Claimed, Fronts, Lane, NewJob,
        claim::{Claim, claim_from},
    },
    testing::{TestDatabase, eventually},
};
use uuid::Uuid;

use crate::fleet::{Fleet, LEASE, job, lane};

/// Claims as a worker does: from where the last claim ended.
async fn go_on(fleet: &Fleet, fronts: &mut Fronts, limit: u32) -> Vec<Claimed> {
    let (queues, kinds) = lane();
    let claim = Claim { worker: fleet.worker, queues: &queues, kinds: &kinds, limit, lease: LEASE };
    let lanes = [Lane { queue: &queues[0], station: None, quota: limit }];
    let claimed = claim_from(fleet.database(), &claim, &lanes, fronts, || ()).await.unwrap();
    fronts.join(&Fronts::of(&claimed));
    claimed
}

fn ids(claimed: &[Claimed]) -> Vec<JobId> {
    claimed.iter().map(|job| job.id).collect()
}

#[tokio::test]
async fn claims_from_a_front_take_every_job_in_order() {
    let fleet = Fleet::new().await;
    let of = |priority| NewJob { priority, ..job() };
    let mut fronts = Fronts::default();
    fleet.enqueue(&[of(0), of(7)]).await;
    assert_eq!(go_on(&fleet, &mut fronts, 2).await.len(), 2);
    let mut expected = Vec::new();
    for (place, priority) in [(3, 0), (0, 9), (2, 5), (4, 0), (5, -3), (1, 7)] {
        expected.push((place, fleet.enqueue(&[of(priority)]).await[0].id));
    }
    expected.sort_by_key(|(place, _)| *place);
    let mut taken = Vec::new();
    while let [first, ..] = &go_on(&fleet, &mut fronts, 1).await[..] {
        taken.push(first.id);
    }
    assert_eq!(taken, expected.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_was_enqueued_in_a_long_transaction_is_taken_by_a_claim_from_the_beginning() {
    let fleet = Fleet::new().await;
    let mut fronts = Fronts::default();
    let mut long = fleet.begin().await;
    let late = jobs::queue::enqueue(&mut long, &[job()]).await.unwrap()[0].id;
    fleet.pass(10).await;
    fleet.enqueue(&[job()]).await;
    fleet.pass(10).await;
    assert_eq!(go_on(&fleet, &mut fronts, 5).await.len(), 1);
    long.commit().await.unwrap();
    assert_eq!(ids(&go_on(&fleet, &mut fronts, 5).await), []);
    assert_eq!(ids(&fleet.claim(5).await), [late]);
}

#[tokio::test]
async fn what_was_committed_a_moment_late_is_seen_from_the_front() {
    let fleet = Fleet::new().await;
    // However long this takes, it takes no time.
    let now = fleet.base.text("select clock_timestamp()::text").await.unwrap();
    let stopped = format!(
        "create or replace function vtoc.clock() returns timestamptz language sql volatile parallel safe as $$select '{now}'::timestamptz$$"
    );
    fleet.base.execute(&stopped).await;
    let mut fronts = Fronts::default();
    let mut slow = fleet.begin().await;
    let late = jobs::queue::enqueue(&mut slow, &[job()]).await.unwrap()[0].id;
    fleet.enqueue(&[job()]).await;
    assert_eq!(go_on(&fleet, &mut fronts, 5).await.len(), 1);
    slow.commit().await.unwrap();
    assert_eq!(ids(&go_on(&fleet, &mut fronts, 5).await), [late]);
}

/// Entries of the claims' index that `drain` steps over or takes, while somebody's transaction keeps all of them.
async fn read_beside_an_old_snapshot(db: &TestDatabase, drain: impl AsyncFnOnce()) -> i64 {
    let mut old = db.owner().await;
    sqlx::raw_sql("begin isolation level repeatable read; select pg_current_xact_id()")
        .execute(&mut old)
        .await
        .unwrap();
    let entries = "select idx_tup_read from pg_stat_user_indexes where indexrelname = 'job_ready_claim'";
    let before = db.count(entries).await;
    drain().await;
    // A session has told all that it read when it has ended.
    db.database.close().await;
    let sessions =
        "select count(*) from pg_stat_activity where datname = current_database() and application_name like 'vtoc%'";
    eventually("the sessions end", Duration::from_secs(20), async || db.count(sessions).await == 0).await;
    db.count(entries).await - before
}

#[tokio::test]
async fn beside_a_transaction_that_sits_idle_claims_from_a_front_read_what_they_take() {
    const BATCHES: u32 = 40;
    let mut read = Vec::new();
    for from_the_front in [true, false] {
        let fleet = Fleet::new().await;
        fleet.enqueue(&vec![job(); 50 * BATCHES as usize]).await;
        // Old enough that nobody who enqueued with them can still be about to commit.
        fleet.pass(10).await;
        let entries = read_beside_an_old_snapshot(&fleet.base, async || {
            let mut fronts = Fronts::default();
            for _ in 0..BATCHES {
                let claimed = if from_the_front {
                    go_on(&fleet, &mut fronts, 50).await
                } else {
                    go_on(&fleet, &mut Fronts::default(), 50).await
                };
                assert_eq!(claimed.len(), 50);
            }
        })
        .await;
        read.push(entries);
    }
    let jobs = i64::from(50 * BATCHES);
    assert!(read[0] < 2 * jobs, "{read:?} entries for {jobs} jobs");
    // It would have been a burden: from the beginning, each claim steps over all that were claimed before.
    assert!(read[1] > 10 * jobs, "{read:?} entries for {jobs} jobs");
}

#[tokio::test]
async fn two_processes_that_go_on_each_from_its_own_front_take_every_job_once() {
    let fleet = Fleet::new().await;
    let all = fleet.enqueue(&vec![job(); 200]).await;
    let other: Uuid = fleet.process().await;
    let (mut mine, mut theirs) = (Fronts::default(), Fronts::default());
    let mut taken = Vec::new();
    for _ in 0..10 {
        taken.extend(ids(&go_on(&fleet, &mut mine, 15).await));
        let (queues, kinds) = lane();
        let claim = Claim { worker: other, queues: &queues, kinds: &kinds, limit: 10, lease: LEASE };
        let lanes = [Lane { queue: &queues[0], station: None, quota: 10 }];
        let claimed = claim_from(fleet.database(), &claim, &lanes, &theirs, || ()).await.unwrap();
        theirs.join(&Fronts::of(&claimed));
        taken.extend(ids(&claimed));
    }
    assert_eq!(taken, all.iter().map(|job| job.id).collect::<Vec<_>>());
}
