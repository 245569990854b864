//! Pruning as far as one can look back: what must be gone is gone as whole days, what must stay stays readable, and nothing
//! is dropped before its time.

use std::time::Duration;

use jobs::{
    Error, JobId, Scope,
    inspect::{self, State},
    queue::{
        Ending, NewJob, Until,
        claim::look,
        enqueue,
        finish::finish,
        history::make_partitions,
        prune::{Detaching, Pruned, prune},
        sweep::Swept,
    },
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::{
    fleet::{Fleet, done, ended, job, keyed, lane},
    waiting::wait,
};

const DAY_S: i64 = 86_400;

/// Lets days pass as a fleet does that looks after its partitions.
pub(crate) async fn days_pass(fleet: &Fleet, days: i64) {
    for _ in 0..days {
        fleet.pass(DAY_S).await;
        make_partitions(fleet.database()).await.unwrap();
    }
}

pub(crate) async fn pruned(fleet: &Fleet) -> Pruned {
    let pruned = prune(fleet.database(), Detaching::Concurrently).await.unwrap().expect("nobody else prunes");
    assert_eq!(pruned.left, Vec::<String>::new());
    pruned
}

/// Jobs that are due by now, claimed.
pub(crate) async fn due(fleet: &Fleet) -> Vec<jobs::queue::Claimed> {
    let (queues, kinds) = lane();
    look(fleet.database(), fleet.worker, &queues, &kinds).await.unwrap();
    fleet.claim(100).await
}

pub(crate) fn in_days(days: u64, payload: Value) -> NewJob {
    NewJob { delay: Duration::from_secs(days * 86_400), payload, ..job() }
}

/// Whether the day's bodies on which the test began are still a table.
async fn first_day_is_there(fleet: &Fleet) -> bool {
    let there =
        "select count(*) from pg_class where relname = 'job_body_' || to_char(now() at time zone 'UTC', 'YYYYMMDD')";
    fleet.base.count(there).await == 1
}

async fn payload(fleet: &Fleet, id: JobId) -> Option<Value> {
    inspect::job(fleet.database(), Scope::Fleet, id).await.unwrap().map(|job| job.payload)
}

#[tokio::test]
async fn jobs_done_days_ago_are_gone_and_so_are_their_days() {
    let fleet = Fleet::new().await;
    fleet.enqueue(&vec![job(); 10]).await;
    let results: Vec<_> = fleet.claim(10).await.iter().map(done).collect();
    fleet.finish(&results).await;
    for _ in 0..2 {
        days_pass(&fleet, 1).await;
        pruned(&fleet).await;
        assert!(first_day_is_there(&fleet).await);
    }
    days_pass(&fleet, 2).await;
    let dropped = pruned(&fleet).await;
    assert!(dropped.dropped.iter().any(|name| name.starts_with("job_body")), "{dropped:?}");
    assert_eq!((dropped.kept, dropped.deleted), (0, 0));
    assert!(!first_day_is_there(&fleet).await);
    assert_eq!(fleet.census().await, (0, 0, 0));
    assert_eq!(fleet.base.count("select count(*) from vtoc.job").await, 0);
    assert_eq!(pruned(&fleet).await, Pruned::default());
}

#[tokio::test]
async fn a_dead_job_keeps_its_body_for_a_month_and_goes_with_its_history() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(NewJob { payload: json!({ "n": 7 }), ..job() }).await;
    fleet.finish(&[ended(&claimed, Ending::Dead { outcome: "dead", error: "no".to_owned() })]).await;
    for day in 1..=29 {
        days_pass(&fleet, 1).await;
        pruned(&fleet).await;
        let found = inspect::job(fleet.database(), Scope::Fleet, claimed.id).await.unwrap().unwrap();
        assert_eq!((found.job.state, &found.payload), (State::Dead, &json!({ "n": 7 })), "day {day}");
        assert_eq!(found.attempts.len(), 1, "day {day}");
    }
    assert!(!first_day_is_there(&fleet).await);
    days_pass(&fleet, 4).await;
    pruned(&fleet).await;
    assert_eq!(payload(&fleet, claimed.id).await, None);
    for table in ["job_kept", "job_attempt", "job_finished"] {
        assert_eq!(fleet.base.count(&format!("select count(*) from vtoc.{table}")).await, 0, "{table}");
    }
}

