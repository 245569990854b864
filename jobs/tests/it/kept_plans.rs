//! Plans that a session made when the tables were empty, and keeps: none of them reads a table from end to end, or it would do so
//! for as long as nobody analyses the table, when there is much in it.

use std::time::Duration;

use jobs::{
    queue::{Fronts, Lane, claim::claim_from, claim::look, finish::finish},
    testing::eventually,
};
use uuid::Uuid;

use crate::fleet::{Fleet, done, job, lane, wish};

/// Claims `count` jobs and ends them, half of them before the others, as they end in a worker.
async fn cycle(fleet: &Fleet, fronts: &mut Fronts, count: u32) {
    let (queues, kinds) = lane();
    let lanes = [Lane { queue: &queues[0], station: None, quota: count }];
    let claimed = claim_from(fleet.database(), &wish(fleet.worker, count), &lanes, fronts, || ()).await.unwrap();
    assert_eq!(claimed.len(), count as usize);
    fronts.join(&Fronts::of(&claimed));
    let token = claimed[0].token;
    let outcomes: Vec<_> = claimed.iter().map(done).collect();
    let (first, last) = outcomes.split_at(outcomes.len() / 2);
    finish(fleet.database(), first, &[]).await.unwrap();
    finish(fleet.database(), last, &[token]).await.unwrap();
    look(fleet.database(), Uuid::nil(), &queues, &kinds).await.unwrap();
}

#[tokio::test]
async fn what_was_planned_for_empty_tables_reads_none_from_end_to_end() {
    let fleet = Fleet::new().await;
    fleet.base.execute("analyze").await;
    let mut fronts = Fronts::default();
    // Often enough that the server settles on a plan.
    for _ in 0..10 {
        fleet.enqueue(&[job(), job()]).await;
        cycle(&fleet, &mut fronts, 2).await;
    }
    fleet.enqueue(&vec![job(); 5_000]).await;
    for _ in 0..50 {
        cycle(&fleet, &mut fronts, 100).await;
    }
    // A session has told all that it read when it has ended.
    fleet.database().close().await;
    let sessions =
        "select count(*) from pg_stat_activity where datname = current_database() and application_name like 'vtoc%'";
    eventually("the sessions end", Duration::from_secs(20), async || fleet.base.count(sessions).await == 0).await;
    let read = fleet
        .base
        .text(
            "select string_agg(relname || ' ' || seq_scan || ' times, ' || seq_tup_read || ' rows', '; ' order by relname)
            from pg_stat_user_tables
            where schemaname = 'vtoc' and relname ~ '^job_(ready|lease|settled|body|finished|attempt|unique|waiting)' and seq_tup_read > 100",
        )
        .await;
    assert_eq!(read, None);
}
