//! What people see of jobs. Lists walk one index of one table, newest first, and never count.

mod keys;
mod running;

use std::{collections::HashMap, str::FromStr};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use self::running::Running;
use crate::{Database, Error, JobId, Page, PageRequest, Scope, StationId, Tx, page::cursor_of};

/// Payload keys whose values are never shown.
const REDACTED: [&str; 6] = ["authorization", "password", "secret", "token", "api_key", "signature"];

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// May run at `run_at`.
    Ready,
    /// Under a lease.
    Running,
    /// For its children or an answer.
    Waiting,
    /// Finished with success.
    Done,
    /// Finished without.
    Dead,
    /// Called off.
    Cancelled,
}

impl FromStr for State {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "ready" => Self::Ready,
            "running" => Self::Running,
            "waiting" => Self::Waiting,
            "done" => Self::Done,
            "dead" => Self::Dead,
            "cancelled" => Self::Cancelled,
            _ => return Err(Error::invalid("state", "expected ready, running, waiting, done, dead or cancelled")),
        })
    }
}

/// Which jobs are wanted.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Where they stand.
    pub state: Option<State>,
    /// What they do.
    pub kind: Option<String>,
    /// The queue they went to.
    pub queue: Option<String>,
    /// Whose they are.
    pub station: Option<StationId>,
}

/// A job in a list.
#[derive(Debug, Clone, Serialize)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// What it does.
    pub kind: String,
    /// The queue it went to.
    pub queue: String,
    /// Whose it is, by slug.
    pub station: Option<String>,
    /// Where it stands.
    pub state: State,
    /// Higher first.
    pub priority: i16,
    /// The attempt under way, or attempts so far.
    pub attempt: i16,
    /// Attempts at most.
    pub attempts_max: i16,
    /// When it was enqueued.
    pub enqueued_at: DateTime<Utc>,
    /// When it may run (ready jobs).
    pub run_at: Option<DateTime<Utc>>,
    /// What it waits for: `callback` or `children` (waiting jobs).
    pub waits_for: Option<String>,
    /// When it is woken whatever comes (waiting jobs); a batch's completion never is.
    pub waits_until: Option<DateTime<Utc>>,
    /// When the current or last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it finished.
    pub finished_at: Option<DateTime<Utc>>,
    /// The process that runs it or ran it last.
    pub worker: Option<String>,
    /// Whether it waits for a process of its own, because it may have killed one.
    pub suspect: bool,
    /// How often it was alone in a process that died.
    pub crash_count: i16,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// A job with all that is known of it.
#[derive(Debug, Clone, Serialize)]
pub struct JobDetail {
    /// What lists show.
    #[serde(flatten)]
    pub job: JobView,
    /// The kind's own fields, secrets replaced; of one over the cap, its size.
    pub payload: Value,
    /// What it came to.
    pub output: Option<Value>,
    /// W3C trace context.
    pub trace_parent: Option<String>,
    /// The job on whose behalf.
    pub parent: Option<JobId>,
    /// Attempts that ended, oldest first.
    pub attempts: Vec<AttemptView>,
    /// Outbound effects that a far side acknowledged.
    pub effects: Vec<EffectView>,
}

/// One attempt that ended.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptView {
    /// Which, from 1; interrupted ones don't count, so numbers may repeat.
    pub attempt: i16,
    /// `done`, `retry`, `snooze`, `waiting`, `cancelled`, `dead`, `interrupted`, `timed_out`, `panicked`, `crashed` or `given_up`.
    pub outcome: String,
    /// Why.
    pub error: Option<String>,
    /// The process.
    pub worker: Option<String>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
}

/// One outbound effect.
#[derive(Debug, Clone, Serialize)]
pub struct EffectView {
    /// What it is called within the job.
    pub name: String,
    /// The key it was sent under.
    pub idempotency_key: String,
    /// HTTP method.
    pub method: String,
    /// Where it went.
    pub host: String,
    /// HTTP status it was acknowledged with.
    pub status: i16,
    /// How long it took.
    pub elapsed_ms: i32,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
}

