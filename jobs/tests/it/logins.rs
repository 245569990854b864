//! People with direct SQL access: a station's own login sees its station and nothing else, whatever it sets, and the
//! application's login has no right of its own.

use jobs::{
    ConnectOptions, Database, Scope, StationId, provision,
    queue::prune::{Detaching, prune},
    stations::Role,
    testing::TestDatabase,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;
use uuid::Uuid;

/// A real Postgres login that belongs to one station.
struct Login {
    base: TestDatabase,
    name: String,
    other: StationId,
}

impl Login {
    /// A login for station `one` of two ops stations, each with one track.
    async fn new() -> Self {
        let base = TestDatabase::new().await;
        let (own, other) = (base.station("one", Role::Ops).await.id, base.station("two", Role::Ops).await.id);
        // Roles belong to the cluster, so the name is new for every test.
        let name = format!("person_{}", Uuid::now_v7().simple());
        let make = format!(
            "create role {name} login password 'p' in role vtoc_ops;
            insert into vtoc.station_login (login, station_id) values ('{name}', {}), ('other', {})",
            own.0, other.0
        );
        base.execute(&make).await;
        for StationId(id) in [own, other] {
            let track = format!(
                "insert into ops.track (station_id, entity_id, first_seen_at, last_seen_at, points, sources, quality, run_id)
                values ({id}, 'track of {id}', now(), now(), 1, '{{}}', 1, gen_random_uuid())"
            );
            base.execute(&track).await;
        }
        Self { base, name, other }
    }

    async fn connect(&self) -> PgConnection {
        let mut url = Url::parse(&self.base.owner_url).unwrap();
        url.set_username(&self.name).unwrap();
        url.set_password(Some("p")).unwrap();
        PgConnection::connect(url.as_str()).await.unwrap()
    }

    /// What the login sees after `preparation`.
    async fn sees(&self, preparation: &str) -> Vec<String> {
        let mut connection = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(preparation.to_owned())).execute(&mut connection).await.unwrap();
        let rows: Vec<(String,)> =
            sqlx::query_as("select entity_id from ops.track order by 1").fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows.into_iter().map(|(entity,)| entity).collect()
    }

    async fn gone(self) {
        self.base.execute(&format!("drop owned by {0} cascade; drop role {0}", self.name)).await;
    }
}

#[tokio::test]
async fn a_stations_login_sees_its_station_whatever_it_sets() {
    let login = Login::new().await;
    let other = login.other.0;
    let preparations = [
        String::new(),
        format!("set vtoc.station = '{other}'"),
        format!("begin; set local role vtoc_ops; set local vtoc.station = '{other}'"),
        format!("set role vtoc_ops; set session vtoc.station = '{other}'; set row_security = on"),
        "set vtoc.station = 'nonsense'".to_owned(),
    ];
    for preparation in preparations {
        assert_eq!(login.sees(&preparation).await, ["track of 1"], "{preparation}");
    }
    login.gone().await;
}

#[tokio::test]
async fn operators_of_its_own_do_not_widen_a_login() {
    let login = Login::new().await;
    login.base.execute(&format!("create schema own authorization {}", login.name)).await;
    // Were the policy's function read under the caller's search path, this would be its idea of equality.
    let preparation = format!(
        "create function own.same(name, name) returns boolean language sql immutable as $$ select $1 operator(pg_catalog.=) 'other'::name $$;
        create operator own.= (leftarg = name, rightarg = name, function = own.same);
        create function own.current_setting(text, boolean) returns text language sql as $$ select '{}' $$;
        set search_path = own, pg_catalog",
        login.other.0
    );
    assert_eq!(login.sees(&preparation).await, ["track of 1"]);
    login.gone().await;
}

#[tokio::test]
async fn a_stations_login_can_do_no_more_than_its_group() {
    let login = Login::new().await;
    let other = login.other.0;
    let refused = [
        "set role vtoc_queue".to_owned(),
        "set role vtoc_station".to_owned(),
        "set role vtoc_intel".to_owned(),
        "set session authorization vtoc_test_app".to_owned(),
        "select from vtoc.job".to_owned(),
        "select from vtoc.token".to_owned(),
        "select from intel.track".to_owned(),
        format!("update vtoc.station_login set station_id = {other}"),
        "delete from vtoc.station_login".to_owned(),
        format!("insert into vtoc.station_login (login, station_id) values ('x', {other})"),
        format!("set vtoc.station = '{other}'; update ops.track set station_id = {other}"),
        "create or replace function vtoc.current_station() returns bigint language sql as 'select 2'".to_owned(),
        "alter table ops.track disable row level security".to_owned(),
        "create function ops.f() returns int language sql as 'select 1'".to_owned(),
        "truncate ops.track".to_owned(),
        "select vtoc.add_day_partition('ops.telemetry_event', '2031-07-01')".to_owned(),
    ];
    for statement in refused {
        let mut connection = login.connect().await;
        let answer = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut connection).await;
        let code =
            answer.err().and_then(|error| error.as_database_error().and_then(|error| error.code().map(String::from)));
        assert_eq!(code.as_deref(), Some("42501"), "{statement}");
    }
    login.gone().await;
}

