//! Payloads over the cap: stored beside the job and given to its kind whole; everybody else sees their size.

use std::time::Duration;

use jobs::{
    Error, Scope, inspect,
    kinds::{Cx, Failure, Kind, Kinds, Policy, entry},
    queue::{
        Claimed, Fate, NewJob,
        cancel::{Cancelled, cancel},
        enqueue,
        enqueue::PAYLOAD_MAX,
        history::make_partitions,
        large::LARGE_MAX,
    },
    stations::Role,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    fleet::{Fleet, done, job, keyed},
    prune::{days_pass, due, pruned},
    runs,
};

/// Answers with how much it was given.
#[derive(Debug, Serialize, Deserialize)]
struct Weigh {
    load: String,
}

impl Kind for Weigh {
    const NAME: &'static str = "weigh";
    const POLICY: Policy = Policy::effect("bench");

    async fn run(self, _: &Cx) -> Result<Fate, Failure> {
        Ok(Fate::Done(Some(json!(self.load.len()))))
    }
}

async fn weighed(fleet: &Fleet, claimed: &Claimed) -> Fate {
    let kinds = Kinds::released().with(entry::<Weigh>());
    let cx = Cx { attempt: fleet.attempt(claimed), services: jobs::testing::services() };
    kinds.get("weigh").unwrap().run(claimed.payload.clone(), cx).await
}

fn loaded(bytes: usize) -> NewJob {
    NewJob { payload: json!({ "load": "x".repeat(bytes) }), ..job() }
}

async fn beside(fleet: &Fleet) -> i64 {
    fleet.base.count("select count(*) from vtoc.job_large").await
}

