//! Group commit: who shares a transaction gets what he would have got alone.

use jobs::{
    Error, Wake,
    queue::{Enqueued, Grouped, NewJob},
};
use serde_json::json;

use crate::fleet::{Fleet, job, keyed};

async fn all(grouped: &Grouped, jobs: Vec<NewJob>) -> Vec<Result<Enqueued, Error>> {
    let asked = jobs.into_iter().map(|job| {
        let grouped = grouped.clone();
        tokio::spawn(async move { grouped.enqueue(job).await })
    });
    let mut answers = Vec::new();
    for one in asked.collect::<Vec<_>>() {
        answers.push(one.await.unwrap());
    }
    answers
}

#[tokio::test]
async fn every_caller_is_answered_with_a_job_of_his_own_in_far_fewer_transactions() {
    let fleet = Fleet::new().await;
    let grouped = Grouped::start(fleet.database(), &Wake::silent());
    let jobs = (0..400).map(|n| NewJob { payload: json!({ "n": n }), ..job() }).collect();
    let answers = all(&grouped, jobs).await;
    for (n, answer) in answers.iter().enumerate() {
        let key = answer.as_ref().unwrap().id.key();
        let payload = fleet.base.text(&format!("select payload ->> 'n' from vtoc.job where id = {key}")).await;
        assert_eq!(payload, Some(n.to_string()));
    }
    let transactions = fleet.base.count("select count(distinct xmin::text) from vtoc.job_ready").await;
    assert!(transactions < 100, "{transactions} transactions for 400 callers");
}

#[tokio::test]
async fn a_bad_job_is_refused_alone() {
    let fleet = Fleet::new().await;
    let grouped = Grouped::start(fleet.database(), &Wake::silent());
    let never = NewJob { attempts_max: 0, ..job() };
    let reserved = NewJob { payload: json!({ "vtoc:beside": 1 }), ..job() };
    let answers = all(&grouped, vec![job(), never, job(), reserved, job()]).await;
    let fine: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(fine, [true, false, true, false, true], "{answers:?}");
    assert_eq!(fleet.census().await, (3, 0, 0));
}

#[tokio::test]
async fn callers_with_one_key_get_one_job() {
    let fleet = Fleet::new().await;
    let grouped = Grouped::start(fleet.database(), &Wake::silent());
    let answers = all(&grouped, (0..50).map(|_| keyed("same", None)).collect()).await;
    let enqueued: Vec<Enqueued> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(enqueued.iter().filter(|one| one.fresh).count(), 1);
    assert!(enqueued.iter().all(|one| one.id == enqueued[0].id));
    assert_eq!(fleet.census().await, (1, 0, 0));
}

#[tokio::test]
async fn without_the_database_every_caller_hears_of_it() {
    let fleet = Fleet::new().await;
    let grouped = Grouped::start(fleet.database(), &Wake::silent());
    fleet.base.refuse_connections().await;
    let answers = all(&grouped, vec![job(), job()]).await;
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    fleet.base.accept_connections().await;
    assert!(grouped.enqueue(job()).await.is_ok());
}
