//! Parents and the children they wait for. A family's row counts them, and its lock orders the end of the last child
//! against the parent's own wait, so that no parent sleeps on after its last child. A job that only acts on another's behalf
//! is no child here.

use std::collections::BTreeSet;

use super::{
    Enqueued, NewJob,
    enqueue::place,
    wait::{By, wake},
};
use crate::{Database, Error, JobId, Scope, Tx, database::Line};

/// A child that has ended.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) key: i64,
    /// Dead or cancelled.
    pub(super) failed: bool,
}

/// Enqueues `jobs` as children that `parent` can wait for, in the caller's transaction, which must be in fleet scope. A child
/// whose key is taken is no second child of it. Wake the workers after the commit.
///
/// # Errors
/// As [`super::enqueue()`].
pub async fn enqueue(tx: &mut Tx, parent: JobId, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
    let jobs: Vec<NewJob> = jobs.iter().map(|job| NewJob { parent: Some(parent), ..job.clone() }).collect();
    let enqueued = place(tx, &jobs, true).await?;
    let fresh: Vec<i64> = enqueued.iter().filter(|child| child.fresh).map(|child| child.id.key()).collect();
    if !fresh.is_empty() {
        sqlx::query!(
            r#"with child as (
                insert into vtoc.job_child (id, parent_id)
                select id, $2
                from unnest($1::bigint[]) as id
            )
            insert into vtoc.job_family as f (parent_id, "left")
            values ($2, cardinality($1::bigint[]))
            on conflict (parent_id) do update set "left" = f."left" + excluded."left""#,
            &fresh,
            parent.key()
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(enqueued)
}

/// Locks the families of `parents` and of the parents of `children`, all in one order. What follows sees what the holders of these
/// locks have committed.
pub(super) async fn lock(tx: &mut Line, parents: &[i64], children: &[Child]) -> Result<(), Error> {
    let children: Vec<i64> = children.iter().map(|child| child.key).collect();
    sqlx::query!(
        r#"select f.parent_id
        from vtoc.job_family f
        where f.parent_id = any(array(
            select unnest($1::bigint[])
            union
            select c.parent_id from vtoc.job_child c where c.id = any($2)
        ))
        order by f.parent_id
        for update"#,
        parents,
        &children
    )
    .fetch_all(&mut *tx)
    .await?;
    Ok(())
}

/// Counts ended children whose families are locked, and wakes the parents that waited for the last of them.
pub(super) async fn ended(tx: &mut Line, children: &[Child]) -> Result<(), Error> {
    if children.is_empty() {
        return Ok(());
    }
    let (keys, failed): (Vec<i64>, Vec<bool>) = children.iter().map(|child| (child.key, child.failed)).unzip();
    let complete = sqlx::query_scalar!(
        r#"with gone as (
            delete from vtoc.job_child c
            using unnest($1::bigint[], $2::bool[]) as u (id, failed)
            where c.id = u.id
            returning c.parent_id, u.failed
        ),
        counted as (
            select parent_id, count(*)::int as ended, (count(*) filter (where failed))::int as failed
            from gone
            group by parent_id
        )
        update vtoc.job_family f
        set "left" = f."left" - counted.ended, done = f.done + counted.ended - counted.failed, failed = f.failed + counted.failed
        from counted
        where f.parent_id = counted.parent_id
        returning case when f."left" = 0 then f.parent_id end"#,
        &keys,
        &failed
    )
    .fetch_all(&mut *tx)
    .await?;
    let complete = BTreeSet::from_iter(complete.into_iter().flatten());
    if !complete.is_empty() {
        let parents = Vec::from_iter(complete);
        wake(tx, By::Children, &parents, &vec![None; parents.len()]).await?;
    }
    Ok(())
}

/// [`ended`] for jobs that are dead or cancelled.
pub(super) async fn failed(tx: &mut Line, keys: &[i64]) -> Result<(), Error> {
    let children: Vec<Child> = keys.iter().map(|key| Child { key: *key, failed: true }).collect();
    if !children.is_empty() {
        lock(tx, &[], &children).await?;
        ended(tx, &children).await?;
    }
    Ok(())
}

/// The job on whose behalf `key` is: one of the same station, or one that awaits it. Whoever enqueues names any parent.
pub(super) async fn parent(database: &Database, key: i64) -> Result<Option<JobId>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let row = sqlx::query!(
                r#"select p.id as "id!", p.enqueued_at as "enqueued_at!"
                from vtoc.job j
                -- The view joined on a column would be read as a whole.
                cross join lateral (select * from vtoc.job where id = j.parent_id limit 1) p
                where j.id = $1
                    and (p.station_id is not distinct from j.station_id
                        or exists (select from vtoc.job_child c where c.id = $1 and c.parent_id = p.id))"#,
                key
            )
            .fetch_optional(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(row.map(|parent| JobId::new(parent.id, parent.enqueued_at)))
        })
        .await
}
