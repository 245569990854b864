//! Waiting: a job that has nothing to do until its children have ended or an answer has come stands in a table of its own,
//! without a slot and without a lease, and is made ready by whatever comes first, its deadline at the latest.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::types::PgInterval;

use super::{callback, enqueue::interval, settle::Settled, standing::Standing};
use crate::{Database, Error, Scope, database::Line};

/// What a job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// All its awaited children have ended, well or not. With none left it runs again at once.
    Children,
    /// An answer to one of its tokens that hasn't ended a wait yet; one that came before the wait ends it at once.
    Callback,
}

impl Until {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Children => "children",
            Self::Callback => "callback",
        }
    }
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The last child.
    Children,
    /// An answer.
    Callback,
    /// The time was over.
    Deadline,
}

impl By {
    fn as_str(self) -> &'static str {
        match self {
            Self::Children => "children",
            Self::Callback => "callback",
            Self::Deadline => "deadline",
        }
    }
}

/// How a wait ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Woken {
    /// What ended it.
    pub by: By,
    /// The answer to a callback. Of children, since the last such wait: `{"done": n, "failed": m}`, and `"left"` when the
    /// deadline came first.
    pub answer: Option<Value>,
    /// When.
    pub at: DateTime<Utc>,
}

/// What ended the last wait of `key`.
pub(super) async fn woken(database: &Database, key: i64) -> Result<Option<Woken>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let row = sqlx::query!("select by, answer, at from vtoc.job_woken where job_id = $1", key)
                .fetch_optional(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(row.map(|row| Woken {
                by: match row.by.as_str() {
                    "children" => By::Children,
                    "callback" => By::Callback,
                    _ => By::Deadline,
                },
                answer: row.answer,
                at: row.at,
            }))
        })
        .await
}

/// Jobs that begin to wait.
#[derive(Default)]
pub(super) struct Waits<'a> {
    jobs: Standing<'a>,
    what: Vec<&'static str>,
    within: Vec<PgInterval>,
    claim: Vec<i64>,
}

