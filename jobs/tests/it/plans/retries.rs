//! What the api sends to run ended jobs again, or to remove them.

use jobs::{
    PageRequest, Scope, StationId,
    queue::dead::{End, Filter, Retried, purge, purge_matching, retry, retry_matching},
};

use super::stage::Stage;

#[tokio::test]
async fn ended_jobs_are_brought_back_and_removed_by_pages() {
    let mut stage = Stage::new().await;
    let dead = stage.jobs("select id from vtoc.job_finished where state = 'dead' limit 400").await;
    let mut pages = dead.chunks(50);
    stage
        .pin("retry 50 by id", 50, async |db| {
            let retried = retry(db, Scope::Fleet, pages.next().unwrap()).await.unwrap();
            assert!(retried.contains(&Retried::Again));
        })
        .await;
    let cancelled = stage.jobs("select id from vtoc.job_finished where state = 'cancelled' limit 400").await;
    let mut pages = cancelled.chunks(50);
    stage
        .pin("purge 50 by id", 50, async |db| {
            assert_eq!(purge(db, Scope::Fleet, pages.next().unwrap()).await.unwrap().len(), 50);
        })
        .await;
    for (name, filter) in filters() {
        for (whose, scope) in [("", Scope::Fleet), (", with a station's token", Scope::Station(StationId(1)))] {
            let page = PageRequest::default();
            // A filter reads past what isn't meant, of which there is more each time.
            let limit = if name.contains(" of ") { 1_000 } else { 200 };
            stage
                .pin(&format!("retry {name}{whose}"), limit, async |db| {
                    assert!(!retry_matching(db, scope, &filter, &page).await.unwrap().items.is_empty());
                })
                .await;
            stage
                .pin(&format!("purge {name}{whose}"), limit, async |db| {
                    assert!(!purge_matching(db, scope, &filter, &page).await.unwrap().items.is_empty());
                })
                .await;
        }
    }
    stage.close("retries").await;
}

fn filters() -> [(&'static str, Filter); 4] {
    let dead = Filter::default();
    [
        ("the dead", dead.clone()),
        ("the dead of a queue", Filter { queue: Some("default".to_owned()), ..dead.clone() }),
        ("the dead of a kind", Filter { kind: Some("run_playbook".to_owned()), ..dead }),
        ("the cancelled", Filter { end: End::Cancelled, ..Filter::default() }),
    ]
}
