//! The leak matrix of the control plane: as one station, every control table × select, insert, update, delete towards
//! another station and towards the fleet's own rows. None succeeds; what a station may do is done to its own rows only.

use jobs::{
    Error, JobId, Scope, StationId, Tx,
    queue::{NewJob, enqueue},
    stations::Role,
    testing::TestDatabase,
};

use crate::{
    fleet::{Fleet, done, job},
    trespass::{Answer, Trespasser, Verb},
};

/// What a station may do to its own rows of a table.
type Rights = [bool; 4];
const LOOKS: Rights = [true, false, false, false];
const ADDS: Rights = [true, true, false, false];

/// A table with a station, the column that names it, columns and values of one row (`{s}` the station, `{n}` a new
/// number), and a station's rights.
type Table = (&'static str, &'static str, &'static str, &'static str, Rights);

const TABLES: [Table; 19] = [
    ("station", "id", "slug, callsign, role, default_channel", "'new-{n}', 'NEW', 'ops', 'c'", LOOKS),
    ("share", "station_id", "queue, had", "'q', 0", LOOKS),
    ("job_body", "station_id", "queue, kind, attempts_max, payload", "'q', 'k', 1, '{}'", LOOKS),
    ("job_kept", "station_id", "id, queue, kind, attempts_max, payload", "{n}, 'q', 'k', 1, '{}'", LOOKS),
    (
        "job_ready",
        "station_id",
        "id, queue, kind, priority, run_at, due, keyed, attempts_max",
        "{n}, 'q', 'k', 0, now(), true, false, 1",
        LOOKS,
    ),
    (
        "job_waiting",
        "station_id",
        "id, what, claim, queue, kind, priority, keyed, awaited, attempt, attempts_max, suspect, crash_count",
        "{n}, 'children', 0, 'q', 'k', 0, false, false, 0, 1, false, 0",
        LOOKS,
    ),
    (
        "job_large",
        "station_id",
        "id, payload",
        "(floor(extract(epoch from now()) / 86400)::bigint << 40) | {n}, '{}'",
        LOOKS,
    ),
    ("job_large_kept", "station_id", "id, payload", "{n}, '{}'", LOOKS),
    (
        "job_finished",
        "station_id",
        "id, expires_at, state, queue, kind, attempt, finished_at",
        "{n}, now() + interval '1 day', 'done', 'q', 'k', 1, now()",
        LOOKS,
    ),
    (
        "job_attempt",
        "station_id",
        "job_id, token, attempt, started_at, finished_at, outcome",
        "{n}, 1, 1, now(), now(), 'retry'",
        LOOKS,
    ),
    ("job_unique", "station_id", "kind, key, job_id, enqueued_at", "'k', '{n}', 1, now()", LOOKS),
    (
        "effect",
        "station_id",
        "job_id, name, idempotency_key, method, host, status, elapsed_ms",
        "{n}, 'post', 'k', 'POST', 'h', 201, 1",
        LOOKS,
    ),
    (
        "receipt",
        "station_id",
        "id, source, key, body_sha256, body_bytes, verdict",
        "gen_random_uuid(), 's', 'k', sha256(''), 0, 'ignored'",
        ADDS,
    ),
    ("audit", "station_id", "id, tool_name, status, action_input", "gen_random_uuid(), 't', 'queued', '{}'", ADDS),
    (
        "playbook_run",
        "station_id",
        "id, job_id, playbook, definition, parameters, status",
        "case when {seed} then md5('run {s}')::uuid else gen_random_uuid() end, gen_random_uuid(), 'p', '{}', '{}', 'running'",
        ADDS,
    ),
    (
        "playbook_step",
        "station_id",
        "run_id, position, step, status, result",
        "md5('run {s}')::uuid, 0, 'step {n}', 'done', '{}'",
        ADDS,
    ),
    ("chat_channel", "station_id", "slug", "'channel {n}'", ADDS),
    (
        "chat_message",
        "station_id",
        "id, channel_id, body, metadata, request_sha256",
        "gen_random_uuid(), (select min(id) from vtoc.chat_channel where station_id = {s}), 'b', '{}', sha256('')",
        ADDS,
    ),
    (
        "schedule",
        "station_id",
        "name, expression, time_zone, anchor_at, queue, kind, attempts_max, payload, enabled",
        "'new-{n}', '1h', 'UTC', now(), 'q', 'k', 1, '{}', false",
        LOOKS,
    ),
];

/// Tables that no station has any business in, whatever is in them.
const FLEET_ONLY: [&str; 9] = [
    "token",
    "receipt_key",
    "job_cancel",
    "job_lease",
    "job_settled",
    "job_child",
    "job_family",
    "job_callback",
    "job_woken",
];
/// Tables of which a station may read some columns: which process has its job, where its job's body is.
const GLIMPSES: [(&str, &str, &str); 2] = [("worker", "id, name", "pid"), ("job_floor", "id", "single")];

struct Plane {
    base: TestDatabase,
    own: StationId,
    other: StationId,
}

