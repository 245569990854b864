//! That the laws bite: without the index that a statement counts on, it is told of.

use jobs::queue::claim::claim;

use super::{stage::Stage, work::Lane};

#[tokio::test]
async fn a_missing_index_is_seen() {
    let mut stage = Stage::new().await;
    let lane = Lane::new();
    stage.pin("claim with its index", 50, async |db| drop(claim(db, &lane.claim(50)).await.unwrap())).await;
    assert!(stage.broken().is_empty(), "{}", stage.broken()[0]);
    stage.base.execute("drop index vtoc.job_ready_claim").await;
    stage.pin("claim without its index", 50, async |db| drop(claim(db, &lane.claim(50)).await.unwrap())).await;
    assert_eq!(stage.broken().len(), 1);
    assert!(stage.broken()[0].how.contains("job_ready"), "{}", stage.broken()[0]);
}
