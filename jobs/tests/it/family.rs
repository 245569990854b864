//! Parents and batches: the last child's end wakes the parent, once, whoever ends it and in whatever order, and how many
//! ended how is told exactly.

use std::time::Duration;

use futures::future::join_all;
use jobs::{
    JobId, Scope,
    inspect::{self, State},
    queue::{
        Claimed, Ending, Enqueued, NewJob, Outcome, Until,
        batch::{self, Batch},
        cancel::{Cancelled, cancel},
        family,
        sweep::report_death,
        wait::{By, forget_ended},
    },
    testing::eventually,
};
use serde_json::json;

use crate::{
    fleet::{Fleet, LEASE, done, ended, job, keyed},
    waiting::{looked, next, wait},
};

/// So that it is claimed after its children.
fn parent() -> NewJob {
    NewJob { priority: -1, ..job() }
}

fn dead(claimed: &Claimed) -> Outcome {
    ended(claimed, Ending::Dead { outcome: "dead", error: "no".to_owned() })
}

/// A parent that waits an hour for `children`, enqueued in the same transaction.
pub(crate) async fn waiting_for(fleet: &Fleet, children: &[NewJob]) -> (Claimed, Vec<Enqueued>) {
    let claimed = fleet.running(parent()).await;
    let mut locked = fleet.attempt(&claimed).lock().await.unwrap();
    let enqueued = locked.enqueue_children(claimed.id, children).await.unwrap();
    locked.wait(Until::Children, Duration::from_secs(3600)).await.unwrap();
    (claimed, enqueued)
}

async fn enqueue_batch(fleet: &Fleet, completion: &NewJob, jobs: &[NewJob]) -> Batch {
    let mut tx = fleet.begin().await;
    let batch = batch::enqueue(&mut tx, completion, jobs).await.unwrap();
    tx.commit().await.unwrap();
    batch
}

async fn state(fleet: &Fleet, id: JobId) -> State {
    inspect::job(fleet.database(), Scope::Fleet, id).await.unwrap().unwrap().job.state
}

/// Rows that only open families have.
async fn left_over(fleet: &Fleet) -> i64 {
    fleet.base.count("select (select count(*) from vtoc.job_family) + (select count(*) from vtoc.job_child) + (select count(*) from vtoc.job_waiting)").await
}

#[tokio::test]
async fn a_parent_runs_again_when_its_last_child_has_ended_and_is_told_how_they_ended() {
    let fleet = Fleet::new().await;
    let (claimed, enqueued) = waiting_for(&fleet, &vec![job(); 3]).await;
    let children = fleet.claim(10).await;
    assert_eq!(
        children.iter().map(|child| child.id).collect::<Vec<_>>(),
        enqueued.iter().map(|child| child.id).collect::<Vec<_>>()
    );
    assert_eq!(fleet.attempt(&children[0]).parent().await.unwrap(), Some(claimed.id));
    let retry = Ending::Again { delay: Duration::ZERO, burned: true, outcome: "retry", error: None };
    fleet.finish(&[done(&children[0]), dead(&children[1]), ended(&children[2], retry)]).await;
    assert_eq!(state(&fleet, claimed.id).await, State::Waiting);
    let last = fleet.claim(10).await.remove(0);
    fleet.finish(&[ended(&last, Ending::Cancelled("enough".to_owned()))]).await;
    let (again, woken) = next(&fleet).await;
    assert_eq!((again.id, again.attempt), (claimed.id, 1));
    assert_eq!(woken, Some((By::Children, Some(json!({ "done": 1, "failed": 2 })))));
    assert_eq!(left_over(&fleet).await, 0);
}