fn filled(template: &str, seed: bool) -> String {
    template.replace("{seed}", &seed.to_string())
}

impl Plane {
    /// Two ops stations and the fleet itself with a row in every table.
    async fn new() -> Self {
        let base = TestDatabase::new().await;
        let (own, other) = (base.station("one", Role::Ops).await.id, base.station("two", Role::Ops).await.id);
        for (table, station, columns, values, _) in
            TABLES.into_iter().filter(|(table, ..)| !["station", "chat_channel"].contains(table))
        {
            for StationId(id) in [own, other] {
                base.execute(&Verb::Insert.statement(
                    &format!("vtoc.{table}"),
                    station,
                    columns,
                    &filled(values, true),
                    id,
                ))
                .await;
            }
        }
        base.execute("insert into vtoc.job_body (queue, kind, attempts_max, payload) values ('q', 'k', 1, '{}')").await;
        Self { base, own, other }
    }

    async fn trespasser(&self, station: Option<StationId>) -> Trespasser {
        Trespasser::new(&self.base.url, "vtoc_station", station).await
    }
}

/// Tries everything towards `target` and answers how much that was.
async fn reaches_nothing(trespasser: &mut Trespasser, target: StationId) -> usize {
    let mut tried = 0;
    for (table, station, columns, values, rights) in TABLES {
        for (verb, granted) in Verb::ALL.into_iter().zip(rights) {
            let statement =
                verb.statement(&format!("vtoc.{table}"), station, columns, &filled(values, false), target.0);
            let expected = if granted && verb != Verb::Insert { Answer::Rows(0) } else { Answer::Refused };
            assert_eq!(trespasser.tries(&statement).await, expected, "{statement}");
            tried += 1;
        }
    }
    tried
}

#[tokio::test]
async fn no_station_reaches_a_control_row_of_another() {
    let plane = Plane::new().await;
    let mut tried = 0;
    for (own, target) in [(plane.own, plane.other), (plane.other, plane.own)] {
        tried += reaches_nothing(&mut plane.trespasser(Some(own)).await, target).await;
    }
    assert_eq!(tried, 2 * TABLES.len() * Verb::ALL.len());
}

#[tokio::test]
async fn without_a_station_no_control_row_is_reached() {
    let plane = Plane::new().await;
    let mut nobody = plane.trespasser(None).await;
    let tried = reaches_nothing(&mut nobody, plane.own).await + reaches_nothing(&mut nobody, plane.other).await;
    assert_eq!(tried, 2 * TABLES.len() * Verb::ALL.len());
}

#[tokio::test]
async fn towards_itself_a_station_may_do_what_it_is_granted_and_no_more() {
    let plane = Plane::new().await;
    let mut trespasser = plane.trespasser(Some(plane.own)).await;
    for (table, station, columns, values, rights) in TABLES {
        for (verb, granted) in Verb::ALL.into_iter().zip(rights) {
            let statement =
                verb.statement(&format!("vtoc.{table}"), station, columns, &filled(values, false), plane.own.0);
            let expected = if granted { Answer::Rows(1) } else { Answer::Refused };
            assert_eq!(trespasser.tries(&statement).await, expected, "{statement}");
        }
    }
}

#[tokio::test]
async fn the_fleets_own_rows_are_no_stations() {
    let plane = Plane::new().await;
    let mut trespasser = plane.trespasser(Some(plane.own)).await;
    assert_eq!(trespasser.tries("select from vtoc.job where station_id is null").await, Answer::Rows(0));
    let insert = "insert into vtoc.job_body (queue, kind, attempts_max, payload) values ('q', 'k', 1, '{}')";
    assert_eq!(trespasser.tries(insert).await, Answer::Refused);
    assert_eq!(trespasser.tries("select from vtoc.job_running").await, Answer::Refused);
    let key = "insert into vtoc.job_unique (station_id, kind, key, job_id, enqueued_at) values (0, 'k', 'k', 1, now())";
    assert_eq!(trespasser.tries(key).await, Answer::Refused);
    let give = format!("update vtoc.job_unique set station_id = {}", plane.other.0);
    assert_eq!(trespasser.tries(&give).await, Answer::Refused);
}

