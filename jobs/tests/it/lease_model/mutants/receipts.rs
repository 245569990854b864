//! A database in which the key of a delivery is unique no more, and two copies of one delivery on two connections.

use futures::future::join_all;
use jobs::{
    ConnectOptions, Database, PageRequest, Scope,
    accept::Answer,
    inspect::{self, JobFilter},
    laws::{Law, Record, Report, Sight, check_so_far},
};
use serde_json::json;

use crate::accept::{By, Hall, deliver};

/// Delivers one message on two connections at once. The report on what was answered and what stands there then.
async fn delivered_twice(hall: &Hall) -> Report {
    let second = Database::connect(&hall.base.url, &ConnectOptions::default()).await.unwrap();
    let body = json!({ "id": "e-1", "channel": "toc-s1", "text": "@agent status", "user": { "id": "u-1" } });
    let pools = [&hall.base.database, &second];
    let answers = join_all(pools.map(|pool| deliver(pool, &hall.door, By::default(), &body))).await;
    let mut history = Vec::new();
    for answer in answers {
        let Answer::Accepted { job_id, .. } = answer.unwrap() else { panic!("not accepted") };
        history.push(Record::Sent { delivery: "e-1".to_owned(), sight: Sight::Accepted(job_id) });
    }
    let page = PageRequest::default();
    let jobs = inspect::jobs(&hall.base.database, Scope::Fleet, &JobFilter::default(), &page).await.unwrap();
    history.extend(jobs.items.into_iter().map(|job| Record::Enqueued {
        job: job.id,
        delivery: Some("e-1".to_owned()),
        attempts_max: job.attempts_max,
    }));
    check_so_far(&history)
}

#[tokio::test]
async fn receipts_without_a_unique_key_are_found() {
    let sound = delivered_twice(&Hall::new().await).await;
    assert!(sound.holds(), "{sound}");
    let hall = Hall::new().await;
    // The constraint itself is what `on conflict` names: it stays, and no two keys are the same any more.
    let unconstrained = "create function vtoc.any_key() returns trigger language plpgsql
            as 'begin new.key := new.key || gen_random_uuid(); return new; end';
        create trigger any_key before insert on vtoc.receipt_key for each row execute function vtoc.any_key()";
    hall.base.execute(unconstrained).await;
    let report = delivered_twice(&hall).await;
    let whats: Vec<(Law, &str)> = report.violations.iter().map(|violation| (violation.law, violation.what)).collect();
    let expected = ["one delivery is several jobs", "a repeated delivery was answered with another job"];
    assert_eq!(whats, expected.map(|what| (Law::Kept, what)), "{report}");
}
