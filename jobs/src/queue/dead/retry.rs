//! Running ended jobs again: the same job, with all its attempts before it. Its history row goes, it takes its dedupe key
//! again, and the run it carried is open again; an audit that it failed stays failed.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{Filter, find, visible};
use crate::{Database, Error, JobId, Page, PageRequest, Scope, Tx, aftermath};

/// What came of running a job again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// It may run at once, with as many attempts as a new one, counted from 1; alone, if it killed its last worker.
    Again,
    /// Another job holds its dedupe key.
    KeyTaken {
        /// The other job.
        by: JobId,
    },
    /// It is neither dead nor cancelled, or its history has expired.
    NotEnded,
    /// There is no such job in the caller's scope.
    Unknown,
}

/// Lets dead and cancelled jobs run again, for a caller who may see them in `scope`; answers in the order of `ids`. The
/// workers find them by their next poll.
///
/// # Errors
/// [`Error::Invalid`] for more than [`super::JOBS_MAX`] jobs, [`Error::Unavailable`] without the database.
pub async fn retry(database: &Database, scope: Scope, ids: &[JobId]) -> Result<Vec<Retried>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let retried = retry_in(&mut tx, ids).await?;
            tx.commit().await?;
            Ok(retried)
        })
        .await
}

/// [`retry`] of a page of the jobs that `filter` means.
///
/// # Errors
/// [`Error::BadCursor`], [`Error::Invalid`] for a limit out of range, [`Error::Unavailable`].
pub async fn retry_matching(
    database: &Database,
    scope: Scope,
    filter: &Filter,
    request: &PageRequest,
) -> Result<Page<(JobId, Retried)>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let page = request.page(find(&mut tx, filter, request).await?, super::Found::cursor);
            let ids: Vec<JobId> = page.items.iter().map(super::Found::id).collect();
            let retried = retry_in(&mut tx, &ids).await?;
            tx.commit().await?;
            Ok(Page { items: ids.into_iter().zip(retried).collect(), next_cursor: page.next_cursor })
        })
        .await
}

async fn retry_in(tx: &mut Tx, ids: &[JobId]) -> Result<Vec<Retried>, Error> {
    let seen = visible(tx, ids).await?;
    crate::database::as_fleet(tx).await?;
    let keys: Vec<i64> = seen.iter().map(|id| id.key()).collect();
    let retried = bring_back(tx, &keys).await?;
    let runs_again = |id: &JobId| retried.get(&id.key()) == Some(&Retried::Again);
    let again: Vec<JobId> = seen.iter().copied().filter(runs_again).collect();
    aftermath::undone(tx, &again).await?;
    let answer = |id: &JobId| match retried.get(&id.key()) {
        _ if !seen.contains(id) => Retried::Unknown,
        Some(retried) => *retried,
        None => Retried::NotEnded,
    };
    Ok(ids.iter().map(answer).collect())
}

/// Moves ended jobs from the history to the ready ones; says what came of those that had ended.
async fn bring_back(tx: &mut Tx, keys: &[i64]) -> Result<HashMap<i64, Retried>, Error> {
    let rows = sqlx::query!(
        r#"with ended as materialized (
            select f.id, f.expires_at, f.queue, f.kind, f.station_id, f.attempt, f.started_at, f.finished_at, f.error,
                j.enqueued_at, j.priority, j.attempts_max, j.dedupe_key
            from vtoc.job_finished f
            cross join lateral (select * from vtoc.job where id = f.id limit 1) j
            where f.id = any($1) and f.state <> 'done' and f.expires_at > (select vtoc.clock())
            order by f.id
            for update of f
        ),
        -- Of several with the same key the one that still holds it, or the newest. Sorted as in an enqueue.
        key as (
            insert into vtoc.job_unique as held (station_id, kind, key, job_id, enqueued_at)
            select distinct on (coalesce(e.station_id, 0), e.kind, e.dedupe_key) coalesce(e.station_id, 0), e.kind, e.dedupe_key, e.id, e.enqueued_at
            from ended e
            left join vtoc.job_unique own on own.job_id = e.id
            where e.dedupe_key is not null
            order by coalesce(e.station_id, 0), e.kind, e.dedupe_key, own.job_id is null, e.id desc
            on conflict (station_id, kind, key) do update
            set job_id = case when held.expires_at <= vtoc.clock() then excluded.job_id else held.job_id end,
                enqueued_at = case when held.expires_at <= vtoc.clock() then excluded.enqueued_at else held.enqueued_at end,
                keep_for = case when held.expires_at <= vtoc.clock() and held.job_id <> excluded.job_id then null else held.keep_for end,
                expires_at = case when held.expires_at <= vtoc.clock() or held.job_id = excluded.job_id then null else held.expires_at end
            returning station_id, kind, key, job_id, enqueued_at, expires_at
        ),
        judged as (
            select e.*, key.job_id as holder, key.enqueued_at as holder_at,
                e.dedupe_key is null or key.job_id = e.id and key.expires_at is null as free
            from ended e
            left join key on key.station_id = coalesce(e.station_id, 0) and key.kind = e.kind and key.key = e.dedupe_key
        ),
        gone as (
            delete from vtoc.job_finished f
            using judged
            where judged.free and f.id = judged.id and f.expires_at = judged.expires_at
        ),
        -- A request of its life before.
        heard as (
            delete from vtoc.job_cancel c
            using judged
            where judged.free and c.job_id = judged.id
        ),
        ready as (
            insert into vtoc.job_ready (id, queue, kind, station_id, priority, run_at, due, suspect, keyed, attempts_max)
            select id, queue, kind, station_id, priority, vtoc.clock(), true,
                coalesce((select a.outcome = 'crashed' from vtoc.job_attempt a where a.job_id = judged.id order by a.token desc limit 1), false),
                dedupe_key is not null, attempts_max
            from judged
            where free
        ),
        -- Other ends are an attempt's, and on record.
        called_off as (
            insert into vtoc.job_attempt (job_id, token, attempt, station_id, started_at, finished_at, outcome, error)
            select id, nextval('vtoc.lease_token'), attempt, station_id, finished_at, finished_at, 'cancelled', error
            from judged
            where free and started_at is null
        )
        select id as "id!", free as "free!", holder as "holder?", holder_at as "holder_at?" from judged"#,
        keys
    )
    .fetch_all(&mut **tx)
    .await?;
    let retried = |free: bool, holder: Option<(i64, DateTime<Utc>)>| match holder {
        Some((key, at)) if !free => Retried::KeyTaken { by: JobId::new(key, at) },
        _ => Retried::Again,
    };
    Ok(rows.into_iter().map(|row| (row.id, retried(row.free, row.holder.zip(row.holder_at)))).collect())
}