struct JobRow {
    id: i64,
    kind: String,
    queue: String,
    station: Option<String>,
    priority: i16,
    attempts_max: i16,
    enqueued_at: DateTime<Utc>,
    state: Option<String>,
    attempt: Option<i16>,
    run_at: Option<DateTime<Utc>>,
    waits_for: Option<String>,
    waits_until: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    worker: Option<String>,
    suspect: Option<bool>,
    crash_count: Option<i16>,
    error: Option<String>,
}

impl JobRow {
    fn view(self, running: &HashMap<i64, Running>) -> Result<JobView, Error> {
        let mut view = JobView {
            id: JobId::new(self.id, self.enqueued_at),
            kind: self.kind,
            queue: self.queue,
            station: self.station,
            // A job that neither waits nor has finished is in a lease.
            state: self.state.as_deref().unwrap_or("running").parse()?,
            priority: self.priority,
            attempt: self.attempt.unwrap_or(0),
            attempts_max: self.attempts_max,
            enqueued_at: self.enqueued_at,
            run_at: self.run_at,
            waits_for: self.waits_for,
            waits_until: self.waits_until,
            started_at: self.started_at,
            finished_at: self.finished_at,
            worker: self.worker,
            suspect: self.suspect.unwrap_or(false),
            crash_count: self.crash_count.unwrap_or(0),
            error: self.error,
        };
        if view.state == State::Running
            && let Some(running) = running.get(&self.id)
        {
            view.attempt = running.attempt;
            view.started_at = Some(running.started_at);
            view.worker.clone_from(&running.worker);
            (view.suspect, view.crash_count) = (running.suspect, running.crash_count);
        }
        Ok(view)
    }
}

/// Jobs, newest first.
///
/// # Errors
/// [`Error::BadCursor`], [`Error::Invalid`] for a limit out of range, [`Error::Unavailable`].
pub async fn jobs(
    database: &Database,
    scope: Scope,
    filter: &JobFilter,
    request: &PageRequest,
) -> Result<Page<JobView>, Error> {
    let fetch = request.fetch()?;
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let keys = keys::page(&mut tx, scope, filter, request, fetch).await?;
            let ids: Vec<i64> = keys.iter().map(|key| key.id).collect();
            let page = request.page(keys, |key| key.at.map_or_else(|| key.id.to_string(), |at| cursor_of(at, key.id)));
            let mut rows = rows(&mut tx, &ids).await?;
            let running = running::of(&mut tx, scope, &rows).await?;
            tx.commit().await?;
            let items = page
                .items
                .iter()
                .filter_map(|key| rows.iter().position(|row| row.id == key.id).map(|at| rows.swap_remove(at)))
                .map(|row| row.view(&running))
                .collect::<Result<_, _>>()?;
            Ok(Page { items, next_cursor: page.next_cursor })
        })
        .await
}

async fn rows(tx: &mut Tx, ids: &[i64]) -> Result<Vec<JobRow>, Error> {
    Ok(sqlx::query_as!(
        JobRow,
        r#"select j.id as "id!", j.kind as "kind!", j.queue as "queue!", s.slug as "station?", j.priority as "priority!", j.attempts_max as "attempts_max!",
            j.enqueued_at as "enqueued_at!", case when r.id is not null then 'ready' when wt.id is not null then 'waiting' else f.state end as state,
            coalesce(r.attempt, wt.attempt, f.attempt) as attempt, r.run_at as "run_at?", wt.what as "waits_for?", wt.deadline as "waits_until?",
            f.started_at as "started_at?", f.finished_at as "finished_at?", w.name as "worker?", coalesce(r.suspect, wt.suspect) as suspect,
            coalesce(r.crash_count, wt.crash_count) as crash_count, coalesce(f.error, last.error) as error
        from vtoc.job j
        left join vtoc.station s on s.id = j.station_id
        left join vtoc.job_ready r on r.id = j.id
        left join vtoc.job_waiting wt on wt.id = j.id
        left join vtoc.job_finished f on f.id = j.id
        left join lateral (select a.error, a.worker_id from vtoc.job_attempt a where a.job_id = j.id order by a.token desc limit 1) last on true
        left join vtoc.worker w on w.id = coalesce(f.worker_id, last.worker_id)
        where j.id = any($1)"#,
        ids
    )
    .fetch_all(&mut **tx)
    .await?)
}

