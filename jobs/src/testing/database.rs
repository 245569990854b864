//! A database for one test, with a station or two, and a look behind the scenes. How it is made in milliseconds is in
//! `template`, how its clock is moved in `clock`.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;
use uuid::Uuid;

use super::template::{self, LOGIN_PASSWORD};
use crate::{
    ConnectOptions, Database, Scope, Tx,
    stations::{self, NewStation, Role, Station},
};

/// A migrated database that belongs to one test. It goes with its cluster, which `scripts/test` removes
/// after the run; who makes many on a cluster that stays drops them with [`TestDatabase::drop`].
#[derive(Debug, Clone)]
pub struct TestDatabase {
    /// The application's URL: a login without rights of its own.
    pub url: String,
    /// The owner's URL, for looking behind the scenes.
    pub owner_url: String,
    /// A pool over `url`.
    pub database: Database,
}

impl TestDatabase {
    /// A database of one's own.
    ///
    /// # Panics
    /// Without `VTOC_TEST_DATABASE_URL`; run the tests by `scripts/test`.
    pub async fn new() -> Self {
        Self::on(&admin_url()).await
    }

    /// A database of one's own with many rows: those that `sql` makes, run by the owner. It is run once a cluster, and what
    /// it left is copied.
    ///
    /// # Panics
    /// As [`TestDatabase::new`].
    pub async fn filled(sql: &str) -> Self {
        let admin = admin_url();
        Self::clone_of(&admin, &format!("{} strategy file_copy", template::filled(&admin, sql).await)).await
    }

    /// A database of one's own on the cluster of `admin_url`, whose login is a superuser.
    pub async fn on(admin_url: &str) -> Self {
        Self::clone_of(admin_url, &template::migrated(admin_url).await).await
    }

    async fn clone_of(admin_url: &str, template: &str) -> Self {
        let name = format!("t_{}", Uuid::now_v7().simple());
        let mut admin = PgConnection::connect(admin_url).await.expect("the test cluster answers");
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name} template {template}")))
            .execute(&mut admin)
            .await
            .expect("the template can be cloned");
        sqlx::raw_sql(AssertSqlSafe(format!("grant connect on database {name} to vtoc_test_app")))
            .execute(&mut admin)
            .await
            .expect("the login exists");
        let owner_url = with_database(admin_url, &name);
        let mut url = Url::parse(&owner_url).expect("a URL");
        url.set_username("vtoc_test_app").expect("a URL with a host");
        url.set_password(Some(LOGIN_PASSWORD)).expect("a URL with a host");
        let url = String::from(url);
        let database = Database::connect_lazy(&url, &ConnectOptions::default()).expect("a URL");
        Self { url, owner_url, database }
    }

    /// Removes the database, whoever is connected to it.
    pub async fn drop(self) {
        self.database.close().await;
        let name = Url::parse(&self.owner_url).expect("a URL").path().trim_start_matches('/').to_owned();
        let mut admin =
            PgConnection::connect(&with_database(&self.owner_url, "postgres")).await.expect("the test cluster answers");
        let drop = format!("drop database if exists {name} with (force)");
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut admin).await.expect("a database of ours can be dropped");
    }

    /// A connection as the owner: sees and may do everything.
    pub async fn owner(&self) -> PgConnection {
        PgConnection::connect(&self.owner_url).await.expect("the test cluster answers")
    }

    /// Registers a station named `slug`, whose channel has the same name.
    pub async fn station(&self, slug: &str, role: Role) -> Station {
        let new = NewStation {
            slug: slug.to_owned(),
            callsign: slug.to_uppercase(),
            role,
            time_zone: "UTC".to_owned(),
            default_channel: slug.to_owned(),
        };
        stations::register(&self.database, &new).await.expect("the station is well-formed")
    }

    /// A transaction over the whole fleet's control plane, to enqueue in.
    pub async fn begin(&self) -> Tx {
        self.database.begin(Scope::Fleet).await.expect("the test cluster answers")
    }

    /// Cuts every connection of the application and refuses new ones, as a database that is away.
    pub async fn refuse_connections(&self) {
        self.allow_connections(false).await;
        self.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'vtoc_test_app'").await;
    }

    /// Ends [`TestDatabase::refuse_connections`].
    pub async fn accept_connections(&self) {
        self.allow_connections(true).await;
    }

    async fn allow_connections(&self, allowed: bool) {
        let verb = if allowed { "grant connect on database {} to" } else { "revoke connect on database {} from" };
        let name = Url::parse(&self.owner_url).expect("a URL").path().trim_start_matches('/').to_owned();
        self.execute(&format!("{} vtoc_test_app, public", verb.replace("{}", &name))).await;
    }

    /// One number out of the database, as the owner sees it.
    pub async fn count(&self, sql: &str) -> i64 {
        let row: (i64,) = sqlx::query_as(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut self.owner().await)
            .await
            .expect("the statement is right");
        row.0
    }

    /// One text out of the database, as the owner sees it.
    pub async fn text(&self, sql: &str) -> Option<String> {
        let row: Option<(Option<String>,)> = sqlx::query_as(AssertSqlSafe(sql.to_owned()))
            .fetch_optional(&mut self.owner().await)
            .await
            .expect("the statement is right");
        row.and_then(|row| row.0)
    }

    /// Runs a statement as the owner.
    pub async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut self.owner().await)
            .await
            .expect("the statement is right");
    }
}

fn admin_url() -> String {
    std::env::var("VTOC_TEST_DATABASE_URL").expect("VTOC_TEST_DATABASE_URL names a cluster for tests: run scripts/test")
}

pub(super) fn with_database(url: &str, name: &str) -> String {
    let mut url = Url::parse(url).expect("a URL");
    url.set_path(name);
    url.into()
}
