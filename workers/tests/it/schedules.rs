//! Schedules by real worker processes: on time, one job a tick, and found soon when they are new. What each operation does is
//! tested in `jobs`.

use std::time::Duration;

use jobs::{
    Scope,
    kinds::Kinds,
    schedules::{Changes, NewSchedule, create, edit},
};

use crate::fleet::{Fleet, Worker};

async fn until_registered(fleet: &Fleet, workers: i64) {
    fleet.until("select count(*) from vtoc.worker where not isolated", workers).await;
}

/// A schedule of the test's kinds, which only the workers know.
fn telling(fleet: &Fleet, expression: &str) -> NewSchedule {
    NewSchedule {
        name: "tell".to_owned(),
        station: Some("toc-s1".to_owned()),
        expression: expression.to_owned(),
        kind: "tell_receiver".to_owned(),
        queue: Some("default".to_owned()),
        attempts_max: Some(5),
        payload: fleet.tell(0),
        ..NewSchedule::default()
    }
}

#[tokio::test]
async fn three_workers_fire_a_schedule_on_time_and_each_tick_once() {
    let fleet = Fleet::new().await;
    let _workers: Vec<Worker> = (0..3).map(|_| fleet.worker()).collect();
    until_registered(&fleet, 3).await;
    create(&fleet.db.database, &Kinds::released(), Scope::Fleet, &telling(&fleet, "1s")).await.unwrap();
    fleet.until("select count(*) from vtoc.job_finished where state = 'done'", 5).await;
    // Made while they slept, the schedule's first ticks are late; from then on none is.
    fleet.db.execute("create table public.seen as select max(id) as id from vtoc.job_body").await;
    fleet.until("select count(*) from vtoc.job_finished f join public.seen s on f.id > s.id", 5).await;
    let late_ms =
        "select max(extract(epoch from b.enqueued_at - split_part(b.dedupe_key, '@', 2)::timestamptz) * 1000)::bigint
        from vtoc.job_body b join public.seen s on b.id > s.id";
    let late_ms = fleet.db.count(late_ms).await;
    assert!((0..900).contains(&late_ms), "{late_ms} ms late");
    let repeated = "select count(*) - count(distinct dedupe_key) from vtoc.job_body";
    assert_eq!(fleet.db.count(repeated).await, 0);
}

#[tokio::test]
async fn a_schedule_made_or_edited_while_workers_sleep_is_found_within_eleven_seconds() {
    let fleet = Fleet::new().await;
    let _worker = fleet.worker();
    until_registered(&fleet, 1).await;
    let kinds = Kinds::released();
    create(&fleet.db.database, &kinds, Scope::Fleet, &telling(&fleet, "0 0 1 1 *")).await.unwrap();
    let often = Changes { expression: Some("1s".to_owned()), ..Changes::default() };
    edit(&fleet.db.database, &kinds, Scope::Fleet, "tell", &often).await.unwrap().unwrap();
    let edited = std::time::Instant::now();
    fleet.until("select count(*) from vtoc.job_body", 1).await;
    assert!(edited.elapsed() < Duration::from_secs(14), "{:?}", edited.elapsed());
}