#[tokio::test]
async fn jobs_older_than_every_retention_run_with_what_they_were_given() {
    let fleet = Fleet::new().await;
    let under_way = fleet.running(NewJob { payload: json!("under way"), ..job() }).await;
    let snoozing = fleet.running(NewJob { payload: json!("snoozing"), ..job() }).await;
    let snooze = Ending::Again {
        delay: Duration::from_secs(40 * 86_400),
        burned: false,
        outcome: "snooze",
        error: Some("not yet".to_owned()),
    };
    fleet.finish(&[ended(&snoozing, snooze)]).await;
    let waiting = fleet.running(NewJob { payload: json!("waiting"), ..job() }).await;
    fleet.finish(&[ended(&waiting, wait(Until::Callback, 40 * 86_400))]).await;
    let later = fleet.enqueue(&[in_days(40, json!("later"))]).await[0].id;
    days_pass(&fleet, 41).await;
    assert_eq!(pruned(&fleet).await.kept, 4);
    assert!(!first_day_is_there(&fleet).await);
    assert_eq!(payload(&fleet, under_way.id).await, Some(json!("under way")));
    assert_eq!(fleet.finish(&[done(&under_way)]).await.len(), 1);
    let mut claimed = due(&fleet).await;
    claimed.sort_by_key(|claimed| claimed.key);
    let given: Vec<(JobId, &str)> = claimed.iter().map(|claimed| (claimed.id, claimed.payload.get())).collect();
    assert_eq!(given, [(snoozing.id, "\"snoozing\""), (waiting.id, "\"waiting\""), (later, "\"later\"")]);
    assert_eq!(inspect::attempts(fleet.database(), Scope::Fleet, snoozing.id).await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn attempts_and_effects_go_with_the_bodies_they_belong_to() {
    let fleet = Fleet::new().await;
    let again = || Ending::Again { delay: Duration::ZERO, burned: true, outcome: "retry", error: None };
    for _ in 0..3 {
        let claimed = fleet.running(job()).await;
        fleet.finish(&[ended(&claimed, again())]).await;
        let claimed = fleet.claim(1).await.remove(0);
        fleet.finish(&[done(&claimed)]).await;
    }
    let effects = "insert into vtoc.effect (job_id, name, idempotency_key, method, host, status, elapsed_ms)
        select id, 'post', 'k', 'POST', 'h', 201, 1 from vtoc.job";
    fleet.base.execute(effects).await;
    days_pass(&fleet, 5).await;
    assert_eq!(pruned(&fleet).await.deleted, 9);
    assert_eq!(
        fleet.base.count("select (select count(*) from vtoc.job_attempt) + (select count(*) from vtoc.effect)").await,
        0
    );
}

#[tokio::test]
async fn dedupe_keys_are_freed_after_their_period_and_not_before() {
    let fleet = Fleet::new().await;
    let hour = Some(Duration::from_secs(3600));
    let live = fleet.enqueue(&[NewJob { delay: Duration::from_secs(1_000_000), ..keyed("live", hour) }]).await[0];
    let ended = fleet.running(keyed("ended", hour)).await;
    fleet.finish(&[done(&ended)]).await;
    let keys = "select string_agg(key, ' ' order by key) from vtoc.job_unique";
    pruned(&fleet).await;
    assert_eq!(fleet.base.text(keys).await.as_deref(), Some("ended live"));
    fleet.pass(3601).await;
    assert_eq!(pruned(&fleet).await.deleted, 1);
    assert_eq!(fleet.base.text(keys).await.as_deref(), Some("live"));
    assert_eq!(fleet.enqueue(&[keyed("live", hour)]).await[0].id, live.id);
    assert!(fleet.enqueue(&[keyed("ended", hour)]).await[0].fresh);
}

#[tokio::test]
async fn an_enqueue_that_is_not_committed_yet_keeps_its_day() {
    let fleet = Fleet::new().await;
    let mut tx = fleet.begin().await;
    enqueue(&mut tx, &[NewJob { payload: json!("late"), ..job() }]).await.unwrap();
    days_pass(&fleet, 5).await;
    let first = prune(fleet.database(), Detaching::Concurrently).await.unwrap().unwrap();
    assert!(first.left.iter().any(|left| left.starts_with("job_body")), "{first:?}");
    tx.commit().await.unwrap();
    assert_eq!(pruned(&fleet).await.kept, 1);
    assert_eq!(fleet.claim(1).await[0].payload.get(), "\"late\"");
}

#[tokio::test]
async fn one_process_prunes_at_a_time() {
    let fleet = Fleet::new().await;
    let mut other = fleet.base.owner().await;
    sqlx::raw_sql("select pg_advisory_lock(hashtextextended('vtoc prune', 0))").execute(&mut other).await.unwrap();
    assert_eq!(prune(fleet.database(), Detaching::Concurrently).await.unwrap(), None);
    other.close().await.unwrap();
    pruned(&fleet).await;
}

#[tokio::test]
async fn whoever_finds_no_partition_makes_it_and_is_told_to_try_again() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    fleet.pass(60 * DAY_S).await;
    let mut tx = fleet.begin().await;
    let missing = enqueue(&mut tx, &[job()]).await.unwrap_err();
    assert!(matches!(missing, Error::NoDay(_)) && missing.is_transient(), "{missing}");
    drop(tx);
    assert!(finish(fleet.database(), &[done(&claimed)], &[]).await.unwrap_err().is_transient());
    assert_eq!(fleet.finish(&[done(&claimed)]).await.len(), 1);
    assert!(fleet.enqueue(&[job()]).await[0].fresh);
}

#[tokio::test]
async fn the_database_itself_refuses_to_drop_a_day_too_early() {
    let fleet = Fleet::new().await;
    let mut maintenance = PgConnection::connect(&fleet.base.url).await.unwrap();
    sqlx::raw_sql("set role vtoc_maintenance").execute(&mut maintenance).await.unwrap();
    let detach = "do $$ begin
        execute 'alter table vtoc.job_body detach partition vtoc.job_body_' || to_char(now() at time zone 'UTC', 'YYYYMMDD');
        execute 'alter table vtoc.job_finished detach partition vtoc.job_finished_' || to_char(now() at time zone 'UTC' + interval '1 day', 'YYYYMMDD');
    end $$";
    let drop = |parent: &str, ahead: i32| {
        format!("select vtoc.drop_day_partition('{parent}', (now() at time zone 'UTC')::date + {ahead})")
    };
    let mut refused = Vec::new();
    for statement in
        [drop("job_body", 0), detach.to_owned(), drop("job_body", 0), drop("job_finished", 1), drop("job_ready", 0)]
    {
        if let Err(error) = sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut maintenance).await {
            refused.push(error.as_database_error().unwrap().message().to_owned());
        }
    }
    let why = ["is not detached", "bodies are still read from", "has not expired", "is not dropped by days"];
    assert!(refused.len() == why.len() && refused.iter().zip(why).all(|(said, why)| said.contains(why)), "{refused:?}");
}