impl<'a> Waits<'a> {
    pub(super) fn push(&mut self, settled: &Settled<'a>, until: Until, within: Duration) {
        self.jobs.push(settled, false);
        self.what.push(until.as_str());
        self.within.push(interval(within));
        self.claim.push(settled.outcome.held.token);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Those that wait for their children: their families are to be locked before [`Waits::write`].
    pub(super) fn parents(&self) -> Vec<i64> {
        self.that_wait_for(Until::Children)
    }

    fn that_wait_for(&self, until: Until) -> Vec<i64> {
        let waits = self.jobs.key.iter().zip(&self.what).filter(|(_, what)| **what == until.as_str());
        waits.map(|(key, _)| *key).collect()
    }

    /// Writes the waits, and ends those at once whose reason is over.
    pub(super) async fn write(&self, tx: &mut Line) -> Result<(), Error> {
        if self.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "insert into vtoc.job_waiting (id, what, deadline, claim, queue, kind, station_id, priority, keyed, awaited, attempt, attempts_max, suspect, crash_count)
            select u.id, u.what, vtoc.clock() + u.within, u.claim, u.queue, u.kind, u.station_id, u.priority, u.keyed, u.awaited, u.attempt,
                u.attempts_max, u.suspect, u.crash_count
            from unnest($1::bigint[], $2::text[], $3::interval[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::smallint[], $9::bool[],
                $10::bool[], $11::smallint[], $12::smallint[], $13::bool[], $14::smallint[])
                as u (id, what, within, claim, queue, kind, station_id, priority, keyed, awaited, attempt, attempts_max, suspect, crash_count)",
            &self.jobs.key,
            &self.what as &[&str],
            &self.within,
            &self.claim,
            &self.jobs.queue as &[&str],
            &self.jobs.kind as &[&str],
            &self.jobs.station as &[Option<i64>],
            &self.jobs.priority,
            &self.jobs.keyed,
            &self.jobs.awaited,
            &self.jobs.attempt,
            &self.jobs.attempts_max,
            &self.jobs.suspect,
            &self.jobs.crash_count
        )
        .execute(&mut *tx)
        .await?;
        without_children(tx, &self.parents()).await?;
        callback::answered_early(tx, &self.that_wait_for(Until::Callback)).await
    }
}

/// Wakes those of `parents`, whose families are locked, that have no awaited child left.
pub(super) async fn without_children(tx: &mut Line, parents: &[i64]) -> Result<(), Error> {
    if parents.is_empty() {
        return Ok(());
    }
    let alone = sqlx::query_scalar!(
        r#"select parent as "parent!"
        from unnest($1::bigint[]) as parent
        where not exists (select from vtoc.job_family f where f.parent_id = parent and f."left" > 0)"#,
        parents
    )
    .fetch_all(&mut *tx)
    .await?;
    if !alone.is_empty() {
        wake(tx, By::Children, &alone, &vec![None; alone.len()]).await?;
    }
    Ok(())
}

/// Wakes up to 1,000 jobs whose time is over; those that somebody else wakes at this moment are left to them. Answers how many.
pub(super) async fn wake_late(tx: &mut Line) -> Result<i64, Error> {
    let late = sqlx::query_scalar!(
        "select id
        from vtoc.job_waiting
        where deadline <= (select vtoc.clock())
        order by deadline
        limit 1000
        for update skip locked"
    )
    .fetch_all(&mut *tx)
    .await?;
    if late.is_empty() {
        return Ok(0);
    }
    wake(tx, By::Deadline, &late, &vec![None; late.len()]).await
}

/// Makes those of `keys` ready that wait for what has come, with the answers given, or with how their children ended, and
/// wakes workers at the commit. Answers how many.
pub(super) async fn wake(tx: &mut Line, by: By, keys: &[i64], answers: &[Option<Value>]) -> Result<i64, Error> {
    let row = sqlx::query!(
        r#"with woken as (
            delete from vtoc.job_waiting w
            using unnest($1::bigint[], $2::jsonb[]) as u (id, answer)
            where w.id = u.id and ($3 = 'deadline' or w.what = $3)
            returning w.*, u.answer
        ),
        -- What is counted from here on is for the next wait.
        told_of as (
            delete from vtoc.job_family f
            using woken
            where $3 = 'children' and f.parent_id = woken.id and f."left" = 0
        ),
        ready as (
            insert into vtoc.job_ready (id, queue, kind, station_id, priority, run_at, due, keyed, attempt, attempts_max, suspect, crash_count, awaited)
            select id, queue, kind, station_id, priority, vtoc.clock(), true, keyed, attempt, attempts_max, suspect, crash_count, awaited
            from woken
        ),
        told as (
            insert into vtoc.job_woken as t (job_id, claim, by, answer, at)
            select w.id, case when w.what = 'callback' then w.claim else 0 end, $3, case when w.what = 'children'
                    then jsonb_strip_nulls(jsonb_build_object('done', coalesce(f.done, 0), 'failed', coalesce(f.failed, 0), 'left', nullif(f."left", 0)))
                    else w.answer end, vtoc.clock()
            from woken w
            left join lateral (select * from vtoc.job_family where w.what = 'children' and parent_id = w.id limit 1) f on true
            on conflict (job_id) do update set claim = greatest(t.claim, excluded.claim), by = excluded.by, answer = excluded.answer, at = excluded.at
        )
        select (select count(*) from woken) as "woken!",
            (select count(pg_notify('vtoc_wake', q.queue)) from (select distinct queue from woken where octet_length(queue) < 8000) q) as told"#,
        keys,
        answers as &[Option<Value>],
        by.as_str()
    )
    .fetch_one(&mut *tx)
    .await?;
    Ok(row.woken)
}

/// Forgets, a day after, what was kept of waits for jobs that have ended: tokens, what woke them, and families nobody waits for.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn forget_ended(database: &Database) -> Result<(), Error> {
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            sqlx::query!(
                r#"with old as materialized (
                    select job_id from vtoc.job_woken where at < (select vtoc.clock()) - interval '1 day'
                    union
                    select job_id from vtoc.job_callback where made_at < (select vtoc.clock()) - interval '1 day'
                    union
                    select parent_id from vtoc.job_family where "left" = 0
                ),
                ended as materialized (
                    select job_id
                    from old
                    where not exists (select from vtoc.job_ready r where r.id = old.job_id)
                        and not exists (select from vtoc.job_waiting w where w.id = old.job_id)
                        and job_id not in (select r.id from vtoc.job_running r)
                        and not exists (select from vtoc.job_finished f
                            where f.id = old.job_id and f.finished_at > (select vtoc.clock()) - interval '1 day')
                    limit 5000
                ),
                woken as (delete from vtoc.job_woken t using ended where t.job_id = ended.job_id),
                tokens as (delete from vtoc.job_callback t using ended where t.job_id = ended.job_id)
                delete from vtoc.job_family t using ended where t.parent_id = ended.job_id and t."left" = 0"#
            )
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(())
        })
        .await
}