#[tokio::test]
async fn a_parent_without_children_left_is_ready_at_once_and_still_told() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(parent()).await;
    fleet.finish(&[ended(&claimed, wait(Until::Children, 3600))]).await;
    let (claimed, woken) = next(&fleet).await;
    assert_eq!(woken, Some((By::Children, Some(json!({ "done": 0, "failed": 0 })))));
    let mut locked = fleet.attempt(&claimed).lock().await.unwrap();
    locked.enqueue_children(claimed.id, &[job(), job()]).await.unwrap();
    locked.commit().await.unwrap();
    let children: Vec<Outcome> = fleet.claim(10).await.iter().map(done).collect();
    fleet.finish(&children).await;
    fleet.finish(&[ended(&claimed, wait(Until::Children, 3600))]).await;
    assert_eq!(next(&fleet).await.1, Some((By::Children, Some(json!({ "done": 2, "failed": 0 })))));
    assert_eq!(left_over(&fleet).await, 0);
}

#[tokio::test]
async fn counts_begin_anew_with_the_next_wait() {
    let fleet = Fleet::new().await;
    let (_, _) = waiting_for(&fleet, &[job()]).await;
    let child = fleet.claim(1).await.remove(0);
    fleet.finish(&[dead(&child)]).await;
    let (again, _) = next(&fleet).await;
    let mut locked = fleet.attempt(&again).lock().await.unwrap();
    locked.enqueue_children(again.id, &[job()]).await.unwrap();
    locked.wait(Until::Children, Duration::from_secs(3600)).await.unwrap();
    let child = fleet.claim(1).await.remove(0);
    fleet.finish(&[done(&child)]).await;
    assert_eq!(next(&fleet).await.1, Some((By::Children, Some(json!({ "done": 1, "failed": 0 })))));
}

#[tokio::test]
async fn a_job_on_anothers_behalf_is_not_waited_for() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(parent()).await;
    let mut locked = fleet.attempt(&claimed).lock().await.unwrap();
    locked.enqueue(&[NewJob { parent: Some(claimed.id), ..job() }]).await.unwrap();
    locked.wait(Until::Children, Duration::from_secs(3600)).await.unwrap();
    assert_eq!(state(&fleet, claimed.id).await, State::Ready);
}

#[tokio::test]
async fn a_wait_that_was_not_committed_leaves_neither_children_nor_wait() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(parent()).await;
    let mut locked = fleet.attempt(&claimed).lock().await.unwrap();
    locked.enqueue_children(claimed.id, &[job()]).await.unwrap();
    drop(locked);
    assert_eq!((fleet.census().await, left_over(&fleet).await), ((0, 1, 0), 0));
}

#[tokio::test]
async fn a_child_enqueued_again_under_its_key_counts_once() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(parent()).await;
    for _ in 0..2 {
        let mut locked = fleet.attempt(&claimed).lock().await.unwrap();
        locked.enqueue_children(claimed.id, &[keyed("a", None), keyed("b", None)]).await.unwrap();
        locked.commit().await.unwrap();
    }
    fleet.finish(&[ended(&claimed, wait(Until::Children, 3600))]).await;
    let children: Vec<Outcome> = fleet.claim(10).await.iter().map(done).collect();
    assert_eq!(fleet.finish(&children).await.len(), 2);
    assert_eq!(next(&fleet).await.1, Some((By::Children, Some(json!({ "done": 2, "failed": 0 })))));
}

#[tokio::test]
async fn a_deadline_wakes_a_parent_which_may_wait_on_for_the_rest() {
    let fleet = Fleet::new().await;
    waiting_for(&fleet, &vec![job(); 2]).await;
    let children = fleet.claim(10).await;
    fleet.finish(&[done(&children[0])]).await;
    fleet.pass(3601).await;
    assert!(looked(&fleet).await.due);
    let (again, woken) = next(&fleet).await;
    assert_eq!(woken, Some((By::Deadline, Some(json!({ "done": 1, "failed": 0, "left": 1 })))));
    fleet.finish(&[ended(&again, wait(Until::Children, 3600))]).await;
    assert_eq!(state(&fleet, again.id).await, State::Waiting);
    fleet.finish(&[done(&children[1])]).await;
    assert_eq!(next(&fleet).await.1, Some((By::Children, Some(json!({ "done": 2, "failed": 0 })))));
}

