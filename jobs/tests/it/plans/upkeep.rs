//! What pruning sends: a day of bodies and a day of history at a time, in batches.

use jobs::queue::{
    history::make_partitions,
    prune::{Detaching, prune},
};

use super::stage::Stage;

/// The oldest day is done but for a few, and it is the next day.
const NEXT_DAY: &str = "delete from vtoc.job_ready
    where id < (select ((kept_checked_on - 1) - date '1970-01-01')::bigint << 40 from vtoc.job_floor) and id % 100 <> 0;
    do $$
    begin
        execute format(
            'create or replace function vtoc.clock() returns timestamptz language sql volatile parallel safe
            as $c$ select clock_timestamp() + interval %L $c$',
            vtoc.clock() + interval '1 day' - clock_timestamp());
    end
    $$;";

#[tokio::test]
async fn pruning_reads_by_batches() {
    let mut stage = Stage::with_connections(3).await;
    stage.base.execute(NEXT_DAY).await;
    stage.base.execute("vacuum (analyze) vtoc.job_ready").await;
    let mut dropped = Vec::new();
    stage
        .pin("prune", 5_000, async |db| {
            dropped.extend(prune(db, Detaching::AtOnce).await.unwrap().unwrap().dropped);
        })
        .await;
    stage.pin("make partitions", 100, async |db| make_partitions(db).await.unwrap()).await;
    assert!(dropped.iter().any(|day| day.starts_with("job_body")), "{dropped:?}");
    assert!(dropped.iter().any(|day| day.starts_with("job_finished")), "{dropped:?}");
    stage.close("upkeep").await;
}
