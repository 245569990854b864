//! Rows that outlive the day they belong to and are deleted one by one, a bounded batch a statement: kept bodies that
//! nobody needs any more, attempts and effects of jobs without a body, dedupe keys past their period.

use chrono::NaiveDate;

use super::bodies::Ids;
use crate::{Database, Error};

/// Rows of a table deleted by one statement.
const BATCH: i64 = 5_000;
/// Jobs looked at by one statement.
const JOBS: i64 = 500;

/// Forgets kept bodies that neither a live job nor the history needs, with their attempts and effects: once a day, when
/// the history before `today` is gone.
pub(super) async fn forget_kept(database: &Database, today: NaiveDate) -> Result<u64, Error> {
    if checked_on(database).await? >= today {
        return Ok(0);
    }
    let (mut after, mut deleted) = (0, 0);
    loop {
        let ids = kept(database, after).await?;
        let Some(last) = ids.last() else { break };
        after = *last;
        deleted += forget_unneeded(database, &ids).await?;
    }
    database
        .bounded(async {
            let mut tx = database.begin_maintenance().await?;
            sqlx::query!("update vtoc.job_floor set kept_checked_on = $1", today).execute(&mut *tx).await?;
            tx.commit().await
        })
        .await?;
    Ok(deleted)
}

async fn checked_on(database: &Database) -> Result<NaiveDate, Error> {
    database
        .bounded(async {
            let mut tx = database.begin_maintenance().await?;
            let row = sqlx::query!("select kept_checked_on from vtoc.job_floor").fetch_one(&mut *tx).await?;
            tx.commit().await?;
            Ok(row.kept_checked_on)
        })
        .await
}

async fn kept(database: &Database, after: i64) -> Result<Vec<i64>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin_maintenance().await?;
            let ids =
                sqlx::query_scalar!("select id from vtoc.job_kept where id > $1 order by id limit $2", after, JOBS)
                    .fetch_all(&mut *tx)
                    .await?;
            tx.commit().await?;
            Ok(ids)
        })
        .await
}

/// Forgets those of `ids` that nobody needs, their bodies last: while one is there, this is done again.
async fn forget_unneeded(database: &Database, ids: &[i64]) -> Result<u64, Error> {
    let unneeded = database
        .bounded(async {
            let mut tx = database.begin_maintenance().await?;
            let unneeded = sqlx::query_scalar!(
                r#"select id as "id!" from unnest($1::bigint[]) as k (id) where id not in (select id from vtoc.job_needed where id = any($1))"#,
                ids
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(unneeded)
        })
        .await?;
    if unneeded.is_empty() {
        return Ok(0);
    }
    let traces = forget_traces(database, &unneeded).await?;
    let bodies = database
        .bounded(async {
            let mut tx = database.begin_maintenance().await?;
            sqlx::query!("delete from vtoc.job_large_kept where id = any($1)", &unneeded).execute(&mut *tx).await?;
            let bodies = sqlx::query!("delete from vtoc.job_kept where id = any($1)", &unneeded)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            tx.commit().await?;
            Ok(bodies)
        })
        .await?;
    Ok(traces + bodies)
}

/// Forgets attempts and effects of a day's jobs whose bodies were not kept. The floor must be above the day.
pub(super) async fn forget_unkept(database: &Database, ids: Ids) -> Result<u64, Error> {
    let (mut from, mut deleted) = (ids.from, 0);
    loop {
        let seen = database.bounded(traced(database, from, ids.to)).await?;
        let Some((last, _)) = seen.last() else { return Ok(deleted) };
        from = last + 1;
        let unkept: Vec<i64> = seen.iter().filter(|(_, kept)| !kept).map(|(id, _)| *id).collect();
        deleted += forget_traces(database, &unkept).await?;
    }
}

/// The next jobs of a range that have attempts or effects, and whether their bodies were kept.
async fn traced(database: &Database, from: i64, to: i64) -> Result<Vec<(i64, bool)>, Error> {
    let mut tx = database.begin_maintenance().await?;
    let rows = sqlx::query!(
        r#"select s.id as "id!", exists (select from vtoc.job_kept k where k.id = s.id) as "kept!"
        from (
            (select distinct job_id as id from vtoc.job_attempt where job_id >= $1 and job_id < $2 order by job_id limit $3)
            union
            (select distinct job_id from vtoc.effect where job_id >= $1 and job_id < $2 order by job_id limit $3)
            order by id
            limit $3
        ) s
        order by s.id"#,
        from,
        to,
        JOBS
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(rows.into_iter().map(|row| (row.id, row.kept)).collect())
}

/// Forgets attempts and effects of `jobs`.
async fn forget_traces(database: &Database, jobs: &[i64]) -> Result<u64, Error> {
    let mut deleted = 0;
    while !jobs.is_empty() {
        let batch = database
            .bounded(async {
                let mut tx = database.begin_maintenance().await?;
                let row = sqlx::query!(
                    r#"with attempts as (
                        delete from vtoc.job_attempt
                        where ctid = any(array(select ctid from vtoc.job_attempt where job_id = any($1) limit $2))
                        returning 1
                    ),
                    effects as (
                        delete from vtoc.effect
                        where ctid = any(array(select ctid from vtoc.effect where job_id = any($1) limit $2))
                        returning 1
                    )
                    select (select count(*) from attempts) as "attempts!", (select count(*) from effects) as "effects!""#,
                    jobs,
                    BATCH
                )
                .fetch_one(&mut *tx)
                .await?;
                tx.commit().await?;
                Ok((row.attempts, row.effects))
            })
            .await?;
        deleted += (batch.0 + batch.1).unsigned_abs();
        if batch.0 < BATCH && batch.1 < BATCH {
            break;
        }
    }
    Ok(deleted)
}

/// Frees dedupe keys whose period after the job's end is over. One that somebody takes at this moment is left to him.
pub(super) async fn free_expired_keys(database: &Database) -> Result<u64, Error> {
    let mut deleted = 0;
    loop {
        let batch = database
            .bounded(async {
                let mut tx = database.begin_maintenance().await?;
                let freed = sqlx::query!(
                    "delete from vtoc.job_unique
                    where ctid = any(array(
                        select ctid
                        from vtoc.job_unique
                        where expires_at <= (select vtoc.clock())
                        order by expires_at
                        limit $1
                        for update skip locked
                    ))",
                    BATCH
                )
                .execute(&mut *tx)
                .await?
                .rows_affected();
                tx.commit().await?;
                Ok(freed)
            })
            .await?;
        deleted += batch;
        if batch < BATCH.unsigned_abs() {
            return Ok(deleted);
        }
    }
}
