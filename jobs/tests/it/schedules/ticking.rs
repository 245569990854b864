//! Ticks on a real database: one job a tick however many tick at once, missed ticks, pauses, and schedules that can't go on. The
//! clock is the database's; nothing is waited for.

use std::time::Duration;

use jobs::{
    ConnectOptions, Database, Scope,
    kinds::Kinds,
    schedules::{Missed, NewSchedule, Ticked, create, pause, resume, tick},
    testing::{Expected, TestDatabase, assert_enqueued, eventually, refute_enqueued},
};
use sqlx::Connection;

use super::{created, job, new, shown};

const MINUTE: Duration = Duration::from_secs(60);

/// As many ticks at once as there are `databases`.
async fn tick_at_once(databases: &[Database]) -> Vec<Ticked> {
    let ticks = databases.iter().map(tick);
    futures::future::join_all(ticks).await.into_iter().map(Result::unwrap).collect()
}

fn workers(db: &TestDatabase, count: usize) -> Vec<Database> {
    let options = ConnectOptions { connections_max: 1, ..ConnectOptions::default() };
    (0..count).map(|_| Database::connect_lazy(&db.url, &options).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_workers_make_one_job_a_tick() {
    let db = TestDatabase::new().await;
    let workers = workers(&db, 20);
    for name in ["a", "b", "c"] {
        created(&db, &new(name, "1m")).await;
    }
    for round in 1..=5 {
        db.advance(MINUTE).await;
        // Whoever found everything held comes again, as workers do.
        let mut jobs = 0;
        while jobs < 3 {
            jobs += tick_at_once(&workers).await.iter().map(|ticked| ticked.jobs).sum::<usize>();
        }
        assert_eq!(jobs, 3);
        for name in ["a", "b", "c"] {
            assert_enqueued(&db, job(name).times(round)).await;
        }
    }
    let keys = "select count(distinct key) from vtoc.job_unique where key like 'schedule:_@20__-__-__T__:__:__Z'";
    assert_eq!(db.count(keys).await, 15);
}

#[tokio::test]
async fn the_key_alone_makes_a_tick_that_comes_twice_one_job() {
    let db = TestDatabase::new().await;
    created(&db, &new("s", "1m")).await;
    let unticked = "select next_tick_at::text from vtoc.schedule";
    let first = db.text(unticked).await.unwrap();
    db.advance(MINUTE).await;
    assert_eq!(tick(&db.database).await.unwrap().jobs, 1);
    // As if another had read the row before, and nothing had held it.
    db.execute(&format!("update vtoc.schedule set next_tick_at = '{first}', next_run_at = '{first}'")).await;
    let again = tick(&db.database).await.unwrap();
    assert_eq!((again.settled, again.jobs), (1, 0));
    assert_enqueued(&db, job("s").times(1)).await;
    assert_ne!(db.text(unticked).await.unwrap(), first);
}

#[tokio::test]
async fn the_lock_alone_makes_a_tick_that_comes_twice_one_job() {
    let db = TestDatabase::new().await;
    created(&db, &new("s", "1m")).await;
    db.advance(MINUTE).await;
    let mut owner = db.owner().await;
    let mut in_the_way = owner.begin().await.unwrap();
    sqlx::raw_sql("lock table vtoc.job_ready in share mode").execute(&mut *in_the_way).await.unwrap();
    let first = tokio::spawn({
        let database = db.database.clone();
        async move { tick(&database).await }
    });
    let held_up = "select count(*) from pg_locks where relation = 'vtoc.job_ready'::regclass and not granted";
    eventually("the first is held up with its job", MINUTE, || async { db.count(held_up).await == 1 }).await;
    // The second doesn't get as far as a job: it finds nothing that is free.
    let second = tick(&db.database).await.unwrap();
    assert_eq!((second.settled, second.jobs, second.next_in), (0, 0, Some(Duration::ZERO)));
    in_the_way.rollback().await.unwrap();
    assert_eq!(first.await.unwrap().unwrap().jobs, 1);
    db.execute("delete from vtoc.job_unique").await;
    assert_eq!(tick(&db.database).await.unwrap().jobs, 0, "and the row says that it was done");
    assert_enqueued(&db, job("s").times(1)).await;
}

#[tokio::test]
async fn a_tick_that_is_not_committed_never_was() {
    let db = TestDatabase::new().await;
    created(&db, &new("s", "1m")).await;
    db.advance(MINUTE).await;
    db.execute(
        "create function public.refuse() returns trigger language plpgsql as 'begin raise exception ''no''; end';
        create trigger refuse before update on vtoc.schedule for each row execute function public.refuse()",
    )
    .await;
    assert!(tick(&db.database).await.is_err());
    refute_enqueued(&db, Expected::any()).await;
    db.execute("drop trigger refuse on vtoc.schedule").await;
    assert_eq!(tick(&db.database).await.unwrap().jobs, 1);
}

#[tokio::test]
async fn after_an_hours_outage_each_policy_makes_its_jobs() {
    let db = TestDatabase::new().await;
    for (name, missed) in
        [("skip", Missed::Skip), ("once", Missed::Once), ("all", Missed::All(100)), ("ten", Missed::All(10))]
    {
        created(&db, &NewSchedule { missed, ..new(name, "1m") }).await;
    }
    // Half a minute and more after the sixtieth tick.
    db.advance(Duration::from_secs(3_600 + 35)).await;
    let ticked = tick(&db.database).await.unwrap();
    assert_eq!((ticked.settled, ticked.jobs, ticked.missed.len()), (4, 71, 4));
    refute_enqueued(&db, job("skip")).await;
    for (name, jobs) in [("once", 1), ("all", 60), ("ten", 10)] {
        assert_enqueued(&db, job(name).due().times(jobs)).await;
    }
    assert!((1..=25).contains(&ticked.next_in.unwrap().as_secs()), "{:?}", ticked.next_in);
    db.advance(Duration::from_secs(30)).await;
    let ticked = tick(&db.database).await.unwrap();
    assert_eq!((ticked.settled, ticked.jobs, ticked.missed.len()), (4, 4, 0), "and then on as before");
}

#[tokio::test]
async fn a_late_schedule_does_not_outgrow_a_transaction_and_the_rest_follows() {
    let db = TestDatabase::new().await;
    for n in 0..4 {
        created(&db, &NewSchedule { missed: Missed::All(500), ..new(&format!("s{n}"), "1s") }).await;
    }
    db.advance(Duration::from_secs(7_200)).await;
    for _ in 0..4 {
        let ticked = tick(&db.database).await.unwrap();
        assert!(ticked.settled == 1 && (500..=532).contains(&ticked.jobs), "{ticked:?}");
    }
}

#[tokio::test]
async fn a_paused_schedule_does_not_fire_and_what_falls_into_the_pause_was_not_missed() {
    let db = TestDatabase::new().await;
    created(&db, &NewSchedule { missed: Missed::All(100), ..new("s", "1m") }).await;
    created(&db, &NewSchedule { paused: true, ..new("never", "1m") }).await;
    let paused = pause(&db.database, Scope::Fleet, "s").await.unwrap().unwrap();
    assert_eq!((paused.state, paused.next), ("paused", Vec::new()));
    db.advance(Duration::from_secs(3_600)).await;
    assert_eq!(tick(&db.database).await.unwrap(), Ticked::default());
    let resumed = resume(&db.database, Scope::Fleet, "s").await.unwrap().unwrap();
    assert_eq!((resumed.state, resumed.next.len()), ("active", 5));
    assert_eq!(tick(&db.database).await.unwrap().jobs, 0);
    db.advance(MINUTE).await;
    assert_eq!(tick(&db.database).await.unwrap().jobs, 1);
    refute_enqueued(&db, job("never")).await;
}

#[tokio::test]
async fn a_tick_waits_for_its_jitter() {
    let db = TestDatabase::new().await;
    let view = created(&db, &NewSchedule { jitter: Duration::from_secs(3_600), ..new("s", "2h") }).await;
    let tick_in = (view.next[0].at - view.created_at).to_std().unwrap();
    let jitter = (view.next[0].run_at - view.next[0].at).to_std().unwrap();
    assert!(jitter > Duration::from_secs(60), "drawn from the name: {jitter:?}");
    db.advance(tick_in + jitter - Duration::from_secs(30)).await;
    let ticked = tick(&db.database).await.unwrap();
    assert!(ticked.jobs == 0 && ticked.next_in.unwrap() <= Duration::from_secs(30), "{ticked:?}");
    db.advance(Duration::from_secs(30)).await;
    assert_eq!(tick(&db.database).await.unwrap().jobs, 1);
    assert_eq!(shown(&db, "s").await.last_tick_at, Some(view.next[0].at), "the key is the tick's, not the jitter's");
}

#[tokio::test]
async fn a_schedule_ends_with_its_last_tick_and_says_so() {
    let db = TestDatabase::new().await;
    let year = db.count("select extract(year from vtoc.clock() at time zone 'UTC')::bigint + 1").await;
    created(&db, &new("s", &format!("0 0 0 1 1 * {year}"))).await;
    let view = shown(&db, "s").await;
    assert_eq!(view.next.len(), 1);
    db.advance((view.next[0].at - view.created_at).to_std().unwrap()).await;
    let ticked = tick(&db.database).await.unwrap();
    assert_eq!((ticked.jobs, ticked.next_in), (1, None));
    assert_eq!(ticked.ended, [("s".to_owned(), "its expression never fires again".to_owned())]);
    assert_eq!((shown(&db, "s").await.state, tick(&db.database).await.unwrap()), ("ended", Ticked::default()));
    pause(&db.database, Scope::Fleet, "s").await.unwrap();
    assert_eq!(shown(&db, "s").await.state, "ended", "there is nothing to pause");
}

#[tokio::test]
async fn a_schedule_that_cannot_be_read_or_enqueued_ends_and_holds_up_no_other() {
    let db = TestDatabase::new().await;
    for name in ["broken", "odd", "whole"] {
        created(&db, &new(name, "1m")).await;
    }
    db.execute("update vtoc.schedule set time_zone = 'Atlantis/Capital' where name = 'broken'").await;
    db.execute(r#"update vtoc.schedule set payload = '{"vtoc:beside": 1}' where name = 'odd'"#).await;
    db.advance(MINUTE).await;
    let ticked = tick(&db.database).await.unwrap();
    assert_eq!((ticked.settled, ticked.jobs), (3, 1));
    assert_enqueued(&db, job("whole").times(1)).await;
    let broken = shown(&db, "broken").await;
    assert_eq!((broken.state, broken.next.len()), ("ended", 0));
    assert!(broken.ended.unwrap().contains("\"Atlantis/Capital\" is no IANA time zone"));
    assert!(shown(&db, "odd").await.ended.unwrap().contains("the field vtoc:beside is the queue's own"));
}

#[tokio::test]
async fn a_tick_while_nothing_is_due_is_one_statement_and_no_lock() {
    let db = TestDatabase::new().await;
    assert_eq!(tick(&db.database).await.unwrap(), Ticked::default());
    let view = create(&db.database, &Kinds::released(), Scope::Fleet, &new("s", "0 0 1 1 *")).await.unwrap();
    let mut owner = db.owner().await;
    let mut held = owner.begin().await.unwrap();
    sqlx::raw_sql("lock table vtoc.schedule in row exclusive mode").execute(&mut *held).await.unwrap();
    sqlx::raw_sql("select from vtoc.schedule for update").execute(&mut *held).await.unwrap();
    let next_in = tick(&db.database).await.unwrap().next_in.unwrap();
    assert!(next_in.as_secs().abs_diff((view.next[0].at - view.created_at).to_std().unwrap().as_secs()) < 60);
}
