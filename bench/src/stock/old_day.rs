//! A day whose time is over: bodies that were enqueued four days ago, by the engine while the queue's clock stood back, and
//! their history, which expired the day after. As on a real day some failed once, and a few still have to run.

use anyhow::Context;
use sqlx::AssertSqlSafe;

use crate::cluster::Fresh;

/// Lets the queue's clock stand at noon four days ago, so that the filling stays within one day, and makes that day.
const STAND_BACK: &str = "
do $$
begin
    execute format(
        'create or replace function vtoc.clock() returns timestamptz language sql volatile parallel safe as %L',
        format('select clock_timestamp() - %L::interval',
            now() - ((now() at time zone 'UTC')::date - 4 + time '12:00') at time zone 'UTC'));
end
$$;
select vtoc.add_day_partition(parent, (vtoc.clock() at time zone 'UTC')::date + days)
from (values ('vtoc.job_body', 0), ('vtoc.job_large', 0), ('vtoc.job_finished', 1)) as t (parent, days)";

/// One job among a thousand has to run a month later, so that its body is needed. The others are done, every tenth at its
/// second attempt.
const END: &str = "
update vtoc.job_ready
set due = false, run_at = run_at + interval '30 days'
where id % 1000 = 0;
insert into vtoc.job_attempt (job_id, token, attempt, worker_id, started_at, finished_at, outcome, error)
select r.id, nextval('vtoc.lease_token'), a.attempt, gen_random_uuid(), vtoc.clock(), vtoc.clock(), a.outcome, a.error
from vtoc.job_ready r
cross join (values (1, 'retry', 'as it was told to'), (2, 'done', null)) as a (attempt, outcome, error)
where r.due and r.id % 10 = 1;
insert into vtoc.job_finished (expires_at, id, state, queue, kind, attempt, started_at, finished_at, worker_id)
select vtoc.clock() + interval '24 h', id, 'done', queue, kind, case when id % 10 = 1 then 2 else 1 end,
    vtoc.clock(), vtoc.clock(), gen_random_uuid()
from vtoc.job_ready
where due;
delete from vtoc.job_ready
where due";

/// Fills the day with `jobs` and sets the clock right again.
pub(super) async fn fill(fresh: &Fresh, jobs: usize) -> anyhow::Result<()> {
    let mut owner = fresh.owner().await?;
    let (clock,): (String,) =
        sqlx::query_as("select pg_get_functiondef('vtoc.clock'::regproc)").fetch_one(&mut owner).await?;
    sqlx::raw_sql(STAND_BACK).execute(&mut owner).await.context("go back four days")?;
    super::fill(fresh, jobs).await?;
    sqlx::raw_sql(END).execute(&mut owner).await.context("make an old day")?;
    sqlx::raw_sql(AssertSqlSafe(clock)).execute(&mut owner).await.context("set the clock right")?;
    drop(owner);
    fresh.settle().await
}
