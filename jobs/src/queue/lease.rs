//! Leases: renewed while their process lives, given up when it can't.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    LOOKS_MAX,
    enqueue::interval,
    finish::{Outcome, finish_in},
};
use crate::{
    ConnectOptions, Database, Error, Scope,
    database::{FLEET, Line, within},
};

/// The renewer's own connection: no pool, so that nothing else in the process can keep it waiting.
#[derive(Debug)]
pub struct Renewer {
    line: Line,
    /// Opens a transaction in fleet scope.
    opening: String,
    deadline: Duration,
}

impl Renewer {
    /// Connects.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when nobody answers in time.
    pub async fn connect(url: &str, options: &ConnectOptions) -> Result<Self, Error> {
        let opening = format!("{}{FLEET}", options.opening());
        Ok(Self { line: Line::connect(url, options).await?, opening, deadline: options.deadline })
    }

    /// Renews `tokens` for `lease` from now and marks the worker as seen. Answers with the tokens that still stood.
    /// After an error the connection is not to be used again.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database doesn't answer in time.
    pub async fn renew(&mut self, worker: Uuid, tokens: &[i64], lease: Duration) -> Result<HashSet<i64>, Error> {
        let (line, opening) = (&mut self.line, AssertSqlSafe(self.opening.clone()));
        let work = async {
            sqlx::raw_sql(opening).execute(&mut *line).await?;
            let held = sqlx::query_scalar!(
                "with seen as (
                    update vtoc.worker
                    set seen_at = vtoc.clock(), died_with = null
                    where id = $1
                ),
                -- In the order in which results lock them; a database effect isn't waited for.
                held as materialized (
                    select token
                    from vtoc.job_lease
                    where token = any($2)
                    order by token
                    for no key update
                )
                update vtoc.job_lease l
                set lease_until = vtoc.clock() + $3
                from held
                where l.token = held.token
                returning l.token",
                worker,
                tokens,
                interval(lease)
            )
            .fetch_all(&mut *line)
            .await?;
            sqlx::raw_sql("commit").execute(&mut *line).await?;
            Ok(held.into_iter().collect())
        };
        within(self.deadline, work).await
    }

    /// Writes the result of attempts whose handler can't, because it holds its thread beyond its time limit.
    ///
    /// # Errors
    /// As [`Renewer::renew`].
    pub async fn overrule(&mut self, outcomes: &[Outcome]) -> Result<(), Error> {
        let (line, opening) = (&mut self.line, AssertSqlSafe(self.opening.clone()));
        let work = async {
            sqlx::raw_sql(opening).execute(&mut *line).await?;
            for chunk in outcomes.chunks(100) {
                finish_in(line, chunk, &[]).await?;
            }
            sqlx::raw_sql("commit").execute(line).await?;
            Ok(())
        };
        within(self.deadline, work).await
    }
}

/// Takes the blame back for attempts that a sweep counted as crashes although their process lived on (it was stopped, or
/// cut off): their results came with a stale token. Answers how many were cleared.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn clear_blame(database: &Database, stale: &[(i64, i64)]) -> Result<u64, Error> {
    let (keys, tokens): (Vec<i64>, Vec<i64>) = stale.iter().copied().unzip();
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let cleared = sqlx::query!(
                "with stale as materialized (
                    select a.job_id, a.token, a.counted
                    from vtoc.job_attempt a
                    join unnest($1::bigint[], $2::bigint[]) as u (id, token) on a.job_id = u.id and a.token = u.token
                    where a.outcome = 'crashed'
                    order by a.job_id, a.token
                    for update of a
                )
                update vtoc.job_attempt a
                set outcome = 'given_up', error = 'its process was away longer than its lease', counted = false
                from stale
                where a.job_id = stale.job_id and a.token = stale.token
                returning a.job_id, stale.counted",
                &keys,
                &tokens
            )
            .fetch_all(&mut *tx)
            .await?;
            let mut counted = BTreeMap::<i64, i16>::new();
            cleared.iter().for_each(|row| *counted.entry(row.job_id).or_default() += i16::from(row.counted));
            clear_jobs(&mut tx, counted).await?;
            tx.commit().await?;
            Ok(cleared.len() as u64)
        })
        .await
}

/// Lowers the crash counts of jobs by what was taken back, wherever they stand. A job that is claimed or put back at this moment is
/// in no table that one statement sees, so it is looked for again.
async fn clear_jobs(tx: &mut Line, mut counted: BTreeMap<i64, i16>) -> Result<(), Error> {
    for _ in 0..LOOKS_MAX {
        if counted.is_empty() {
            break;
        }
        let (keys, less): (Vec<i64>, Vec<i16>) = counted.iter().map(|(key, less)| (*key, *less)).unzip();
        let found = sqlx::query_scalar!(
            r#"with judged as materialized (
                select u.id, u.less, exists (select from vtoc.job_attempt a where a.job_id = u.id and a.outcome = 'crashed') as suspect
                from unnest($1::bigint[], $2::smallint[]) as u (id, less)
            ),
            ready as (
                update vtoc.job_ready r
                set suspect = judged.suspect, crash_count = greatest(r.crash_count - judged.less, 0)
                from judged
                where r.id = judged.id
                returning r.id
            ),
            asleep as (
                update vtoc.job_waiting w
                set suspect = judged.suspect, crash_count = greatest(w.crash_count - judged.less, 0)
                from judged
                where w.id = judged.id
                returning w.id
            ),
            -- A suspect is alone in its lease. Leases are locked in one order.
            held as materialized (
                select l.token, judged.*
                from vtoc.job_lease l
                join judged on l.ids = array[judged.id]
                order by l.token
                for no key update of l
            ),
            under_way as (
                update vtoc.job_lease l
                set suspect = held.suspect, crash_count = greatest(l.crash_count - held.less, 0)
                from held
                where l.token = held.token
                returning held.id
            )
            select id as "id!" from ready
            union all
            select id from asleep
            union all
            select id from under_way
            union all
            select id from vtoc.job_finished where id = any($1)"#,
            &keys,
            &less
        )
        .fetch_all(&mut *tx)
        .await?;
        for key in found {
            counted.remove(&key);
        }
    }
    Ok(())
}
