//! `vtoc.enqueue`, for any client of the database: what it writes is what the call of this package writes, for whoever may.

use std::time::Duration;

use jobs::{
    ConnectOptions, JobId, Scope, StationId, inspect,
    queue::{Dedupe, NewJob, claim::look, wake::Listener},
    stations::Role,
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::{
    fleet::{Fleet, job, lane},
    trespass::{Answer, Trespasser},
};

/// Calls it in fleet scope.
async fn called(fleet: &Fleet, arguments: &str) -> Result<(JobId, bool), String> {
    let mut tx = fleet.begin().await;
    let call = format!("select id, fresh from vtoc.enqueue({arguments})");
    let (id, fresh): (Uuid, bool) =
        sqlx::query_as(AssertSqlSafe(call)).fetch_one(&mut *tx).await.map_err(|error| error.to_string())?;
    tx.commit().await.unwrap();
    Ok((id.into(), fresh))
}

/// Every row of the newest job, without ids and times, and how long it is delayed.
async fn rows(fleet: &Fleet) -> Vec<String> {
    let of = async |sql: &str| fleet.base.text(sql).await.unwrap_or_default();
    let newest = "(select max(id) from vtoc.job_body)";
    vec![
        of(&format!("select (to_jsonb(j) - 'id' - 'enqueued_at')::text from vtoc.job_body j where id = {newest}")).await,
        of(&format!("select (to_jsonb(r) - 'id' - 'run_at')::text from vtoc.job_ready r where id = {newest}")).await,
        of(&format!("select (to_jsonb(u) - 'job_id' - 'enqueued_at')::text from vtoc.job_unique u where job_id = {newest}")).await,
        of(&format!("select (to_jsonb(l) - 'id')::text from vtoc.job_large l where id = {newest}")).await,
        of(&format!("select round(extract(epoch from run_at - enqueued_at))::text from vtoc.job_ready join vtoc.job_body using (id) where id = {newest}")).await,
        of(&format!("select (u.enqueued_at = j.enqueued_at)::text from vtoc.job_unique u join vtoc.job_body j on j.id = u.job_id where j.id = {newest}")).await,
    ]
}

#[tokio::test]
async fn it_writes_what_the_call_in_rust_writes() {
    let fleet = Fleet::new().await;
    let station = fleet.base.station("one", Role::Ops).await.id;
    let large = json!("x".repeat(300_000));
    let key = |keep_for| Some(Dedupe { key: "k".to_owned(), keep_for });
    let cases: Vec<(NewJob, String)> = vec![
        (job(), "'bench', 'weigh', '{}'".to_owned()),
        (
            NewJob { payload: json!({ "b": [1, null], "a": "é" }), priority: -7, attempts_max: 3, ..job() },
            r#"'bench', 'weigh', '{"b": [1, null], "a": "é"}', priority => -7, attempts_max => 3"#.to_owned(),
        ),
        (
            NewJob { station: Some(station), dedupe: key(None), ..job() },
            format!("'bench', 'weigh', '{{}}', station => {}, dedupe_key => 'k'", station.0),
        ),
        (
            NewJob { dedupe: key(Some(Duration::from_secs(3600))), delay: Duration::from_secs(90), ..job() },
            "'bench', 'weigh', '{}', run_at => vtoc.clock() + interval '90 s', dedupe_key => 'k', keep_for => '1 hour'"
                .to_owned(),
        ),
        (NewJob { payload: large.clone(), ..job() }, format!("'bench', 'weigh', '{large}'")),
    ];
    for (rust, sql) in cases {
        fleet.enqueue(&[rust]).await;
        let expected = rows(&fleet).await;
        fleet.base.execute("truncate vtoc.job_body, vtoc.job_ready, vtoc.job_unique, vtoc.job_large").await;
        called(&fleet, &sql).await.unwrap();
        assert_eq!(rows(&fleet).await, expected, "{sql:.200}");
        fleet.base.execute("truncate vtoc.job_body, vtoc.job_ready, vtoc.job_unique, vtoc.job_large").await;
    }
}

#[tokio::test]
async fn its_id_finds_the_job_and_its_job_runs() {
    let fleet = Fleet::new().await;
    let (id, fresh) = called(&fleet, "'bench', 'weigh', '{\"n\": 1}'").await.unwrap();
    assert!(fresh);
    let found = inspect::job(fleet.database(), Scope::Fleet, id).await.unwrap().unwrap();
    assert_eq!((found.job.id, found.payload), (id, json!({ "n": 1 })));
    assert_eq!(fleet.claim(1).await[0].id, id);
}

#[tokio::test]
async fn a_taken_key_answers_with_the_job_that_holds_it_whichever_way_it_came() {
    let fleet = Fleet::new().await;
    let keep = Some(Duration::from_secs(60));
    let first = fleet.enqueue(&[crate::fleet::keyed("k", keep)]).await[0].id;
    let again = "'bench', 'weigh', '{}', dedupe_key => 'k'";
    assert_eq!(called(&fleet, again).await.unwrap(), (first, false));
    let claimed = fleet.claim(1).await.remove(0);
    fleet.finish(&[crate::fleet::done(&claimed)]).await;
    assert_eq!(called(&fleet, again).await.unwrap(), (first, false), "kept for a minute");
    fleet.pass(61).await;
    let (second, fresh) = called(&fleet, again).await.unwrap();
    assert!(fresh && second != first);
    let by_rust = fleet.enqueue(&[crate::fleet::keyed("k", None)]).await[0];
    assert_eq!((by_rust.id, by_rust.fresh), (second, false));
}

#[tokio::test]
async fn what_the_call_in_rust_refuses_it_refuses() {
    let fleet = Fleet::new().await;
    let over = format!("'bench', 'weigh', to_jsonb(repeat('x', {}))", jobs::queue::large::LARGE_MAX);
    for (arguments, says) in [
        (over.as_str(), "at most 16777216 are allowed"),
        ("'bench', 'weigh', '{\"vtoc:beside\": 1}'", "the queue's own"),
        ("'bench', 'weigh', '{}', attempts_max => 0", "job_attempts_max_positive"),
        ("'bench', 'weigh', null", "null value"),
        ("'bench', 'weigh', '{}', dedupe_key => 'k', keep_for => '300000 years'", "keep_for: 0 to 36525 days"),
        ("'bench', 'weigh', '{}', dedupe_key => 'k', keep_for => '-1 s'", "keep_for: 0 to 36525 days"),
    ] {
        let refused = called(&fleet, arguments).await.unwrap_err();
        assert!(refused.contains(says), "{refused}");
    }
    assert_eq!(fleet.census().await, (0, 0, 0));
}

#[tokio::test]
async fn a_time_that_never_comes_keeps_nobody_elses_from_coming() {
    let fleet = Fleet::new().await;
    // Refused or not, and even if it stood in the tables: nobody suffers from it.
    let _ = called(&fleet, "'bench', 'weigh', '{}', run_at => 'infinity'").await;
    let stands = "alter table vtoc.job_ready drop constraint if exists job_ready_run_at_in_reach;
        alter table vtoc.job_waiting drop constraint if exists job_waiting_deadline_in_reach;
        insert into vtoc.job_ready (id, queue, kind, priority, run_at, due, keyed, attempts_max)
        values (1, 'bench', 'weigh', 0, 'infinity', false, false, 1);
        insert into vtoc.job_waiting (id, what, deadline, claim, queue, kind, priority, keyed, awaited, attempt, attempts_max, suspect, crash_count)
        values (2, 'callback', 'infinity', 0, 'bench', 'weigh', 0, false, false, 0, 1, false, 0)";
    fleet.base.execute(stands).await;
    fleet.enqueue(&[NewJob { delay: Duration::from_secs(10), ..job() }]).await;
    fleet.pass(11).await;
    let (queues, kinds) = lane();
    let looked = look(fleet.database(), fleet.worker, &queues, &kinds).await.unwrap();
    assert_eq!((looked.promoted, looked.next_due_in), (1, None));
}

#[tokio::test]
async fn times_beyond_all_reach_are_not_stored_whoever_writes_them() {
    let fleet = Fleet::new().await;
    for run_at in ["infinity", "250000-01-01", "9000-01-01"] {
        let refused = called(&fleet, &format!("'bench', 'weigh', '{{}}', run_at => '{run_at}'")).await.unwrap_err();
        assert!(refused.contains("run_at: at most 36525 days from now"), "{refused}");
    }
    let mut owner = fleet.base.owner().await;
    for at in ["infinity", "-infinity", "10000-01-01 00:00Z"] {
        for (statement, constraint) in [
            (
                format!(
                    "insert into vtoc.job_ready (id, queue, kind, priority, run_at, due, keyed, attempts_max) values (1, 'q', 'k', 0, '{at}', false, false, 1)"
                ),
                "job_ready_run_at_in_reach",
            ),
            (
                format!(
                    "insert into vtoc.job_waiting (id, what, deadline, claim, queue, kind, priority, keyed, awaited, attempt, attempts_max, suspect, crash_count) values (1, 'children', '{at}', 0, 'q', 'k', 0, false, false, 0, 1, false, 0)"
                ),
                "job_waiting_deadline_in_reach",
            ),
            (
                format!(
                    "insert into vtoc.job_body (enqueued_at, queue, kind, attempts_max, payload) values ('{at}', 'q', 'k', 1, '{{}}')"
                ),
                "job_enqueued_at_in_reach",
            ),
        ] {
            let refused = sqlx::query(AssertSqlSafe(statement)).execute(&mut owner).await.unwrap_err();
            assert_eq!(refused.as_database_error().and_then(|error| error.constraint()), Some(constraint), "{at}");
        }
    }
}

#[tokio::test]
async fn a_time_in_the_past_puts_nobody_ahead() {
    let fleet = Fleet::new().await;
    let first = fleet.enqueue(&[job()]).await[0].id;
    called(&fleet, "'bench', 'weigh', '{}', run_at => '2001-01-01'").await.unwrap();
    assert_eq!(fleet.claim(1).await[0].id, first);
}

#[tokio::test]
async fn workers_are_woken_at_the_commit() {
    let fleet = Fleet::new().await;
    let mut listener = Listener::connect(&fleet.base.url, &ConnectOptions::default()).await.unwrap();
    called(&fleet, "'bench', 'weigh', '{}'").await.unwrap();
    let (queues, _) = lane();
    tokio::time::timeout(Duration::from_secs(5), listener.hinted(&queues)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_station_enqueues_for_itself_and_for_nobody_else() {
    let fleet = Fleet::new().await;
    let (own, other) = (fleet.base.station("one", Role::Ops).await.id, fleet.base.station("two", Role::Ops).await.id);
    let mut station = Trespasser::new(&fleet.base.url, "vtoc_station", Some(own)).await;
    let call = |StationId(id): StationId| {
        format!("select * from vtoc.enqueue('q', 'k', '{{}}', station => {id}, dedupe_key => 'k')")
    };
    assert_eq!(station.tries(&call(own)).await, Answer::Rows(1));
    assert_eq!(station.tries(&call(other)).await, Answer::Refused);
    assert_eq!(station.tries("select * from vtoc.enqueue('q', 'k', '{}')").await, Answer::Refused);
}

#[tokio::test]
async fn a_stations_own_login_need_not_name_its_station() {
    let fleet = Fleet::new().await;
    let own = fleet.base.station("one", Role::Ops).await.id;
    let name = format!("person_{}", Uuid::now_v7().simple());
    let make = format!(
        "create role {name} login password 'p' in role vtoc_station; insert into vtoc.station_login values ('{name}', {})",
        own.0
    );
    fleet.base.execute(&make).await;
    let mut url = url::Url::parse(&fleet.base.owner_url).unwrap();
    url.set_username(&name).unwrap();
    url.set_password(Some("p")).unwrap();
    let mut person = PgConnection::connect(url.as_str()).await.unwrap();
    let payload: Value = json!({});
    sqlx::query("select * from vtoc.enqueue('bench', 'weigh', $1)").bind(payload).execute(&mut person).await.unwrap();
    person.close().await.unwrap();
    assert_eq!(fleet.claim(1).await[0].station, Some(own));
    fleet.base.execute(&format!("drop owned by {name}; drop role {name}")).await;
}
