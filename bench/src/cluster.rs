//! Databases on the Postgres that the benchmark was given: a migrated one is made once and cloned for every run, so that no
//! run finds what the one before left. Peers get empty ones. All of them are dropped at the end.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use jobs::{ConnectOptions, Database, provision};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;
use uuid::Uuid;

const LOGIN: &str = "vtoc_bench_app";
const LOGIN_PASSWORD: &str = "only-on-a-cluster-made-for-measuring";

/// One Postgres and the databases that this run made on it.
#[derive(Debug)]
pub(crate) struct Cluster {
    admin_url: String,
    prefix: String,
    made: AtomicU32,
    migrated: String,
}

/// A database of one's own.
#[derive(Debug, Clone)]
pub(crate) struct Fresh {
    /// Its name, to clone it by.
    pub(crate) name: String,
    /// The superuser's URL.
    pub(crate) owner_url: String,
    /// The application's URL: a login without rights of its own.
    pub(crate) url: String,
}

impl Cluster {
    /// Makes the migrated database that others are cloned from.
    pub(crate) async fn connect(admin_url: String) -> anyhow::Result<Self> {
        let prefix = format!("vtoc_bench_{}", Uuid::now_v7().simple());
        let cluster = Self { migrated: format!("{prefix}_migrated"), admin_url, prefix, made: AtomicU32::new(0) };
        let migrated = cluster.named(cluster.migrated.clone())?;
        cluster.admin(format!("create database {}", migrated.name)).await?;
        // Roles belong to the whole cluster: one at a time changes them, tests that make their template among others.
        let mut lock = PgConnection::connect(&cluster.admin_url).await?;
        sqlx::raw_sql("select pg_advisory_lock(7061)").execute(&mut lock).await?;
        provision::installation(&migrated.owner_url, LOGIN, LOGIN_PASSWORD).await?;
        lock.close().await?;
        Ok(cluster)
    }

    /// A migrated database without jobs.
    pub(crate) async fn migrated(&self) -> anyhow::Result<Fresh> {
        // Small enough to be written to the log, which needs no checkpoint.
        self.cloned(&self.migrated, "wal_log").await
    }

    /// A copy of a database that nobody is connected to, made by copying its files and checkpointed by that.
    pub(crate) async fn clone_of(&self, template: &str) -> anyhow::Result<Fresh> {
        self.cloned(template, "file_copy").await
    }

    async fn cloned(&self, template: &str, strategy: &str) -> anyhow::Result<Fresh> {
        let fresh = self.named(self.next())?;
        self.admin(format!("create database {} template {template} strategy {strategy}", fresh.name)).await?;
        self.admin(format!("grant connect on database {} to {LOGIN}", fresh.name)).await?;
        Ok(fresh)
    }

    /// A database with nothing in it.
    pub(crate) async fn empty(&self) -> anyhow::Result<Fresh> {
        let fresh = self.named(self.next())?;
        self.admin(format!("create database {}", fresh.name)).await?;
        Ok(fresh)
    }

    /// Removes a database, whoever is connected to it.
    pub(crate) async fn drop(&self, fresh: Fresh) -> anyhow::Result<()> {
        self.admin(format!("drop database if exists {} with (force)", fresh.name)).await
    }

    /// Removes everything that this run made.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        let mut admin = PgConnection::connect(&self.admin_url).await?;
        let left: Vec<(String,)> = sqlx::query_as("select datname from pg_database where starts_with(datname, $1)")
            .bind(&self.prefix)
            .fetch_all(&mut admin)
            .await?;
        for (name,) in left {
            self.admin(format!("drop database if exists {name} with (force)")).await?;
        }
        Ok(())
    }

    /// The superuser's URL of a database that no run uses.
    pub(crate) fn admin_url(&self) -> &str {
        &self.admin_url
    }

    fn next(&self) -> String {
        format!("{}_{}", self.prefix, self.made.fetch_add(1, Ordering::Relaxed))
    }

    fn named(&self, name: String) -> anyhow::Result<Fresh> {
        let mut url = Url::parse(&self.admin_url).context("VTOC_TEST_DATABASE_URL")?;
        url.set_path(&name);
        let owner_url = url.to_string();
        url.set_username(LOGIN)
            .and_then(|()| url.set_password(Some(LOGIN_PASSWORD)))
            .map_err(|()| anyhow::anyhow!("VTOC_TEST_DATABASE_URL names no host"))?;
        Ok(Fresh { name, owner_url, url: url.into() })
    }

    async fn admin(&self, statement: String) -> anyhow::Result<()> {
        let mut admin = PgConnection::connect(&self.admin_url).await.context("the Postgres to measure on")?;
        let ran = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut admin).await;
        ran.with_context(|| statement)?;
        Ok(())
    }
}

impl Fresh {
    /// A connection as the owner.
    pub(crate) async fn owner(&self) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect(&self.owner_url).await?)
    }

    /// A pool as the application has it.
    pub(crate) fn application(&self, connections_max: u32) -> anyhow::Result<Database> {
        let options = ConnectOptions { application_name: "vtoc-bench", connections_max, ..ConnectOptions::default() };
        Ok(Database::connect_lazy(&self.url, &options)?)
    }

    /// One number, as the owner sees it.
    pub(crate) async fn number(&self, sql: &'static str) -> anyhow::Result<i64> {
        let row: (i64,) = sqlx::query_as(sql).fetch_one(&mut self.owner().await?).await.context(sql)?;
        Ok(row.0)
    }

    /// Leaves the database as a vacuum and a checkpoint leave it, so that no drain pays for the filling before it.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        let mut owner = self.owner().await?;
        sqlx::raw_sql("vacuum analyze").execute(&mut owner).await?;
        sqlx::raw_sql("checkpoint").execute(&mut owner).await?;
        Ok(())
    }
}
