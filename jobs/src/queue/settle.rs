//! Leaving a lease: which results still count. A batch that ends as a whole takes its lease row with it; a job that ends
//! before the rest of its batch is marked as settled. Either happens once for an attempt, whoever comes first.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Outcome;
use crate::{Error, database::Line};

/// What a lease says of the jobs under it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    pub(super) worker_id: Uuid,
    pub(super) started_at: DateTime<Utc>,
    pub(super) suspect: bool,
    pub(super) crash_count: i16,
}

/// A result that counts.
#[derive(Debug)]
pub(super) struct Settled<'a> {
    pub(super) outcome: &'a Outcome,
    pub(super) lease: Lease,
}

/// Takes the jobs of `outcomes` out of their leases; those that were still in are answered. Locks the leases of `retiring`, too,
/// when it locks any: all leases are locked in one order.
pub(super) async fn settle<'a>(
    tx: &mut Line,
    outcomes: &'a [Outcome],
    retiring: &[i64],
) -> Result<Vec<Settled<'a>>, Error> {
    // Of two results of one attempt the first counts.
    let mut seen = HashSet::with_capacity(outcomes.len());
    let outcomes: Vec<&Outcome> = outcomes.iter().filter(|outcome| seen.insert(outcome.held.attempt_key())).collect();
    let mut batches = HashMap::<i64, i32>::new();
    outcomes.iter().for_each(|outcome| *batches.entry(outcome.held.token).or_default() += 1);
    let is_whole = |outcome: &&&Outcome| batches[&outcome.held.token] == outcome.held.batch;
    let (whole, mut parts): (Vec<&Outcome>, Vec<&Outcome>) = outcomes.iter().partition(is_whole);
    let mut settled = Vec::with_capacity(outcomes.len());
    if !whole.is_empty() {
        let leases = end_whole(tx, &whole, retiring).await?;
        for outcome in whole {
            match leases.get(&outcome.held.token) {
                Some(lease) => settled.push(Settled { outcome, lease: *lease }),
                // Gone, or some of its jobs were settled before.
                None => parts.push(outcome),
            }
        }
    }
    if !parts.is_empty() {
        let leases = end_parts(tx, &parts).await?;
        let ours = |outcome: &'a Outcome| {
            let lease = *leases.get(&(outcome.held.token, outcome.held.key))?;
            Some(Settled { outcome, lease })
        };
        settled.extend(parts.into_iter().filter_map(ours));
    }
    Ok(settled)
}

/// Ends whole leases: those of `outcomes` that stand and of whose jobs none was settled before. Answers by token.
async fn end_whole(tx: &mut Line, outcomes: &[&Outcome], retiring: &[i64]) -> Result<HashMap<i64, Lease>, Error> {
    let tokens = HashSet::<i64>::from_iter(outcomes.iter().map(|outcome| outcome.held.token));
    let tokens = Vec::from_iter(tokens);
    let locked = [&tokens, retiring].concat();
    // Apart from what follows, which must see what the holders of these locks have committed.
    sqlx::query!("select token from vtoc.job_lease where token = any($1) order by token for update", &locked)
        .fetch_all(&mut *tx)
        .await?;
    let rows = sqlx::query!(
        "delete from vtoc.job_lease l
        -- As a value: for a join the planner may read the whole table.
        where l.token = any($1) and (select true from vtoc.job_settled s where s.token = l.token limit 1) is null
        returning l.token, l.worker_id, l.started_at, l.suspect, l.crash_count",
        &tokens
    )
    .fetch_all(&mut *tx)
    .await?;
    let lease = |worker_id, started_at, suspect, crash_count| Lease { worker_id, started_at, suspect, crash_count };
    Ok(rows
        .into_iter()
        .map(|row| (row.token, lease(row.worker_id, row.started_at, row.suspect, row.crash_count)))
        .collect())
}

/// Marks single jobs as settled. Whoever holds the mark uncommitted, a database effect, is waited for. Answers by token and key.
async fn end_parts(tx: &mut Line, outcomes: &[&Outcome]) -> Result<HashMap<(i64, i64), Lease>, Error> {
    let (tokens, keys): (Vec<i64>, Vec<i64>) =
        outcomes.iter().map(|outcome| (outcome.held.token, outcome.held.key)).unzip();
    let leases = Vec::from_iter(HashSet::<i64>::from_iter(tokens.iter().copied()));
    let rows = sqlx::query!(
        "with lease as materialized (
            select l.token, l.worker_id, l.started_at, l.suspect, l.crash_count
            from vtoc.job_lease l
            where l.token = any($1)
            order by l.token
            for key share
        ),
        part as (
            insert into vtoc.job_settled (token, id)
            select lease.token, u.id
            from lease
            join unnest($2::bigint[], $3::bigint[]) as u (token, id) on u.token = lease.token
            order by lease.token, u.id
            on conflict do nothing
            returning token, id
        )
        select part.token, part.id, lease.worker_id, lease.started_at, lease.suspect, lease.crash_count
        from part
        join lease on lease.token = part.token",
        &leases,
        &tokens,
        &keys
    )
    .fetch_all(&mut *tx)
    .await?;
    let lease = |worker_id, started_at, suspect, crash_count| Lease { worker_id, started_at, suspect, crash_count };
    Ok(rows
        .into_iter()
        .map(|row| ((row.token, row.id), lease(row.worker_id, row.started_at, row.suspect, row.crash_count)))
        .collect())
}

/// Settles one job for a database effect, if it is still in its lease: the mark, while uncommitted, is the job's lock.
pub(super) async fn lock(tx: &mut Line, token: i64, key: i64) -> Result<Option<Lease>, Error> {
    Ok(sqlx::query_as!(
        Lease,
        r#"with lease as (
            select token, worker_id, started_at, suspect, crash_count
            from vtoc.job_lease
            where token = $1 and $2 = any(ids)
            for key share
        ),
        mark as (
            insert into vtoc.job_settled (token, id)
            select token, $2
            from lease
            on conflict do nothing
            returning token
        )
        select lease.worker_id, lease.started_at, lease.suspect, lease.crash_count
        from lease
        join mark on mark.token = lease.token"#,
        token,
        key
    )
    .fetch_optional(&mut *tx)
    .await?)
}

/// Takes [`lock`]'s mark back: the job stays in its lease.
pub(super) async fn unlock(tx: &mut Line, token: i64, key: i64) -> Result<(), Error> {
    sqlx::query!("delete from vtoc.job_settled where token = $1 and id = $2", token, key).execute(&mut *tx).await?;
    Ok(())
}

/// Ends leases whose jobs are all settled.
pub(super) async fn retire(tx: &mut Line, tokens: &[i64]) -> Result<(), Error> {
    sqlx::query!(
        "with empty as materialized (
            select l.token
            from vtoc.job_lease l
            where l.token = any($1) and cardinality(l.ids) = (select count(*) from vtoc.job_settled s where s.token = l.token)
            order by l.token
            for update
        ),
        gone as (
            delete from vtoc.job_lease
            where token = any(array(select token from empty))
            returning token
        )
        delete from vtoc.job_settled
        where token = any(array(select token from gone))",
        tokens
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}
