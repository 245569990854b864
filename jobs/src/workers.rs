//! The registry of worker processes: who is there, what each drains and knows.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::{Database, Error, Scope, Tx};

/// A worker process that starts.
#[derive(Debug, Clone)]
pub struct NewWorker {
    /// Its id, new for every process.
    pub id: Uuid,
    /// Host and process, for people.
    pub name: String,
    /// Its process id.
    pub pid: i32,
    /// Queues it drains.
    pub queues: Vec<String>,
    /// Kinds it knows.
    pub kinds: Vec<String>,
    /// Slots.
    pub concurrency: i32,
    /// Whether it runs one suspect and ends.
    pub isolated: bool,
}

/// A worker process as people see it.
#[derive(Debug, Clone, Serialize)]
pub struct WorkerView {
    /// Its id.
    pub id: Uuid,
    /// Host and process.
    pub name: String,
    /// Queues it drains.
    pub queues: Vec<String>,
    /// Slots.
    pub concurrency: i32,
    /// Jobs it runs now.
    pub running: i64,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it last renewed.
    pub seen_at: DateTime<Utc>,
}

/// Registers a process before its first claim.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn register(database: &Database, new: &NewWorker) -> Result<(), Error> {
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            sqlx::query!(
                "insert into vtoc.worker (id, name, pid, queues, kinds, concurrency, isolated)
                values ($1, $2, $3, $4, $5, $6, $7)
                on conflict (id) do nothing",
                new.id,
                new.name,
                new.pid,
                &new.queues,
                &new.kinds,
                new.concurrency,
                new.isolated
            )
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(())
        })
        .await
}

/// Marks a process as gone in good order.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn retire(database: &Database, id: Uuid) -> Result<(), Error> {
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            sqlx::query!("update vtoc.worker set stopped_at = vtoc.clock(), seen_at = vtoc.clock() where id = $1", id)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(())
        })
        .await
}

/// Processes that have not stopped and were seen within a minute.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn list(database: &Database) -> Result<Vec<WorkerView>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let rows = sqlx::query_as!(
                WorkerView,
                r#"select w.id, w.name, w.queues, w.concurrency, w.started_at, w.seen_at,
                    (select count(*) from vtoc.job_running r where r.worker_id = w.id) as "running!"
                from vtoc.worker w
                where w.stopped_at is null and w.seen_at > (select vtoc.clock()) - interval '1 minute'
                order by w.started_at
                limit 1000"#
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(rows)
        })
        .await
}

pub(crate) async fn live(tx: &mut Tx) -> Result<i64, Error> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "count!"
        from vtoc.worker
        where stopped_at is null and not isolated and seen_at > (select vtoc.clock()) - interval '1 minute'"#
    )
    .fetch_one(&mut **tx)
    .await?)
}