#[tokio::test]
async fn a_payload_over_the_cap_reaches_its_kind_whole_and_is_shown_by_its_size() {
    let fleet = Fleet::new().await;
    let bytes = 2 * 1024 * 1024;
    let claimed = fleet.running(loaded(bytes)).await;
    assert_eq!(claimed.payload.get(), format!("{{\"vtoc:beside\": {}}}", bytes + r#"{"load":""}"#.len()));
    assert_eq!(weighed(&fleet, &claimed).await, Fate::Done(Some(json!(bytes))));
    let detail = inspect::job(fleet.database(), Scope::Fleet, claimed.id).await.unwrap().unwrap();
    assert_eq!(detail.payload, json!({ "vtoc:beside": bytes + 11 }));
}

#[tokio::test]
async fn up_to_the_cap_nothing_is_stored_beside() {
    let fleet = Fleet::new().await;
    let at_the_cap = PAYLOAD_MAX - r#"{"load":""}"#.len();
    let claimed = fleet.running(loaded(at_the_cap)).await;
    assert_eq!((beside(&fleet).await, weighed(&fleet, &claimed).await), (0, Fate::Done(Some(json!(at_the_cap)))));
    let claimed = fleet.running(loaded(at_the_cap + 1)).await;
    assert_eq!((beside(&fleet).await, weighed(&fleet, &claimed).await), (1, Fate::Done(Some(json!(at_the_cap + 1)))));
}

#[tokio::test]
async fn the_largest_is_taken_and_a_larger_one_is_refused() {
    let fleet = Fleet::new().await;
    let largest = LARGE_MAX - r#"{"load":""}"#.len();
    let claimed = fleet.running(loaded(largest)).await;
    assert_eq!(weighed(&fleet, &claimed).await, Fate::Done(Some(json!(largest))));
    let refused = enqueue(&mut fleet.begin().await, &[loaded(largest + 1)]).await;
    assert!(matches!(refused, Err(Error::Invalid { field: "payload", .. })), "{refused:?}");
}

#[tokio::test]
async fn a_mixed_batch_keeps_its_order_and_a_taken_key_stores_nothing_beside() {
    let fleet = Fleet::new().await;
    let large =
        |n: usize| NewJob { payload: json!({ "load": "x".repeat(300_000 + n) }), ..keyed(&n.to_string(), None) };
    fleet.enqueue(&[large(1)]).await;
    let answered = fleet.enqueue(&[loaded(2), large(1), large(3), loaded(4)]).await;
    assert_eq!(answered.iter().map(|one| one.fresh).collect::<Vec<_>>(), [true, false, true, true]);
    assert_eq!(beside(&fleet).await, 2);
    let mut weights = Vec::new();
    for claimed in fleet.claim(10).await {
        weights.push(weighed(&fleet, &claimed).await);
    }
    assert_eq!(weights, [300_001, 2, 300_003, 4].map(|bytes| Fate::Done(Some(json!(bytes)))));
}

#[tokio::test]
async fn a_station_may_enqueue_one_for_itself() {
    let fleet = Fleet::new().await;
    let station = fleet.base.station("one", Role::Ops).await.id;
    let large = NewJob { station: Some(station), ..loaded(300_000) };
    let mut tx = fleet.database().begin(Scope::Station(station)).await.unwrap();
    enqueue(&mut tx, &[large]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(beside(&fleet).await, 1);
}

#[tokio::test]
async fn nobody_can_pretend_that_a_payload_is_stored_beside() {
    let fleet = Fleet::new().await;
    for payload in [json!({ "vtoc:beside": 7 }), json!({ "vtoc:beside": 7, "load": "x" })] {
        let refused = enqueue(&mut fleet.begin().await, &[NewJob { payload, ..job() }]).await;
        assert!(matches!(refused, Err(Error::Invalid { field: "payload", .. })), "{refused:?}");
    }
    fleet.enqueue(&[NewJob { payload: Value::from("vtoc:beside"), ..job() }]).await;
}

#[tokio::test]
async fn a_job_whose_payload_is_gone_is_dead_and_says_so() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(loaded(300_000)).await;
    fleet.base.execute("delete from vtoc.job_large").await;
    assert_eq!(
        weighed(&fleet, &claimed).await,
        Fate::Dead("payload: what was stored beside the job is gone".to_owned())
    );
}

#[tokio::test]
async fn its_partitions_are_made_ahead_with_the_others() {
    let fleet = Fleet::new().await;
    fleet.pass(20 * 86_400).await;
    make_partitions(fleet.database()).await.unwrap();
    let claimed = fleet.running(loaded(300_000)).await;
    assert_eq!(weighed(&fleet, &claimed).await, Fate::Done(Some(json!(300_000))));
}

#[tokio::test]
async fn the_audit_named_in_a_payload_stored_beside_ends_with_its_job() {
    let (hall, job) = runs::ask().await;
    let aside =
        "insert into vtoc.job_large (id, station_id, payload) select id, station_id, payload from vtoc.job_body;
        update vtoc.job_body set payload = '{\"vtoc:beside\": 300000}'";
    hall.base.execute(aside).await;
    assert_eq!(cancel(&hall.base.database, Scope::Fleet, job, "not needed").await.unwrap(), Cancelled::Now);
    assert_eq!(hall.base.text("select status from vtoc.audit").await.as_deref(), Some("failed"));
}

#[tokio::test]
async fn a_payload_over_the_cap_outlives_its_day_while_its_job_needs_it() {
    let fleet = Fleet::new().await;
    let over = fleet.running(loaded(300_000)).await;
    fleet.finish(&[done(&over)]).await;
    fleet.enqueue(&[NewJob { delay: Duration::from_secs(20 * 86_400), ..loaded(400_000) }]).await;
    days_pass(&fleet, 5).await;
    assert!(pruned(&fleet).await.dropped.iter().any(|name| name.starts_with("job_large")));
    let stored = "select (select count(*) from vtoc.job_large) * 10 + (select count(*) from vtoc.job_large_kept)";
    assert_eq!(fleet.base.count(stored).await, 1);
    days_pass(&fleet, 16).await;
    let claimed = due(&fleet).await.remove(0);
    assert_eq!(weighed(&fleet, &claimed).await, Fate::Done(Some(json!(400_000))));
    fleet.finish(&[done(&claimed)]).await;
    days_pass(&fleet, 3).await;
    pruned(&fleet).await;
    assert_eq!(fleet.base.count(stored).await, 0);
}
