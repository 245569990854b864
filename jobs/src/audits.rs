//! Audits of agent actions. A status only moves forward: queued, running, then succeeded or failed, which never reopen.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{Database, Error, JobId, Page, PageRequest, Scope, StationId, Tx, page::cursor_of};

/// Where an action stands, in the order it may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditStatus {
    /// Accepted.
    Queued,
    /// A worker is at it.
    Running,
    /// It did what it should.
    Succeeded,
    /// It did not, and won't.
    Failed,
}

impl AuditStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// One agent action as people see it.
#[derive(Debug, Clone, Serialize)]
pub struct Audit {
    /// Its id, a UUIDv7.
    pub id: Uuid,
    /// The station it acts for.
    pub station: String,
    /// What runs: a playbook's or a remote tool's name.
    pub tool_name: String,
    /// `queued`, `running`, `succeeded` or `failed`.
    pub status: String,
    /// What it was given.
    pub action_input: Value,
    /// What came of it.
    pub result: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
    /// Where it was asked for.
    pub channel_slug: Option<String>,
    /// Who asked.
    pub initiator_id: Option<String>,
    /// The job that runs it.
    pub job_id: Option<Uuid>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When its status or result last changed.
    pub updated_at: DateTime<Utc>,
}

/// Which audits are wanted.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// `queued`, `running`, `succeeded` or `failed`.
    pub status: Option<String>,
    /// A playbook's or tool's name.
    pub tool_name: Option<String>,
}

pub(crate) struct NewAudit<'a> {
    pub(crate) id: Uuid,
    pub(crate) station: StationId,
    pub(crate) tool_name: &'a str,
    pub(crate) action_input: &'a Value,
    pub(crate) channel: Option<&'a str>,
    pub(crate) initiator: Option<&'a str>,
    pub(crate) job: JobId,
}

/// Records an action that was just accepted, beside its job.
pub(crate) async fn record(tx: &mut Tx, new: &NewAudit<'_>) -> Result<(), Error> {
    sqlx::query!(
        "insert into vtoc.audit (id, station_id, tool_name, status, action_input, channel_slug, initiator_id, job_id)
        values ($1, $2, $3, 'queued', $4, $5, $6, $7)",
        new.id,
        new.station.0,
        new.tool_name,
        new.action_input,
        new.channel,
        new.initiator,
        new.job.uuid()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Moves an audit of `station` forward. A step back, anything after the end and another station's audit change nothing;
/// null never overwrites.
pub(crate) async fn advance(
    tx: &mut Tx,
    station: StationId,
    id: Uuid,
    status: AuditStatus,
    result: Option<&Value>,
    error: Option<&str>,
) -> Result<bool, Error> {
    let changed = sqlx::query!(
        "update vtoc.audit
        set status = $2, result = coalesce($3, result), error = coalesce($4, error), updated_at = vtoc.clock()
        where id = $1
            and station_id = $5
            and status in ('queued', 'running')
            and array_position(array['queued', 'running', 'succeeded', 'failed'], $2) > array_position(array['queued', 'running', 'succeeded', 'failed'], status)",
        id,
        status.as_str(),
        result,
        error,
        station.0
    )
    .execute(&mut **tx)
    .await?
    .rows_affected();
    Ok(changed == 1)
}

/// Audits, newest first.
///
/// # Errors
/// [`Error::BadCursor`], [`Error::Invalid`] for a limit out of range, [`Error::Unavailable`].
pub async fn list(
    database: &Database,
    scope: Scope,
    filter: &AuditFilter,
    request: &PageRequest,
) -> Result<Page<Audit>, Error> {
    let (at, id) = request.after::<Uuid>()?.unzip();
    let fetch = request.fetch()?;
    let rows = select(database, scope, None, filter, at, id, fetch).await?;
    Ok(request.page(rows, |audit| cursor_of(audit.created_at, audit.id)))
}

/// One audit, if `scope` may see it.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn find(database: &Database, scope: Scope, id: Uuid) -> Result<Option<Audit>, Error> {
    Ok(select(database, scope, Some(id), &AuditFilter::default(), None, None, 1).await?.pop())
}

async fn select(
    database: &Database,
    scope: Scope,
    only: Option<Uuid>,
    filter: &AuditFilter,
    at: Option<DateTime<Utc>>,
    id: Option<Uuid>,
    fetch: i64,
) -> Result<Vec<Audit>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let rows = sqlx::query_as!(
                Audit,
                r#"select a.id, s.slug as station, a.tool_name, a.status, a.action_input, a.result, a.error, a.channel_slug, a.initiator_id,
                    a.job_id, a.created_at, a.updated_at
                from vtoc.audit a
                join vtoc.station s on s.id = a.station_id
                where ($1::uuid is null or a.id = $1)
                    and ($2::text is null or a.status = $2)
                    and ($3::text is null or a.tool_name = $3)
                    and ($4::timestamptz is null or (a.created_at, a.id) < ($4, $5))
                    and ($7::bigint is null or a.station_id = $7)
                order by a.created_at desc, a.id desc
                limit $6"#,
                only,
                filter.status.as_deref(),
                filter.tool_name.as_deref(),
                at,
                id,
                fetch,
                scope.station()
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(rows)
        })
        .await
}
