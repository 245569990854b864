//! Claiming: who gets which job, in which order, and never two the same.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jobs::queue::{
    NewJob,
    claim::{Look, look},
};
use serde_json::json;

use crate::fleet::{Fleet, job, lane};

async fn look_around(fleet: &Fleet) -> Look {
    let (queues, kinds) = lane();
    look(fleet.database(), fleet.worker, &queues, &kinds).await.unwrap()
}

fn delayed(seconds: u64) -> NewJob {
    NewJob { delay: Duration::from_secs(seconds), ..job() }
}

#[tokio::test]
async fn higher_priority_goes_first_then_the_one_due_longest() {
    let fleet = Fleet::new().await;
    let of = |priority| NewJob { priority, ..job() };
    let mut ids = Vec::new();
    for new in [of(0), of(-5), of(9), of(0), of(9)] {
        ids.push(fleet.enqueue(&[new]).await[0].id);
    }
    let mut order = Vec::new();
    while let [claimed] = &fleet.claim(1).await[..] {
        order.push(ids.iter().position(|id| *id == claimed.id).unwrap());
    }
    assert_eq!(order, [2, 4, 0, 3, 1]);
}

#[tokio::test]
async fn a_claim_takes_no_more_than_its_limit_and_the_first_of_them() {
    let fleet = Fleet::new().await;
    let ids: Vec<_> = fleet.enqueue(&vec![job(); 10]).await.into_iter().map(|enqueued| enqueued.id).collect();
    for slice in ids.chunks(4) {
        let claimed: HashSet<_> = fleet.claim(4).await.into_iter().map(|claimed| claimed.id).collect();
        assert_eq!(claimed, slice.iter().copied().collect());
    }
    assert!(fleet.claim(4).await.is_empty());
}

#[tokio::test]
async fn a_batch_shares_one_token_and_an_empty_claim_makes_no_lease() {
    let fleet = Fleet::new().await;
    assert!(fleet.claim(5).await.is_empty());
    assert_eq!(fleet.base.count("select count(*) from vtoc.job_lease").await, 0);
    fleet.enqueue(&vec![job(); 4]).await;
    let (first, second) = (fleet.claim(3).await, fleet.claim(3).await);
    let tokens = |batch: &[jobs::queue::Claimed]| batch.iter().map(|one| one.token).collect::<HashSet<i64>>();
    assert_eq!((tokens(&first).len(), tokens(&second).len()), (1, 1));
    assert!(tokens(&first).is_disjoint(&tokens(&second)));
}

#[tokio::test]
async fn jobs_of_an_unknown_kind_or_another_queue_are_left_alone() {
    let fleet = Fleet::new().await;
    let unknown = NewJob { kind: "not_yet_released".to_owned(), priority: 9, ..job() };
    let elsewhere = NewJob { queue: "elsewhere".to_owned(), priority: 9, ..job() };
    fleet.enqueue(&[unknown, elsewhere, job()]).await;
    assert_eq!(fleet.claim(10).await.len(), 1);
    assert_eq!(fleet.census().await, (2, 1, 0));
    assert!(!look_around(&fleet).await.due);
}

#[tokio::test]
async fn a_claimed_job_carries_what_was_enqueued() {
    let fleet = Fleet::new().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
    let new =
        NewJob { payload: json!({ "b": 1, "a": [null] }), trace_parent: Some(trace.clone()), attempts_max: 7, ..job() };
    let id = fleet.enqueue(&[new]).await[0].id;
    let claimed = fleet.claim(1).await.remove(0);
    assert_eq!((claimed.id, claimed.attempt, claimed.attempts_max), (id, 1, 7));
    assert_eq!(claimed.trace_parent, Some(trace));
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(claimed.payload.get()).unwrap(),
        json!({ "b": 1, "a": [null] })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_claimers_at_once_never_share_a_job() {
    const JOBS: usize = 120;
    let fleet = Arc::new(Fleet::new().await);
    for round in 1..=8 {
        fleet.enqueue(&vec![job(); JOBS]).await;
        let (taken, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(HashSet::new())));
        let claimers: Vec<_> = (1..=4)
            .map(|claimer| {
                let (fleet, taken, seen) = (Arc::clone(&fleet), Arc::clone(&taken), Arc::clone(&seen));
                tokio::spawn(async move {
                    while taken.load(Ordering::SeqCst) < JOBS {
                        let batch = fleet.claim(claimer * 3).await;
                        taken.fetch_add(batch.len(), Ordering::SeqCst);
                        seen.lock().unwrap().extend(batch.iter().map(|claimed| claimed.key));
                    }
                })
            })
            .collect();
        for claimer in claimers {
            claimer.await.unwrap();
        }
        assert_eq!((taken.load(Ordering::SeqCst), seen.lock().unwrap().len()), (JOBS, JOBS));
        assert_eq!(fleet.census().await, (0, i64::from(round) * 120, 0));
    }
}

#[tokio::test]
async fn a_delayed_job_waits_for_its_time_and_then_for_a_look() {
    let fleet = Fleet::new().await;
    fleet.enqueue(&[delayed(60), delayed(20)]).await;
    assert!(fleet.claim(10).await.is_empty());
    let before = look_around(&fleet).await;
    assert_eq!((before.promoted, before.due), (0, false));
    let next = before.next_due_in.unwrap();
    assert!(next > Duration::from_secs(10) && next <= Duration::from_secs(20), "{next:?}");
    fleet.pass(30).await;
    assert!(fleet.claim(10).await.is_empty(), "only a look marks what is due");
    let after = look_around(&fleet).await;
    assert_eq!((after.promoted, after.due), (1, true));
    assert!(after.next_due_in.unwrap() <= Duration::from_secs(30));
    assert_eq!(fleet.claim(10).await.len(), 1);
    fleet.pass(60).await;
    assert_eq!((look_around(&fleet).await.promoted, fleet.claim(10).await.len()), (1, 1));
    assert_eq!(look_around(&fleet).await.next_due_in, None);
}

#[tokio::test]
async fn of_delayed_jobs_the_one_due_longest_goes_first() {
    let fleet = Fleet::new().await;
    let ids = fleet.enqueue(&[delayed(50), delayed(10), delayed(30)]).await;
    fleet.pass(60).await;
    assert_eq!(look_around(&fleet).await.promoted, 3);
    for expected in [1, 2, 0] {
        assert_eq!(fleet.claim(1).await[0].id, ids[expected].id);
    }
}

#[tokio::test]
async fn the_attempt_is_durable_from_the_claim_on() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    let row = format!(
        "select attempt::bigint from vtoc.job_running where id = {} and token = {}",
        claimed.key, claimed.token
    );
    assert_eq!((claimed.attempt, fleet.base.count(&row).await), (1, 1));
}

#[tokio::test]
async fn a_look_that_marked_all_it_may_says_that_there_may_be_more() {
    let fleet = Fleet::new().await;
    fleet.enqueue(&vec![delayed(10); 1_001]).await;
    fleet.pass(11).await;
    let looks = [look_around(&fleet).await, look_around(&fleet).await];
    assert_eq!(looks.map(|look| (look.promoted, look.more)), [(1_000, true), (1, false)]);
}