#[tokio::test]
async fn children_called_off_while_ready_waiting_or_running_count_as_failed() {
    let fleet = Fleet::new().await;
    let (claimed, children) = waiting_for(&fleet, &vec![job(); 3]).await;
    let off = async |id| cancel(fleet.database(), Scope::Fleet, id, "enough").await.unwrap();
    let running = fleet.claim(2).await;
    fleet.finish(&[ended(&running[1], wait(Until::Callback, 3600))]).await;
    assert_eq!(off(children[0].id).await, Cancelled::Asked);
    assert_eq!((off(children[1].id).await, off(children[2].id).await), (Cancelled::Now, Cancelled::Now));
    assert_eq!(state(&fleet, claimed.id).await, State::Waiting);
    fleet.finish(&[ended(&running[0], Ending::Cancelled("enough".to_owned()))]).await;
    assert_eq!(next(&fleet).await.1, Some((By::Children, Some(json!({ "done": 0, "failed": 3 })))));
}

#[tokio::test]
async fn a_child_that_killed_its_worker_three_times_counts_and_one_that_runs_again_does_not_yet() {
    let fleet = Fleet::new().await;
    let (claimed, _) = waiting_for(&fleet, &[job()]).await;
    fleet.claim(1).await;
    report_death(fleet.database(), fleet.worker).await.unwrap();
    for crash in 1..=3 {
        let swept = fleet.sweep().await;
        assert_eq!((swept.again, swept.dead), if crash < 3 { (1, 0) } else { (0, 1) });
        if crash < 3 {
            assert_eq!(state(&fleet, claimed.id).await, State::Waiting);
            let child = fleet.process().await;
            assert!(fleet.claim_suspect_as(child).await.unwrap().awaited);
            report_death(fleet.database(), child).await.unwrap();
        }
    }
    let next_process = fleet.process().await;
    let again = fleet.claim_as(next_process, 1).await.remove(0);
    let woken = fleet.attempt(&again).woken().await.unwrap().unwrap();
    assert_eq!((again.id, woken.answer), (claimed.id, Some(json!({ "done": 0, "failed": 1 }))));
}

#[tokio::test]
async fn a_stale_child_does_not_count_and_a_repeated_end_counts_once() {
    let fleet = Fleet::new().await;
    let (claimed, _) = waiting_for(&fleet, &vec![job(); 2]).await;
    let children = fleet.claim(10).await;
    fleet.finish(&[crate::fleet::stale(&children[0], Ending::Done(None))]).await;
    for _ in 0..3 {
        fleet.finish(&[done(&children[0])]).await;
    }
    assert_eq!(state(&fleet, claimed.id).await, State::Waiting);
    fleet.finish(&[done(&children[1])]).await;
    assert_eq!(state(&fleet, claimed.id).await, State::Ready);
}

#[tokio::test]
async fn children_that_end_at_the_same_moment_wake_their_parent_once_whoever_is_last() {
    let fleet = Fleet::new().await;
    for round in 0..10 {
        let claimed = fleet.running(parent()).await;
        let mut locked = fleet.attempt(&claimed).lock().await.unwrap();
        locked.enqueue_children(claimed.id, &vec![job(); 12]).await.unwrap();
        locked.commit().await.unwrap();
        let children = fleet.claim(12).await;
        let waits = [ended(&claimed, wait(Until::Children, 3600))];
        let outcomes: Vec<Outcome> =
            children.iter().enumerate().map(|(n, child)| if n % 3 == 0 { dead(child) } else { done(child) }).collect();
        let finishing = join_all(outcomes.chunks(3).map(|some| fleet.finish(some)));
        let (_, _) = tokio::join!(finishing, fleet.finish(&waits));
        let (again, woken) = next(&fleet).await;
        assert_eq!(woken, Some((By::Children, Some(json!({ "done": 8, "failed": 4 })))), "round {round}");
        fleet.finish(&[done(&again)]).await;
    }
    assert_eq!(left_over(&fleet).await, 0);
}