#[tokio::test]
async fn no_station_puts_a_job_under_anothers_id() {
    let fleet = Fleet::new().await;
    let (own, other) = (fleet.base.station("one", Role::Ops).await.id, fleet.base.station("two", Role::Ops).await.id);
    let theirs = NewJob { station: Some(other), ..job() };
    let finished = fleet.running(theirs.clone()).await;
    fleet.finish(&[done(&finished)]).await;
    let running = fleet.running(theirs).await;
    let next = running.key + 1;
    let ready = |id: i64, attempt: i16, crashes: i16| {
        format!(
            "insert into vtoc.job_ready (id, queue, kind, station_id, priority, run_at, due, keyed, attempts_max, attempt, crash_count)
            values ({id}, 'bench', 'weigh', {}, 0, now(), true, false, 1, {attempt}, {crashes})",
            own.0
        )
    };
    let body = |at: &str| {
        format!(
            "insert into vtoc.job_body (id, enqueued_at, queue, kind, station_id, attempts_max, payload)
            values ({next}, {at}, 'bench', 'weigh', {}, 1, '{{}}')",
            own.0
        )
    };
    let mut station = Trespasser::new(&fleet.base.url, "vtoc_station", Some(own)).await;
    for statement in [
        ready(finished.key, 0, 0),
        ready(running.key, 0, 0),
        ready(next, i16::MAX, 0),
        ready(next, 0, i16::MAX),
        body("now()"),
        body("'infinity'"),
        format!("insert into vtoc.job_large (id, station_id, payload) values ({next}, {}, '{{}}')", own.0),
        format!(
            "insert into vtoc.job_unique (station_id, kind, key, job_id, enqueued_at) values ({}, 'weigh', 'k', {}, now())",
            own.0, running.key
        ),
        "select nextval('vtoc.job_id')".to_owned(),
    ] {
        assert_eq!(station.tries(&statement).await, Answer::Refused, "{statement}");
    }
}

#[tokio::test]
async fn a_station_enqueues_and_the_house_numbers_its_jobs() {
    let fleet = Fleet::new().await;
    let (own, other) = (fleet.base.station("one", Role::Ops).await.id, fleet.base.station("two", Role::Ops).await.id);
    let of = |station| NewJob { station, ..job() };
    let mut tx = fleet.database().begin(Scope::Station(own)).await.unwrap();
    for foreign in [Some(other), None] {
        let refused = enqueue(&mut tx, &[of(Some(own)), of(foreign)]).await;
        assert!(matches!(refused, Err(Error::Invalid { field: "station", .. })), "{refused:?}");
    }
    let mine = enqueue(&mut tx, &[of(Some(own))]).await.unwrap()[0];
    let role = async |tx: &mut Tx| -> (String, Option<i64>) {
        sqlx::query_as("select current_user::text, vtoc.current_station()").fetch_one(&mut **tx).await.unwrap()
    };
    assert_eq!(role(&mut tx).await, ("vtoc_station".to_owned(), Some(own.0)), "and it is that station still");
    let (by_sql,): (uuid::Uuid,) =
        sqlx::query_as("select id from vtoc.enqueue('bench', 'weigh', '{}')").fetch_one(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let claimed = fleet.claim(10).await;
    assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), [mine.id, JobId::from(by_sql)]);
    assert!(claimed.iter().all(|job| job.station == Some(own)));
}

#[tokio::test]
async fn what_is_the_fleets_alone_is_closed_to_stations() {
    let plane = Plane::new().await;
    let mut trespasser = plane.trespasser(Some(plane.own)).await;
    let mut tried = 0;
    for table in FLEET_ONLY.into_iter().chain(GLIMPSES.map(|(table, ..)| table)) {
        for statement in
            ["select * from {}", "insert into {} default values", "delete from {}", "truncate {}", "lock {}"]
        {
            assert_eq!(
                trespasser.tries(&statement.replace("{}", &format!("vtoc.{table}"))).await,
                Answer::Refused,
                "{statement} {table}"
            );
            tried += 1;
        }
    }
    for (table, shown, hidden) in GLIMPSES {
        assert!(matches!(trespasser.tries(&format!("select {shown} from vtoc.{table}")).await, Answer::Rows(_)));
        assert_eq!(trespasser.tries(&format!("select {hidden} from vtoc.{table}")).await, Answer::Refused);
    }
    assert_eq!(tried, (FLEET_ONLY.len() + GLIMPSES.len()) * 5);
}

#[tokio::test]
async fn a_data_role_knows_of_the_control_plane_only_its_own_station() {
    let plane = Plane::new().await;
    let mut trespasser = Trespasser::new(&plane.base.url, "vtoc_ops", Some(plane.own)).await;
    for (table, ..) in TABLES.into_iter().filter(|(table, ..)| *table != "station") {
        for statement in ["select from {}", "insert into {} default values", "delete from {}"] {
            assert_eq!(trespasser.tries(&statement.replace("{}", &format!("vtoc.{table}"))).await, Answer::Refused);
        }
    }
    assert_eq!(trespasser.tries("select from vtoc.station").await, Answer::Rows(1));
}

#[tokio::test]
async fn the_matrix_knows_every_control_table() {
    let plane = Plane::new().await;
    let tables = "select string_agg(relname, ' ' order by relname) from pg_class
        where relnamespace = 'vtoc'::regnamespace and relkind in ('r', 'p') and not relispartition";
    let mut known: Vec<&str> =
        TABLES.iter().map(|(table, ..)| *table).chain(FLEET_ONLY).chain(GLIMPSES.map(|(table, ..)| table)).collect();
    // It has logins in place of stations: see `logins`.
    known.push("station_login");
    known.sort_unstable();
    assert_eq!(plane.base.text(tables).await.unwrap(), known.join(" "));
}
