//! Removing ended jobs before their time: history, body, attempts and effects. A dedupe key that is kept for a period
//! stays taken for it.

use std::collections::HashSet;

use super::{Filter, find, visible};
use crate::{Database, Error, JobId, Page, PageRequest, Scope, Tx};

/// Removes dead and cancelled jobs, for a caller who may see them in `scope`; answers with those that are gone, in the
/// order of `ids`. Others are left alone.
///
/// # Errors
/// [`Error::Invalid`] for more than [`super::JOBS_MAX`] jobs, [`Error::Unavailable`] without the database.
pub async fn purge(database: &Database, scope: Scope, ids: &[JobId]) -> Result<Vec<JobId>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let gone = purge_in(&mut tx, ids).await?;
            tx.commit().await?;
            Ok(gone)
        })
        .await
}

/// [`purge`] of a page of the jobs that `filter` means.
///
/// # Errors
/// [`Error::BadCursor`], [`Error::Invalid`] for a limit out of range, [`Error::Unavailable`].
pub async fn purge_matching(
    database: &Database,
    scope: Scope,
    filter: &Filter,
    request: &PageRequest,
) -> Result<Page<JobId>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let page = request.page(find(&mut tx, filter, request).await?, super::Found::cursor);
            let ids: Vec<JobId> = page.items.iter().map(super::Found::id).collect();
            let gone = purge_in(&mut tx, &ids).await?;
            tx.commit().await?;
            Ok(Page { items: gone, next_cursor: page.next_cursor })
        })
        .await
}

async fn purge_in(tx: &mut Tx, ids: &[JobId]) -> Result<Vec<JobId>, Error> {
    let seen = visible(tx, ids).await?;
    let keys: Vec<i64> = seen.iter().map(|id| id.key()).collect();
    crate::database::as_fleet(tx).await?;
    // Apart from the removal, which must see the bodies that pruning has just copied.
    sqlx::query!("select pg_advisory_xact_lock_shared(hashtextextended('vtoc bodies', 0))")
        .fetch_one(&mut **tx)
        .await?;
    let gone: HashSet<i64> = sqlx::query_scalar!(
        r#"with gone as (
            delete from vtoc.job_finished
            where id = any($1) and state <> 'done'
            returning id
        ),
        bodies as (
            delete from vtoc.job_body
            where id = any(array(select id from gone))
        ),
        kept as (
            delete from vtoc.job_kept
            where id = any(array(select id from gone))
        ),
        large as (
            delete from vtoc.job_large
            where id = any(array(select id from gone))
        ),
        large_kept as (
            delete from vtoc.job_large_kept
            where id = any(array(select id from gone))
        ),
        attempts as (
            delete from vtoc.job_attempt
            where job_id = any(array(select id from gone))
        ),
        effects as (
            delete from vtoc.effect
            where job_id = any(array(select id from gone))
        )
        select id as "id!" from gone"#,
        &keys
    )
    .fetch_all(&mut **tx)
    .await?
    .into_iter()
    .collect();
    Ok(seen.into_iter().filter(|id| gone.contains(&id.key())).collect())
}
