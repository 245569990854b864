//! Pruning while others are at work: readers miss nothing and see nothing twice, wherever a run is cut off; and somebody who
//! reads for minutes keeps days, but nobody waiting.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use jobs::{
    Database, Scope,
    queue::{
        Ending, NewJob,
        dead::purge,
        enqueue,
        prune::{Detaching, prune},
    },
    testing::eventually,
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{
    fleet::{Fleet, done, ended, job},
    prune::{days_pass, due, in_days, pruned},
};

/// Three days with jobs that are needed for long and jobs that are not; the keys of the former.
async fn three_days(fleet: &Fleet) -> Vec<i64> {
    let mut needed = Vec::new();
    for day in 0..3 {
        for n in 0..5 {
            let claimed = fleet.running(job()).await;
            fleet.finish(&[done(&claimed)]).await;
            let dead = fleet.running(NewJob { payload: json!({ "day": day, "n": n }), ..job() }).await;
            fleet.finish(&[ended(&dead, Ending::Dead { outcome: "dead", error: String::new() })]).await;
            needed.push(dead.key);
        }
        let later = vec![in_days(20, json!({ "day": day })); 60];
        needed.extend(fleet.enqueue(&later).await.iter().map(|later| later.id.key()));
        days_pass(fleet, 1).await;
    }
    days_pass(fleet, 5).await;
    needed
}

/// What is wrong with the bodies of `needed`, if anything is.
async fn amiss(connection: &mut PgConnection, needed: &[i64]) -> Option<String> {
    let rows: Vec<(i64, bool)> =
        sqlx::query_as("select id, payload ->> 'day' is not null from vtoc.job where id = any($1)")
            .bind(needed)
            .fetch_all(&mut *connection)
            .await
            .unwrap();
    let distinct: HashSet<i64> = rows.iter().map(|(id, _)| *id).collect();
    let right = distinct.len() == needed.len() && rows.len() == needed.len() && rows.iter().all(|(_, whole)| *whole);
    (!right).then(|| format!("{} of {} bodies in {} rows", distinct.len(), needed.len(), rows.len()))
}

/// Somebody who looks at the bodies again and again until told to stop.
struct Reader {
    stop: Arc<AtomicBool>,
    reading: tokio::task::JoinHandle<(u64, Option<String>)>,
}

