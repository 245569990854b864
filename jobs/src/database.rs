//! Connections and the roles a transaction takes on. The login itself has no rights: every transaction says first
//! for whom it works, and row-level security does the rest.

mod tx;

use std::{future::Future, time::Duration};

use serde::Serialize;
use sqlx::{
    AssertSqlSafe, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};

pub use self::tx::Tx;
use crate::{
    Error, StationId, migrate,
    queue::history::make_days,
    stations::{Role, group},
};

/// How long maintenance waits for a lock: whoever comes after it in the queue waits as long.
const LOCK_TIMEOUT_MS: u32 = 200;

/// What a caller may see of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every station.
    Fleet,
    /// One station's rows, by row-level security.
    Station(StationId),
}

impl Scope {
    /// The statement that opens a transaction in this scope, in one round trip.
    fn begin(self) -> String {
        match self {
            Self::Fleet => "begin; set local role vtoc_queue".to_owned(),
            Self::Station(StationId(id)) => {
                format!("begin; set local role vtoc_station; set local vtoc.station = '{id}'")
            }
        }
    }
}

/// How to connect. Every limit has a default that suits one process of a small fleet.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Shown in `pg_stat_activity`.
    pub application_name: &'static str,
    /// Connections at most.
    pub connections_max: u32,
    /// How long to wait for a free connection.
    pub acquire_timeout: Duration,
    /// The server ends statements after this long.
    pub statement_timeout: Duration,
    /// The client gives a whole call up after this long.
    pub deadline: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            application_name: "vtoc",
            connections_max: 8,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(8),
            deadline: Duration::from_secs(10),
        }
    }
}

/// What `/readyz` reports.
#[derive(Debug, Clone, Serialize)]
pub struct Readiness {
    /// Whether the database has exactly the migrations this program was built with.
    pub migrations_current: bool,
    /// Worker processes seen within the last minute.
    pub workers_live: i64,
}

/// One pool of connections to one database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    pool: PgPool,
    deadline: Duration,
}

impl Database {
    /// Connects, or fails when the database can't be reached now.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a URL that isn't one, [`Error::Unavailable`] when nobody answers.
    pub async fn connect(url: &str, options: &ConnectOptions) -> Result<Self, Error> {
        let database = Self::connect_lazy(url, options)?;
        database
            .bounded(async {
                database.pool.acquire().await?;
                Ok(())
            })
            .await?;
        Ok(database)
    }

    /// Prepares a pool without touching the network, so that a process may start before its database.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a URL that isn't one.
    pub fn connect_lazy(url: &str, options: &ConnectOptions) -> Result<Self, Error> {
        let pool = PgPoolOptions::new()
            .max_connections(options.connections_max)
            .acquire_timeout(options.acquire_timeout)
            .idle_timeout(Duration::from_secs(300))
            .connect_lazy_with(connect_options(url, options)?);
        Ok(Self { pool, deadline: options.deadline })
    }

    /// A transaction in `scope`.
    pub(crate) async fn begin(&self, scope: Scope) -> Result<Tx, Error> {
        Tx::open(&self.pool, scope.begin()).await
    }

    /// A transaction over one station's data.
    pub(crate) async fn begin_station_data(&self, role: Role, station: StationId) -> Result<Tx, Error> {
        let statement = format!("begin; set local role {}; set local vtoc.station = '{}'", group(role), station.0);
        Tx::open(&self.pool, statement).await
    }

    /// A transaction that may detach days and forget rows. It waits for nobody's lock longer than [`LOCK_TIMEOUT_MS`].
    pub(crate) async fn begin_maintenance(&self) -> Result<Tx, Error> {
        let begin = format!("begin; set local role vtoc_maintenance; set local lock_timeout = {LOCK_TIMEOUT_MS}");
        Tx::open(&self.pool, begin).await
    }

    /// A connection outside any transaction with the rights and the patience of [`Database::begin_maintenance`]; it is
    /// closed after use. Behind a transaction pooler it has neither.
    pub(crate) async fn maintenance_session(&self) -> Result<PoolConnection<Postgres>, Error> {
        let mut connection = self.pool.acquire().await?;
        connection.close_on_drop();
        let settings = format!("set role vtoc_maintenance; set lock_timeout = {LOCK_TIMEOUT_MS}");
        sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut *connection).await?;
        Ok(connection)
    }

    /// Gives `work` up when it takes longer than the client-side deadline. The connection it used is closed, not reused:
    /// see [`Tx`]. Work that found no partition for a day finds it when it is tried again.
    pub(crate) async fn bounded<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let result = self.within_deadline(work).await;
        if let Err(Error::NoDay(missing)) = &result {
            tracing::warn!(missing, "a day had no partition: it is made now");
            self.within_deadline(make_days(self)).await?;
        }
        result
    }

    async fn within_deadline<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match tokio::time::timeout(self.deadline, work).await {
            Ok(result) => result,
            Err(_) => Err(Error::Unavailable(format!("no answer within {} s", self.deadline.as_secs()))),
        }
    }

    /// Whether the database is there, migrated, and has workers.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it isn't there.
    pub async fn readiness(&self) -> Result<Readiness, Error> {
        self.bounded(async {
            let mut tx = self.begin(Scope::Fleet).await?;
            let applied = migrate::applied(&mut tx).await?;
            let workers_live = if applied == migrate::expected() { crate::workers::live(&mut tx).await? } else { 0 };
            tx.commit().await?;
            Ok(Readiness { migrations_current: applied == migrate::expected(), workers_live })
        })
        .await
    }

    /// Closes every connection, waiting for those in use.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Options of every connection: named, bounded, and idle transactions ended by the server.
pub(crate) fn connect_options(url: &str, options: &ConnectOptions) -> Result<PgConnectOptions, Error> {
    let parsed: PgConnectOptions = url
        .parse()
        .map_err(|_| Error::invalid("DATABASE_URL", "expected postgres://user:password@host:port/database"))?;
    let statement_timeout = options.statement_timeout.as_millis().to_string();
    Ok(parsed.application_name(options.application_name).options([
        ("statement_timeout", statement_timeout.as_str()),
        ("lock_timeout", "5000"),
        ("idle_in_transaction_session_timeout", "30000"),
    ]))
}

/// Lets an open transaction work on the control plane of the whole fleet.
pub(crate) async fn as_fleet(tx: &mut Tx) -> Result<(), Error> {
    sqlx::raw_sql("set local role vtoc_queue").execute(&mut **tx).await?;
    Ok(())
}

/// Lets an open transaction work on the control-plane rows of one station only.
pub(crate) async fn as_station(tx: &mut Tx, station: StationId) -> Result<(), Error> {
    let statement = format!("set local role vtoc_station; set local vtoc.station = '{}'", station.0);
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut **tx).await?;
    Ok(())
}

/// Lets an open transaction work on what `scope` may see of the control plane.
pub(crate) async fn as_scope(tx: &mut Tx, scope: Scope) -> Result<(), Error> {
    match scope {
        Scope::Fleet => as_fleet(tx).await,
        Scope::Station(station) => as_station(tx, station).await,
    }
}

/// Lets an open transaction work on one station's data.
pub(crate) async fn as_station_data(tx: &mut Tx, role: Role, station: StationId) -> Result<(), Error> {
    let statement = format!("set local role {}; set local vtoc.station = '{}'", group(role), station.0);
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut **tx).await?;
    Ok(())
}