/// One job with all that is known of it, if `scope` may see it.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn job(database: &Database, scope: Scope, id: JobId) -> Result<Option<JobDetail>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let Some(row) = rows(&mut tx, &[id.key()]).await?.pop().filter(|row| id.matches(row.enqueued_at)) else {
                tx.commit().await?;
                return Ok(None);
            };
            let body = sqlx::query!(
                r#"select j.payload as "payload!", j.trace_parent, p.id as "parent_id?", p.enqueued_at as "parent_at?", f.output as "output?"
                from vtoc.job j
                -- The view joined on a column would be read as a whole.
                left join lateral (select id, enqueued_at from vtoc.job where id = j.parent_id limit 1) p on true
                left join vtoc.job_finished f on f.id = j.id
                where j.id = $1"#,
                id.key()
            )
            .fetch_one(&mut *tx)
            .await?;
            let attempts = attempts_in(&mut tx, id).await?;
            let running = running::of(&mut tx, scope, std::slice::from_ref(&row)).await?;
            let effects = sqlx::query_as!(
                EffectView,
                "select name, idempotency_key, method, host, status, elapsed_ms, recorded_at
                from vtoc.effect
                where job_id = $1
                order by recorded_at
                limit 500",
                id.key()
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            let mut payload = body.payload;
            redact(&mut payload);
            let parent = body.parent_id.zip(body.parent_at).map(|(key, at)| JobId::new(key, at));
            Ok(Some(JobDetail { job: row.view(&running)?, payload, output: body.output, trace_parent: body.trace_parent, parent, attempts, effects }))
        })
        .await
}

/// The attempts of a job, oldest first; none when `scope` may not see the job.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn attempts(database: &Database, scope: Scope, id: JobId) -> Result<Option<Vec<AttemptView>>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let seen = sqlx::query!(r#"select enqueued_at as "enqueued_at!" from vtoc.job where id = $1"#, id.key())
                .fetch_optional(&mut *tx)
                .await?;
            if !seen.is_some_and(|job| id.matches(job.enqueued_at)) {
                tx.commit().await?;
                return Ok(None);
            }
            let attempts = attempts_in(&mut tx, id).await?;
            tx.commit().await?;
            Ok(Some(attempts))
        })
        .await
}

/// Recorded attempts, and the only attempt of a job that was done at once, which its history row stands for.
async fn attempts_in(tx: &mut Tx, id: JobId) -> Result<Vec<AttemptView>, Error> {
    Ok(sqlx::query_as!(
        AttemptView,
        r#"select a.attempt as "attempt!", a.outcome as "outcome!", a.error, w.name as "worker?", a.started_at, a.finished_at as "finished_at!"
        from (
            select attempt, outcome, error, worker_id, started_at, finished_at, token
            from vtoc.job_attempt
            where job_id = $1
            union all
            select attempt, 'done', null, worker_id, started_at, finished_at, 0
            from vtoc.job_finished
            where id = $1 and state = 'done' and attempt = 1
        ) a
        left join lateral (select name from vtoc.worker where id = a.worker_id limit 1) w on true
        order by a.finished_at, a.token
        limit 500"#,
        id.key()
    )
    .fetch_all(&mut **tx)
    .await?)
}

/// Replaces the values of keys that look like secrets, at any depth.
pub(crate) fn redact(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                let key = key.to_lowercase();
                if REDACTED.iter().any(|secret| key.contains(secret)) {
                    *field = Value::from("[redacted]");
                } else {
                    redact(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn secrets_are_replaced_at_any_depth_and_the_rest_stays() {
        let mut payload =
            serde_json::json!({"channel": "ops", "nested": [{"Api_Key": "k", "text": "t"}], "access_token": 3});
        redact(&mut payload);
        assert_eq!(
            payload,
            serde_json::json!({"channel": "ops", "nested": [{"Api_Key": "[redacted]", "text": "t"}], "access_token": "[redacted]"})
        );
    }
}