#[tokio::test]
async fn a_stations_login_sees_of_the_logins_only_itself() {
    let login = Login::new().await;
    let mut connection = login.connect().await;
    for role in [login.name.as_str(), "vtoc_ops"] {
        sqlx::raw_sql(AssertSqlSafe(format!("set role {role}"))).execute(&mut connection).await.unwrap();
        let rows: Vec<(String,)> =
            sqlx::query_as("select login::text from vtoc.station_login").fetch_all(&mut connection).await.unwrap();
        assert_eq!(rows, [(login.name.clone(),)], "{role}");
    }
    login.gone().await;
}

#[tokio::test]
async fn an_owner_who_is_no_superuser_gives_a_login_its_station_and_makes_days() {
    let base = TestDatabase::new().await;
    let name = format!("owner_{}", Uuid::now_v7().simple());
    base.execute(&format!("create role {name} login createrole password 'p'")).await;
    base.execute(&format!("create database {name} owner {name}")).await;
    // The roles of the cluster were made by another.
    base.execute(&format!("grant vtoc_maintenance, vtoc_queue to {name}")).await;
    let mut url = Url::parse(&base.owner_url).unwrap();
    url.set_path(&name);
    let superuser_url = String::from(url.clone());
    url.set_username(&name).unwrap();
    url.set_password(Some("p")).unwrap();
    jobs::migrate::run(url.as_str()).await.unwrap();

    let mut superuser = PgConnection::connect(&superuser_url).await.unwrap();
    let station =
        "insert into vtoc.station (slug, callsign, role, default_channel) values ('one', 'ONE', 'ops', 'one')";
    sqlx::raw_sql(station).execute(&mut superuser).await.unwrap();
    superuser.close().await.unwrap();
    let mut owner = PgConnection::connect(url.as_str()).await.unwrap();
    let give = "insert into vtoc.station_login (login, station_id) values ('person', 1)";
    assert_eq!(sqlx::raw_sql(give).execute(&mut owner).await.unwrap().rows_affected(), 1);
    for parent in ["vtoc.job_body", "vtoc.job_finished"] {
        let add = "select vtoc.add_day_partition($1, '2031-07-01')";
        sqlx::query(add).bind(parent).execute(&mut owner).await.unwrap();
    }
    // The database goes with its cluster: to drop one is to wait until the whole cluster's files are on disk.
    owner.close().await.unwrap();
}

#[tokio::test]
async fn the_login_made_as_documented_serves_and_prunes() {
    let base = TestDatabase::new().await;
    let name = format!("app_{}", Uuid::now_v7().simple());
    let documented = include_str!("../../../docs/configuration.md");
    let (_, statement) = documented.split_once("```sql\ncreate role vtoc_app").unwrap();
    let (statement, _) = statement.split_once("```").unwrap();
    let make = format!("create role {name}{statement}").replace("vtoc_app", &name).replace('…', "p");
    base.execute(&make).await;
    let mut url = Url::parse(&base.owner_url).unwrap();
    url.set_username(&name).unwrap();
    url.set_password(Some("p")).unwrap();
    let rights = provision::rights(url.as_str()).await.unwrap();
    assert!(rights.serves && !rights.migrates, "{rights:?}");
    let database = Database::connect(url.as_str(), &ConnectOptions::default()).await.unwrap();
    let station = base.station("one", Role::Ops).await;
    for scope in [Scope::Fleet, Scope::Station(station.id)] {
        database.begin(scope).await.unwrap().commit().await.unwrap();
    }
    assert!(prune(&database, Detaching::Concurrently).await.unwrap().is_some());
    database.close().await;
    base.execute(&format!("drop role {name}")).await;
}

#[tokio::test]
async fn the_applications_login_without_a_role_has_no_right_at_all() {
    let base = TestDatabase::new().await;
    let tables =
        "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('vtoc', 'ops', 'intel', 'logistics') and c.relkind in ('r', 'p')";
    let tables: Vec<(String,)> = sqlx::query_as(tables).fetch_all(&mut base.owner().await).await.unwrap();
    let mut login = PgConnection::connect(&base.url).await.unwrap();
    let mut tried = 0;
    for (table,) in &tables {
        for statement in ["select from {}", "insert into {} default values", "delete from {}", "truncate {}"] {
            let answer = sqlx::raw_sql(AssertSqlSafe(statement.replace("{}", table))).execute(&mut login).await;
            let code = answer
                .err()
                .and_then(|error| error.as_database_error().and_then(|error| error.code().map(String::from)));
            assert_eq!(code.as_deref(), Some("42501"), "{statement} {table}");
            tried += 1;
        }
    }
    assert!(tried == tables.len() * 4 && tables.len() > 60, "{tried}");
}