#[tokio::test]
async fn a_job_whose_day_was_moved_is_taken_back_when_its_process_is_gone() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(NewJob { payload: json!("old"), ..job() }).await;
    days_pass(&fleet, 5).await;
    assert_eq!(pruned(&fleet).await.kept, 1);
    assert!(!first_day_is_there(&fleet).await);
    assert_eq!(fleet.sweep().await, Swept { again: 1, suspects: 0, dead: 0 });
    let again = fleet.claim_suspect_as(fleet.worker).await.unwrap();
    assert_eq!((again.id, again.payload.get()), (claimed.id, "\"old\""));
}

#[tokio::test]
async fn history_that_expired_within_the_last_hour_is_not_dropped_yet() {
    let fleet = Fleet::new().await;
    let claimed = fleet.running(job()).await;
    fleet.finish(&[done(&claimed)]).await;
    let half_past_s = "select extract(epoch from date_trunc('day', expires_at, 'UTC') + interval '1 day 30 min' - vtoc.clock())::bigint from vtoc.job_finished";
    fleet.pass(fleet.base.count(half_past_s).await).await;
    make_partitions(fleet.database()).await.unwrap();
    pruned(&fleet).await;
    assert_eq!(fleet.end_of(claimed.key).await.as_deref(), Some("done"));
    fleet.pass(3_600).await;
    pruned(&fleet).await;
    assert_eq!(fleet.end_of(claimed.key).await, None);
}