#[tokio::test]
async fn finishers_of_many_families_at_once_neither_deadlock_nor_lose_a_parent() {
    let fleet = Fleet::new().await;
    let mut tx = fleet.begin().await;
    for _ in 0..20 {
        batch::enqueue(&mut tx, &parent(), &vec![job(); 10]).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut children = fleet.claim(200).await;
    // Neighbours in a batch belong to different families, in a different order in each.
    children.sort_by_key(|child| (child.key % 1009 * 7919) % 1009);
    let outcomes: Vec<Outcome> = children.iter().map(done).collect();
    let finished = join_all(outcomes.chunks(25).map(|some| fleet.finish(some))).await;
    assert_eq!(finished.iter().map(std::collections::HashSet::len).sum::<usize>(), 200);
    let completions = fleet.claim(100).await;
    assert_eq!((completions.len(), left_over(&fleet).await), (20, 0));
    for completion in completions {
        let woken = fleet.attempt(&completion).woken().await.unwrap().unwrap();
        assert_eq!(woken.answer, Some(json!({ "done": 10, "failed": 0 })));
    }
}

#[tokio::test]
async fn a_parents_wait_waits_for_a_child_that_ends_at_this_moment() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(parent()).await;
    let mut locked = fleet.attempt(&claimed).lock().await.unwrap();
    locked.enqueue_children(claimed.id, &[job()]).await.unwrap();
    locked.commit().await.unwrap();
    let child = fleet.claim(1).await.remove(0);
    // Ends the child in a transaction that is held open.
    let mut ending = fleet.begin().await;
    let end = "with gone as (delete from vtoc.job_child where id = $1 returning parent_id)
        update vtoc.job_family f set \"left\" = 0, done = 1 from gone where f.parent_id = gone.parent_id";
    sqlx::query(end).bind(child.key).execute(&mut *ending).await.unwrap();
    let blocked =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let waits = [ended(&claimed, wait(Until::Children, 3600))];
    tokio::join!(fleet.finish(&waits), async {
        eventually("the wait waits", Duration::from_secs(4), async || fleet.base.count(blocked).await == 1).await;
        ending.commit().await.unwrap();
    });
    assert_eq!(next(&fleet).await.1, Some((By::Children, Some(json!({ "done": 1, "failed": 0 })))));
}

#[tokio::test]
async fn a_batchs_completion_runs_once_all_have_ended_those_added_meanwhile_too() {
    let fleet = Fleet::new().await;
    let batch = enqueue_batch(&fleet, &parent(), &vec![job(); 2]).await;
    let waiting = inspect::job(fleet.database(), Scope::Fleet, batch.completion.id).await.unwrap().unwrap().job;
    assert_eq!(
        (waiting.state, waiting.waits_for.as_deref(), waiting.waits_until),
        (State::Waiting, Some("children"), None)
    );
    fleet.pass(40 * 86_400 / 100).await;
    looked(&fleet).await;
    let children = fleet.claim(10).await;
    assert_eq!(children.len(), 2);
    let family = fleet.attempt(&children[0]).parent().await.unwrap().unwrap();
    let mut locked = fleet.attempt(&children[0]).lock().await.unwrap();
    locked.enqueue_children(family, &[job()]).await.unwrap();
    locked.complete(None).await.unwrap();
    fleet.finish(&[dead(&children[1])]).await;
    assert_eq!(state(&fleet, batch.completion.id).await, State::Waiting);
    let added = fleet.claim(10).await.remove(0);
    fleet.finish(&[done(&added)]).await;
    let (completion, woken) = next(&fleet).await;
    assert_eq!((completion.id, completion.attempt), (batch.completion.id, 1));
    assert_eq!(woken, Some((By::Children, Some(json!({ "done": 2, "failed": 1 })))));
}

#[tokio::test]
async fn an_empty_batchs_completion_is_ready_at_once() {
    let fleet = Fleet::new().await;
    let batch = enqueue_batch(&fleet, &parent(), &[]).await;
    let (completion, woken) = next(&fleet).await;
    assert_eq!(completion.id, batch.completion.id);
    assert_eq!(woken, Some((By::Children, Some(json!({ "done": 0, "failed": 0 })))));
}

