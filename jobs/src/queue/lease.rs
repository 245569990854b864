//! Leases: renewed while their process lives, given up when it can't.

use std::{collections::HashSet, time::Duration};

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
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
                )
                update vtoc.job_lease
                set lease_until = vtoc.clock() + $3
                where token = any($2)
                returning token",
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
                finish_in(line, chunk).await?;
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
            let cleared = sqlx::query_scalar!(
                r#"with stale as materialized (
                    select a.job_id, a.token, a.counted
                    from vtoc.job_attempt a
                    join unnest($1::bigint[], $2::bigint[]) as u (id, token) on a.job_id = u.id and a.token = u.token
                    where a.outcome = 'crashed'
                    order by a.job_id, a.token
                    for update of a
                ),
                cleared as (
                    update vtoc.job_attempt a
                    set outcome = 'given_up', error = 'its process was away longer than its lease', counted = false
                    from stale
                    where a.job_id = stale.job_id and a.token = stale.token
                    returning 1
                ),
                judged as (
                    select s.job_id, (count(*) filter (where s.counted))::smallint as counted, exists (
                        select from vtoc.job_attempt other
                        where other.job_id = s.job_id and other.outcome = 'crashed'
                            and not exists (select from stale where stale.job_id = other.job_id and stale.token = other.token)
                    ) as suspect
                    from stale s
                    group by s.job_id
                ),
                waiting as (
                    update vtoc.job_ready r
                    set suspect = judged.suspect, crash_count = greatest(r.crash_count - judged.counted, 0)
                    from judged
                    where r.id = judged.job_id
                ),
                asleep as (
                    update vtoc.job_waiting w
                    set suspect = judged.suspect, crash_count = greatest(w.crash_count - judged.counted, 0)
                    from judged
                    where w.id = judged.job_id
                ),
                under_way as (
                    -- A suspect is alone in its lease.
                    update vtoc.job_lease l
                    set suspect = judged.suspect, crash_count = greatest(l.crash_count - judged.counted, 0)
                    from judged
                    where l.ids = array[judged.job_id]
                )
                select count(*) as "count!" from cleared"#,
                &keys,
                &tokens
            )
            .fetch_one(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(cleared.unsigned_abs())
        })
        .await
}
