//! Connections and the roles a transaction takes on. The login itself has no rights: every transaction says first
//! for whom it works, and row-level security does the rest.

mod line;
mod options;
mod pools;
mod tx;

use std::{future::Future, sync::Arc, time::Duration};

use serde::Serialize;
use sqlx::{AssertSqlSafe, postgres::PgPoolOptions};

use self::pools::Pools;
pub use self::{
    line::Line,
    options::{ConnectOptions, Pooling},
    pools::POOL_TIMEOUTS_MAX,
    tx::Tx,
};
use crate::{
    Error, StationId, migrate,
    queue::history::make_days,
    stations::{Role, group},
};

/// A connection that nobody used for this long is closed.
const IDLE_CONNECTION: Duration = Duration::from_secs(300);
/// Takes on the role that works on the control plane of the whole fleet.
pub(crate) const FLEET: &str = "set local role vtoc_queue";
/// For statements that are planned once: they walk an index in its order and stop. After an analyze the server may think that it is as well to
/// fetch a queue and sort it, and for as long as it keeps that plan each claim does so.
const PLANNED: &str = "set local plan_cache_mode = force_generic_plan; set local enable_sort = off";
/// For statements whose plans are kept: one that reads a table from end to end was good while that was small, and is bad for long. What
/// the server then thinks that it costs is far from the truth, so nothing is compiled for it.
const INDEXED: &str = "set local enable_seqscan = off; set local enable_bitmapscan = off; set local jit = off";
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
    /// The one station, for statements whose best plan depends on how many rows it has. What may be seen is the policies' to say.
    pub(crate) fn station(self) -> Option<i64> {
        match self {
            Self::Fleet => None,
            Self::Station(StationId(id)) => Some(id),
        }
    }

    /// What lets an open transaction work in this scope, in one round trip.
    fn role(self) -> String {
        match self {
            Self::Fleet => FLEET.to_owned(),
            Self::Station(StationId(id)) => format!("set local role vtoc_station; set local vtoc.station = '{id}'"),
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
    pools: Arc<Pools>,
    options: Arc<ConnectOptions>,
    opening: Arc<str>,
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
                database.pools.acquire().await?;
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
        let sizes = PgPoolOptions::new()
            .max_connections(options.connections_max)
            .acquire_timeout(options.acquire_timeout)
            .idle_timeout(IDLE_CONNECTION);
        let pools = Arc::new(Pools::new(sizes, options.parse(url)?));
        Ok(Self { pools, opening: options.opening().into(), options: Arc::new(options.clone()) })
    }

    /// A transaction in `scope`, for whoever enqueues in one of their own.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without the database.
    pub async fn begin(&self, scope: Scope) -> Result<Tx, Error> {
        self.open(&scope.role(), Some(scope)).await
    }

    /// A transaction of the whole fleet whose statements are planned once, whatever their parameters: for those whose best
    /// plan doesn't depend on them, and which are sent so often that planning them each time would be felt.
    pub(crate) async fn begin_planned(&self) -> Result<Tx, Error> {
        self.open(&format!("{FLEET}; {PLANNED}; {INDEXED}"), Some(Scope::Fleet)).await
    }

    /// A transaction of the whole fleet for statements over tables that are small but for their dead rows.
    pub(crate) async fn begin_indexed(&self) -> Result<Tx, Error> {
        self.open(&format!("{FLEET}; {INDEXED}"), Some(Scope::Fleet)).await
    }

    /// A transaction over one station's data.
    pub(crate) async fn begin_station_data(&self, role: Role, station: StationId) -> Result<Tx, Error> {
        self.open(&station_data(role, station), None).await
    }

    async fn open(&self, role: &str, scope: Option<Scope>) -> Result<Tx, Error> {
        let line = Line::pooled(self.pools.acquire().await?, &self.options);
        Tx::open(line, format!("{}{role}", self.opening), scope).await
    }

    /// A transaction that may detach days and forget rows. It waits for nobody's lock longer than a fifth of a second.
    pub(crate) async fn begin_maintenance(&self) -> Result<Tx, Error> {
        let role = format!("set local role vtoc_maintenance; set local lock_timeout = {LOCK_TIMEOUT_MS}");
        self.open(&role, None).await
    }

    /// A connection outside any transaction with the rights and the patience of [`Database::begin_maintenance`]; it is
    /// closed after use. Behind a transaction pooler there is none.
    pub(crate) async fn maintenance_session(&self) -> Result<Line, Error> {
        let mut line = Line::pooled(self.pools.acquire().await?, &self.options);
        line.close_on_drop();
        let settings = format!("set role vtoc_maintenance; set lock_timeout = {LOCK_TIMEOUT_MS}");
        sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut line).await?;
        Ok(line)
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
        let (pool, deadline) = (self.pools.current(), self.options.deadline);
        let Ok(result) = tokio::time::timeout(deadline, work).await else {
            self.pools.timed_out(&pool);
            return Err(unanswered(deadline));
        };
        if !result.as_ref().is_err_and(Error::is_outage) {
            pool.answered();
        }
        result
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
        self.pools.close().await;
    }
}

/// Gives `work` up after `limit`.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(unanswered(limit)))
}

fn unanswered(limit: Duration) -> Error {
    Error::Unavailable(format!("no answer within {} s", limit.as_secs_f32()))
}

/// Lets an open transaction work on the control plane of the whole fleet.
pub(crate) async fn as_fleet(tx: &mut Tx) -> Result<(), Error> {
    as_scope(tx, Scope::Fleet).await
}

/// Lets an open transaction work on the control-plane rows of one station only.
pub(crate) async fn as_station(tx: &mut Tx, station: StationId) -> Result<(), Error> {
    as_scope(tx, Scope::Station(station)).await
}

/// Lets an open transaction work on what `scope` may see of the control plane.
pub(crate) async fn as_scope(tx: &mut Tx, scope: Scope) -> Result<(), Error> {
    tx.turn(scope.role(), Some(scope)).await
}

/// Lets an open transaction work on one station's data.
pub(crate) async fn as_station_data(tx: &mut Tx, role: Role, station: StationId) -> Result<(), Error> {
    tx.turn(station_data(role, station), None).await
}

fn station_data(role: Role, station: StationId) -> String {
    format!("set local role {}; set local vtoc.station = '{}'", group(role), station.0)
}