#[tokio::test]
async fn a_batch_is_there_whole_or_not_at_all_and_its_key_makes_a_repeat_the_same() {
    let fleet = Fleet::new().await;
    let mut tx = fleet.begin().await;
    batch::enqueue(&mut tx, &keyed("nightly", None), &[job()]).await.unwrap();
    drop(tx);
    assert_eq!((fleet.census().await, left_over(&fleet).await), ((0, 0, 0), 0));
    let first = enqueue_batch(&fleet, &keyed("nightly", None), &[job()]).await;
    let again = enqueue_batch(&fleet, &keyed("nightly", None), &[job()]).await;
    assert!(first.completion.fresh && !again.completion.fresh);
    assert_eq!((again.completion.id, again.jobs.len()), (first.completion.id, 0));
    assert_eq!(fleet.census().await, (1, 0, 0));
}

#[tokio::test]
async fn a_batch_may_be_a_child_of_a_job_that_waits_for_it() {
    let fleet = Fleet::new().await;
    let (grandparent, enqueued) = waiting_for(&fleet, &[parent()]).await;
    let middle = fleet.claim(1).await.remove(0);
    assert_eq!(middle.id, enqueued[0].id);
    let mut locked = fleet.attempt(&middle).lock().await.unwrap();
    locked.enqueue_children(middle.id, &[job()]).await.unwrap();
    locked.wait(Until::Children, Duration::from_secs(60)).await.unwrap();
    let leaf = fleet.claim(1).await.remove(0);
    fleet.finish(&[done(&leaf)]).await;
    assert_eq!(state(&fleet, grandparent.id).await, State::Waiting);
    let (middle, _) = next(&fleet).await;
    fleet.finish(&[done(&middle)]).await;
    assert_eq!(next(&fleet).await.0.id, grandparent.id);
}

#[tokio::test]
async fn children_of_a_parent_that_has_ended_leave_nothing_behind() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(parent()).await;
    let mut locked = fleet.attempt(&claimed).lock().await.unwrap();
    locked.enqueue_children(claimed.id, &[job()]).await.unwrap();
    locked.complete(None).await.unwrap();
    let child = fleet.claim(1).await.remove(0);
    fleet.finish(&[done(&child)]).await;
    assert_eq!(fleet.census().await, (0, 0, 2));
    fleet.pass(86_460).await;
    forget_ended(fleet.database()).await.unwrap();
    assert_eq!(left_over(&fleet).await, 0);
}

#[tokio::test]
async fn a_family_whose_parent_still_runs_is_not_forgotten() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(parent()).await;
    let mut tx = fleet.begin().await;
    family::enqueue(&mut tx, claimed.id, &[job()]).await.unwrap();
    tx.commit().await.unwrap();
    let child = fleet.claim(1).await.remove(0);
    fleet.finish(&[dead(&child)]).await;
    forget_ended(fleet.database()).await.unwrap();
    fleet.finish(&[ended(&claimed, wait(Until::Children, 60))]).await;
    assert_eq!(next(&fleet).await.1, Some((By::Children, Some(json!({ "done": 0, "failed": 1 })))));
}

#[tokio::test]
async fn a_parent_whose_process_dies_right_after_its_wait_is_not_touched_by_the_sweep() {
    let fleet = Fleet::new().await;
    let (claimed, _) = waiting_for(&fleet, &[job()]).await;
    report_death(fleet.database(), fleet.worker).await.unwrap();
    fleet.pass(i64::try_from(LEASE.as_secs()).unwrap() * 2).await;
    let swept = fleet.sweep().await;
    assert_eq!((swept.again, swept.dead), (0, 0));
    assert_eq!(state(&fleet, claimed.id).await, State::Waiting);
    let other = fleet.process().await;
    let child = fleet.claim_as(other, 1).await.remove(0);
    fleet.finish(&[done(&child)]).await;
    assert_eq!(fleet.claim_as(other, 1).await[0].id, claimed.id);
}
