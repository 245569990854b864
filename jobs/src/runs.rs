//! Playbook runs: one row a run with the playbook as it was, one row a finished step. A run goes on behind its last step.

use agents::playbooks::Playbook;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Database, Error, JobId, Page, PageRequest, Scope, StationId, Tx, page::cursor_of};

/// A run as lists show it.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Its id, a UUIDv7.
    pub id: Uuid,
    /// Whose it is, by slug.
    pub station: String,
    /// Which playbook.
    pub playbook: String,
    /// `running`, `succeeded` or `failed`.
    pub status: String,
    /// The job that runs it.
    pub job_id: Uuid,
    /// What it was given.
    pub parameters: Value,
    /// Why it failed.
    pub error: Option<String>,
    /// When its first attempt began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A run with its steps.
#[derive(Debug, Clone, Serialize)]
pub struct RunDetail {
    /// What lists show.
    #[serde(flatten)]
    pub run: Run,
    /// Finished steps, in order.
    pub steps: Vec<Step>,
}

/// A finished step.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// The step's id in the playbook.
    pub step: String,
    /// `done` or `skipped`.
    pub status: String,
    /// What it came to.
    pub result: Value,
    /// When.
    pub finished_at: DateTime<Utc>,
}

/// A run that a job has begun or takes up again.
#[derive(Debug, Clone)]
pub(crate) struct Begun {
    pub(crate) id: Uuid,
    pub(crate) playbook: Playbook,
    pub(crate) parameters: Map<String, Value>,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) steps: Vec<(String, Value)>,
}

/// Begins the run of `job`, or finds it as an earlier attempt left it, its playbook included.
pub(crate) async fn begin(
    tx: &mut Tx,
    job: JobId,
    station: StationId,
    playbook: &Playbook,
    parameters: &Map<String, Value>,
) -> Result<Begun, Error> {
    let row = sqlx::query!(
        r#"insert into vtoc.playbook_run as run (id, station_id, job_id, playbook, definition, parameters, status)
        values ($1, $2, $3, $4, $5, $6, 'running')
        on conflict (job_id) do update set status = run.status
        returning id, definition as "definition: Json<Playbook>", parameters as "parameters: Json<Map<String, Value>>", started_at"#,
        Uuid::now_v7(),
        station.0,
        job.uuid(),
        playbook.name,
        Json(playbook) as _,
        Json(parameters) as _
    )
    .fetch_one(&mut **tx)
    .await?;
    let steps = sqlx::query!("select step, result from vtoc.playbook_step where run_id = $1 order by position", row.id)
        .fetch_all(&mut **tx)
        .await?
        .into_iter()
        .map(|step| (step.step, step.result))
        .collect();
    Ok(Begun {
        id: row.id,
        playbook: row.definition.0,
        parameters: row.parameters.0,
        started_at: row.started_at,
        steps,
    })
}

/// Stores a finished step.
pub(crate) async fn store_step(
    tx: &mut Tx,
    run: &Begun,
    station: StationId,
    step: &str,
    status: &str,
    result: &Value,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into vtoc.playbook_step (run_id, position, step, station_id, status, result)
        values ($1, $2, $3, $4, $5, $6)",
        run.id,
        i16::try_from(run.steps.len()).unwrap_or(i16::MAX),
        step,
        station.0,
        status,
        result
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends a run.
pub(crate) async fn end(tx: &mut Tx, run: Uuid, error: Option<&str>) -> Result<(), Error> {
    sqlx::query!(
        "update vtoc.playbook_run
        set status = case when $2::text is null then 'succeeded' else 'failed' end, error = $2, finished_at = vtoc.clock()
        where id = $1 and status = 'running'",
        run,
        error
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Runs, newest first.
///
/// # Errors
/// [`Error::BadCursor`], [`Error::Invalid`] for a limit out of range, [`Error::Unavailable`].
pub async fn list(database: &Database, scope: Scope, request: &PageRequest) -> Result<Page<Run>, Error> {
    let (at, id) = request.after::<Uuid>()?.unzip();
    let fetch = request.fetch()?;
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let rows = select(&mut tx, scope, None, at, id, fetch).await?;
            tx.commit().await?;
            Ok(request.page(rows, |run| cursor_of(run.started_at, run.id)))
        })
        .await
}

/// One run with its steps, if `scope` may see it.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn find(database: &Database, scope: Scope, id: Uuid) -> Result<Option<RunDetail>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let Some(run) = select(&mut tx, scope, Some(id), None, None, 1).await?.pop() else {
                tx.commit().await?;
                return Ok(None);
            };
            let steps = sqlx::query_as!(
                Step,
                "select step, status, result, finished_at from vtoc.playbook_step where run_id = $1 order by position",
                id
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(Some(RunDetail { run, steps }))
        })
        .await
}

async fn select(
    tx: &mut Tx,
    scope: Scope,
    only: Option<Uuid>,
    at: Option<DateTime<Utc>>,
    id: Option<Uuid>,
    fetch: i64,
) -> Result<Vec<Run>, Error> {
    Ok(sqlx::query_as!(
        Run,
        r#"select r.id, s.slug as station, r.playbook, r.status, r.job_id, r.parameters, r.error, r.started_at, r.finished_at
        from vtoc.playbook_run r
        join vtoc.station s on s.id = r.station_id
        where ($1::uuid is null or r.id = $1) and ($2::timestamptz is null or (r.started_at, r.id) < ($2, $3))
            and ($5::bigint is null or r.station_id = $5)
        order by r.started_at desc, r.id desc
        limit $4"#,
        only,
        at,
        id,
        fetch,
        scope.station()
    )
    .fetch_all(&mut **tx)
    .await?)
}
