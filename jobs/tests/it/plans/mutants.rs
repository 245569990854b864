//! That the laws bite: without the index that a statement counts on, it is told of.

use jobs::{
    PageRequest, Scope,
    queue::{Fronts, claim::claim_from},
    runs,
};

use super::{stage::Stage, work::Lane};

#[tokio::test]
async fn a_missing_index_is_seen() {
    let mut stage = Stage::new().await;
    both(&mut stage, "with its index").await;
    assert!(stage.broken().is_empty(), "{}", stage.broken()[0]);
    stage.base.execute("drop index vtoc.job_ready_claim, vtoc.playbook_run_newest").await;
    both(&mut stage, "without").await;
    let how: Vec<&str> = stage.broken().iter().map(|broken| broken.how.as_str()).collect();
    assert!(
        matches!(how[..], [claim, list] if claim.contains("on job_ready") && list.contains("on playbook_run")),
        "{how:?}"
    );
    stage.base.drop().await;
}

async fn both(stage: &mut Stage, how: &str) {
    let lane = Lane::new();
    stage
        .pin(&format!("claim {how}"), 50, async |db| {
            claim_from(db, &lane.claim(50), &lane.lanes(50), &Fronts::default(), || ()).await.unwrap();
        })
        .await;
    let page = PageRequest::default();
    stage.pin(&format!("list {how}"), 50, async |db| drop(runs::list(db, Scope::Fleet, &page).await.unwrap())).await;
}