impl Reader {
    async fn start(fleet: &Fleet, role: &str, needed: &[i64]) -> Self {
        let mut connection = PgConnection::connect(&fleet.base.url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("set role {role}"))).execute(&mut connection).await.unwrap();
        let (stop, needed) = (Arc::new(AtomicBool::new(false)), needed.to_vec());
        let told = Arc::clone(&stop);
        let reading = tokio::spawn(async move {
            let mut looks = 0;
            loop {
                let amiss = amiss(&mut connection, &needed).await;
                looks += 1;
                if amiss.is_some() || told.load(Ordering::Relaxed) {
                    return (looks, amiss);
                }
            }
        });
        Self { stop, reading }
    }

    /// Ends it; answers how often it looked.
    async fn satisfied(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let (looks, amiss) = self.reading.await.unwrap();
        assert_eq!(amiss, None);
        looks
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_find_every_body_once_at_every_moment() {
    for detaching in [Detaching::Concurrently, Detaching::AtOnce] {
        let fleet = Fleet::new().await;
        let needed = three_days(&fleet).await;
        let readers =
            [Reader::start(&fleet, "vtoc_queue", &needed).await, Reader::start(&fleet, "vtoc_queue", &needed).await];
        // A reader may be in the way of a day at one moment; never for long.
        eventually("all days are dropped", Duration::from_secs(30), || async {
            prune(fleet.database(), detaching).await.unwrap().is_some_and(|pruned| pruned.left.is_empty())
        })
        .await;
        for reader in readers {
            assert!(reader.satisfied().await > 1);
        }
        assert_eq!(fleet.base.count("select count(*) from vtoc.job_kept").await, needed.len() as i64);
        assert_eq!(fleet.base.count("select count(*) from vtoc.job_body").await, 0);
        days_pass(&fleet, 16).await;
        assert_eq!(due(&fleet).await.len(), 100);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cut_off_anywhere_is_gone_on_with_by_the_next() {
    let fleet = Fleet::new().await;
    let needed = three_days(&fleet).await;
    let reader = Reader::start(&fleet, "vtoc_queue", &needed).await;
    let mut cuts = 0;
    loop {
        cuts += 1;
        let cut = Duration::from_millis(5 + 3 * cuts);
        match tokio::time::timeout(cut, prune(fleet.database(), Detaching::Concurrently)).await {
            Ok(Ok(Some(pruned))) if pruned.left.is_empty() => break,
            // The one that was cut off may hold its locks for a moment more.
            Ok(Ok(_) | Err(_)) | Err(_) => assert!(cuts < 2_000, "no run ever ends"),
        }
    }
    assert!(cuts > 1, "nothing was cut off");
    assert!(reader.satisfied().await > 1);
    assert_eq!(fleet.base.count("select count(*) from vtoc.job_kept").await, needed.len() as i64);
    let leftovers = "select count(*) from pg_class c left join pg_inherits i on i.inhrelid = c.oid
        where c.relnamespace = 'vtoc'::regnamespace and c.relkind = 'r' and c.relname ~ '_[0-9]{8}$' and (i.inhrelid is null or i.inhdetachpending)";
    assert_eq!(fleet.base.count(leftovers).await, 0);
}

/// The statements of a run up to each of its steps, as a process that died behind that step would have left them.
const STEPS: [(&str, &str); 4] = [
    (
        "copied",
        "insert into vtoc.job_kept select * from vtoc.job_body where id < {end} and id in (select id from vtoc.job_needed)",
    ),
    ("raised", "update vtoc.job_floor set id = {end}"),
    ("detached", "alter table vtoc.job_body detach partition vtoc.job_body_{day}"),
    ("dropped", "drop table vtoc.job_body_{day}"),
];

#[tokio::test]
async fn behind_each_step_nothing_is_missing_and_the_next_run_ends_it() {
    for died_behind in 1..=STEPS.len() {
        let fleet = Fleet::new().await;
        let needed = three_days(&fleet).await;
        let mut owner = fleet.base.owner().await;
        let day = fleet.base.text("select to_char(now() at time zone 'UTC', 'YYYYMMDD')").await.unwrap();
        let end =
            fleet.base.count("select ((now() at time zone 'UTC')::date + 1 - date '1970-01-01')::bigint << 40").await;
        for (_, step) in STEPS.iter().take(died_behind) {
            fleet.base.execute(&step.replace("{end}", &end.to_string()).replace("{day}", &day)).await;
        }
        let step = STEPS[died_behind - 1].0;
        assert_eq!(amiss(&mut owner, &needed).await, None, "{step}");
        let pruned = pruned(&fleet).await;
        assert!(pruned.dropped.iter().any(|name| name.starts_with("job_body")), "{step}: {pruned:?}");
        assert_eq!(amiss(&mut owner, &needed).await, None, "{step}, then pruned");
        assert_eq!(fleet.base.count("select count(*) from vtoc.job_kept").await, needed.len() as i64, "{step}");
    }
}

/// The longest that anybody was seen to wait for a lock in this database.
async fn longest_wait_ms(mut owner: PgConnection, over: Arc<AtomicBool>, longest: Arc<AtomicI64>) {
    let waits = "select coalesce(max(extract(epoch from clock_timestamp() - waitstart) * 1000), 0)::bigint
        from pg_locks
        where not granted and database = (select oid from pg_database where datname = current_database())";
    while !over.load(Ordering::Relaxed) {
        let (ms,): (i64,) = sqlx::query_as(waits).fetch_one(&mut owner).await.unwrap();
        longest.fetch_max(ms, Ordering::Relaxed);
    }
}

/// Jobs that go through the whole queue, and somebody who lists what became of them.
async fn work(fleet: &Fleet, over: &AtomicBool) -> u64 {
    let mut rounds = 0;
    while !over.load(Ordering::Relaxed) {
        let claimed = fleet.running(job()).await;
        assert_eq!(fleet.finish(&[done(&claimed)]).await.len(), 1);
        let (filter, page) = (jobs::inspect::JobFilter::default(), jobs::PageRequest::default());
        jobs::inspect::jobs(fleet.database(), Scope::Fleet, &filter, &page).await.unwrap();
        rounds += 1;
    }
    rounds
}

async fn prunes(database: &Database, detaching: Detaching, over: &AtomicBool) -> Vec<Vec<String>> {
    let mut left = Vec::new();
    for _ in 0..4 {
        left.push(prune(database, detaching).await.unwrap().unwrap().left);
    }
    over.store(true, Ordering::Relaxed);
    left
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_reads_for_minutes_keeps_days_and_nobody_waiting() {
    for detaching in [Detaching::Concurrently, Detaching::AtOnce] {
        let fleet = Fleet::new().await;
        let needed = three_days(&fleet).await;
        let mut reader = fleet.base.owner().await;
        let read = "begin; select count(*) from vtoc.job_finished; select count(*) from vtoc.job";
        sqlx::raw_sql(read).execute(&mut reader).await.unwrap();
        let (over, longest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
        let watching = tokio::spawn(longest_wait_ms(fleet.base.owner().await, Arc::clone(&over), Arc::clone(&longest)));
        let (left, rounds) = tokio::join!(prunes(fleet.database(), detaching, &over), work(&fleet, &over));
        watching.await.unwrap();
        assert!(left.iter().all(|left| !left.is_empty()), "the reader was in nobody's way: {left:?}");
        assert!(rounds > 3, "{rounds} jobs in {} runs", left.len());
        let longest = longest.load(Ordering::Relaxed);
        assert!(longest < 500, "{detaching:?}: somebody waited {longest} ms");
        sqlx::raw_sql("rollback").execute(&mut reader).await.unwrap();
        eventually("the next run drops the days", Duration::from_secs(10), || async {
            prune(fleet.database(), detaching).await.unwrap().is_some_and(|pruned| pruned.left.is_empty())
        })
        .await;
        assert_eq!(amiss(&mut reader, &needed).await, None);
        assert_eq!(fleet.base.count("select count(*) from vtoc.job_kept").await, needed.len() as i64);
    }
}

/// Waits until a session that runs `statement` waits for somebody's lock.
async fn waits_in(fleet: &Fleet, statement: &str) {
    let waits = format!(
        "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and query like '%{statement}%' and pid <> pg_backend_pid()"
    );
    eventually("a session waits", Duration::from_secs(4), async || fleet.base.count(&waits).await == 1).await;
}

/// Drops the days before the first, which would be in the way: nobody may detach them beside an open transaction. There are
/// more than one when the template was made on an earlier day.
async fn drop_yesterday(fleet: &Fleet) {
    let drop = "do $$
        declare day text;
        begin
            for day in
                select relname from pg_class
                where relkind = 'r' and relname ~ '^job_body_[0-9]{8}$'
                    and relname < 'job_body_' || to_char(now() at time zone 'UTC', 'YYYYMMDD')
            loop
                execute 'drop table vtoc.' || day;
            end loop;
        end $$";
    fleet.base.execute(drop).await;
}

#[tokio::test]
async fn a_job_that_comes_into_a_day_between_copy_and_move_keeps_the_day() {
    let fleet = Fleet::new().await;
    drop_yesterday(&fleet).await;
    let mut late = fleet.begin().await;
    enqueue(&mut late, &[NewJob { payload: json!("late"), ..job() }]).await.unwrap();
    days_pass(&fleet, 5).await;
    let committed = async {
        waits_in(&fleet, "close_body_day").await;
        late.commit().await.unwrap();
    };
    let (first, ()) = tokio::join!(prune(fleet.database(), Detaching::Concurrently), committed);
    assert!(!first.unwrap().unwrap().left.is_empty());
    assert_eq!(pruned(&fleet).await.kept, 1);
    assert_eq!(fleet.claim(1).await[0].payload.get(), "\"late\"");
}

#[tokio::test]
async fn a_purge_under_way_leaves_no_copy_of_what_it_removes() {
    let fleet = Fleet::new().await;
    drop_yesterday(&fleet).await;
    let claimed = fleet.running(job()).await;
    fleet.finish(&[ended(&claimed, Ending::Dead { outcome: "dead", error: String::new() })]).await;
    days_pass(&fleet, 5).await;
    // The purge has removed the body when it comes to the attempt, and isn't committed.
    let mut holder = fleet.begin().await;
    sqlx::query("select from vtoc.job_attempt for update").execute(&mut *holder).await.unwrap();
    let (ids, over) = ([claimed.id], AtomicBool::new(false));
    let purged = async {
        let gone = purge(fleet.database(), Scope::Fleet, &ids).await.unwrap();
        over.store(true, Ordering::Relaxed);
        gone
    };
    let moved = async {
        waits_in(&fleet, "delete from vtoc.job_finished").await;
        let beside = prune(fleet.database(), Detaching::Concurrently).await.unwrap().unwrap();
        assert!(!over.load(Ordering::Relaxed));
        holder.commit().await.unwrap();
        beside
    };
    let (gone, beside) = tokio::join!(purged, moved);
    assert_eq!(gone, ids);
    assert!(!beside.left.is_empty(), "{beside:?}");
    for table in ["job_kept", "job_body", "job_attempt"] {
        assert_eq!(fleet.base.count(&format!("select count(*) from vtoc.{table}")).await, 0, "{table}");
    }
}
